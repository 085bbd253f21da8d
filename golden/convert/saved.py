# SPDX-License-Identifier: Apache-2.0
"""The file of a converted network."""

import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

from torch import nn

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import write_atomic
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import check_state, read_checked, state_digest, torch_bytes
from ecoformer.golden.sites.names import bare_name, state_by_name
from ecoformer.golden.sites.placing import fill_sites, filled_sites
from ecoformer.golden.sites.site import Site
from ecoformer.inputs import parse_json

__all__ = ["load_converted", "save_converted"]


def save_converted(model: nn.Module, path: Path) -> None:
    """Write a converted network to ``path``, atomically: its sites, state_dict and checksum.

    The file does not tell how to build the network: :func:`load_converted` takes the original.
    Names leave out ``DataParallel`` and ``torch.compile``, whatever they wrap.
    """
    sites = filled_sites(model)
    if not cores_of(model):
        raise EcoformerError(f"{type(model).__name__}: not converted; nothing to save")
    attention = asdict(cores_of(model)[0].config)
    description = {"attention": attention, "sites": [asdict(site) for site in sites]}
    state = state_by_name(model)
    content = {"config": json.dumps(description), "state": state, "sha256": state_digest(state)}
    write_atomic(path, torch_bytes(content))


def load_converted(path: str | Path, model: nn.Module) -> nn.Module:
    """A copy of the original ``model``, converted like the network in the file ``path``.

    Raises
    ------
    EcoformerError
        No such file, damaged, or the model is not the one that was converted.
    """
    path = Path(path)
    content = read_checked(path, "converted model", "convert")
    converted = deepcopy(model).eval()
    try:
        description = parse_json(content["config"])
        sites = [Site.from_dict(site) for site in description["sites"]]
        fill_sites(converted, sites, AttentionConfig(**description["attention"]))
        whole = state_digest(content["state"]) == content["sha256"]
        check_state(content["state"], state_by_name(converted))
        names = {name: bare_name(converted, name) for name in converted.state_dict()}
        converted.load_state_dict({name: content["state"][bare] for name, bare in names.items()})
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a converted {type(model).__name__} ({first_line(error)}); convert it "
            "again"
        ) from error
    if not whole:
        raise EcoformerError(f"{path}: damaged model file (checksum differs); convert it again")
    return converted
