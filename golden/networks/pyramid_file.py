# SPDX-License-Identifier: Apache-2.0
"""The file of a pyramid network: its shape, its attention and its weights."""

import json
from dataclasses import asdict
from pathlib import Path

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import write_atomic
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked, state_digest, torch_bytes
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig

__all__ = ["holds_pyramid", "load_pyramid", "save_pyramid"]


def save_pyramid(model: Pyramid, path: Path) -> None:
    """Write ``model`` to ``path``: configuration as JSON, state_dict, checksum; atomic."""
    config = {"pyramid": model.config.as_dict(), "attention": asdict(model.ecoformer)}
    state = model.state_dict()
    content = {"config": json.dumps(config), "state": state, "sha256": state_digest(state)}
    write_atomic(path, torch_bytes(content))


def holds_pyramid(path: str | Path, what: str = "network file", verb: str = "import") -> bool:
    """Whether a whole file of ours holds such a network, and not a vision transformer.

    ``what`` and ``verb`` say in messages what the file should be, and which verb writes it.

    Raises
    ------
    EcoformerError
        No such file, or damaged.
    """
    content = read_checked(path, what, verb)
    try:
        return "pyramid" in json.loads(content["config"])
    except (KeyError, TypeError, ValueError):
        return False


def load_pyramid(path: str | Path) -> Pyramid:
    """The network of a file that :func:`save_pyramid` wrote, in evaluation mode.

    Raises
    ------
    EcoformerError
        No such file, damaged, or another kind of file.
    """
    content = read_checked(path, "network file", "import")
    try:
        config = json.loads(content["config"])
        shape = PyramidConfig.from_values(config["pyramid"])
        model = make_pyramid(shape, AttentionConfig(**config["attention"]))
        model.load_state_dict(content["state"])
        whole = state_digest(content["state"]) == content["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a network file ({first_line(error)}); import it again"
        ) from error
    if not whole:
        raise EcoformerError(f"{path}: damaged network file (checksum differs); import it again")
    return model.eval()
