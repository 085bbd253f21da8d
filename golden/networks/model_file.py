# SPDX-License-Identifier: Apache-2.0
"""Files of networks made of blocks: their shape, their weights and a checksum."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import write_atomic
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import check_state, read_checked, state_digest, torch_bytes
from ecoformer.golden.networks.blocks import Blocks
from ecoformer.inputs import parse_json

__all__ = ["DEEPEST", "LARGEST", "MOST_WEIGHTS", "read_model", "write_model"]

LARGEST, DEEPEST, MOST_WEIGHTS = 8_192, 1_000, 100_000_000
"""Bounds of every size, of the depth and of both, checked before any memory is taken."""


def write_model(model: Blocks, table: str, path: Path) -> None:
    """Write ``model``, whose shape a file has as ``table``, to ``path``; atomic."""
    attention = model.attention_config
    config = {
        table: asdict(model.config),
        "attention": None if attention is None else asdict(attention),
    }
    state = model.state_dict()
    content = {"config": json.dumps(config), "state": state, "sha256": state_digest(state)}
    write_atomic(path, torch_bytes(content))


def read_model(
    path: str | Path, kinds: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]]
) -> Any:
    """The network of a file that :func:`write_model` wrote, in evaluation mode.

    Parameters
    ----------
    path : path
    kinds : dict of str to (type, type)
        Of each table that the shape may stand in: the class of the shape, and of the network.

    Raises
    ------
    EcoformerError
        No such file, damaged, or not a model file.
    """
    path = Path(path)
    content = read_checked(path, "model file")
    try:
        config = parse_json(content["config"])
        table = next((name for name in kinds if name in config), None)
        if table is None:
            raise ValueError(f"it holds no table {' or '.join(kinds)}")
        shape_of, network_of = kinds[table]
        attention = config["attention"]
        shape = shape_of(**config[table])
        attention = None if attention is None else AttentionConfig(**attention)
        _check_hashes(shape, attention)
        model = network_of(shape, attention)
        check_state(content["state"], model.state_dict())
        model.load_state_dict(content["state"])
        whole = state_digest(content["state"]) == content["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a model file ({first_line(error)}); train again"
        ) from error
    if not whole:
        raise EcoformerError(f"{path}: damaged model file (checksum differs); train again")
    return model.eval()


def _check_hashes(network, attention):
    """Refuse hashes whose weights would take too much memory, before it is taken."""
    if attention is None:
        return
    features = max(attention.anchors, network.head_dim)
    weights = network.depth * network.heads * features * (attention.code_bits + network.head_dim)
    if weights > MOST_WEIGHTS:
        raise ValueError(f"hashes must have at most {MOST_WEIGHTS:,} weights, not {weights:,}")
