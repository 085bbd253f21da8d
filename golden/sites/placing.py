# SPDX-License-Identifier: Apache-2.0
"""EcoFormer attention put where a network attends."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.sites.names import modules_by_name
from ecoformer.golden.sites.routing import (
    ATTRIBUTE,
    FUNCTIONS,
    CoreSequence,
    LeftAttention,
    count_uses,
    is_routed,
    route,
)
from ecoformer.golden.sites.site import Site
from ecoformer.golden.sites.transformers_interface import use_interface

__all__ = ["fill_sites", "filled_sites"]



def fill_sites(
    model: nn.Module, sites: Sequence[Site], config: AttentionConfig
) -> list[EcoFormerAttention]:
    """Put EcoFormer attention with random hashes into ``sites``; returns it, site by site.

    Parameters
    ----------
    model : Module
        Changed in place.
    sites : list of Site
        Those with a reason stay as they are.
    config : AttentionConfig
    """
    modules = modules_by_name(model)
    turns: defaultdict[str, list[nn.Module]] = defaultdict(list)
    cores: list[EcoFormerAttention] = []
    for site in sites:
        if site.function not in FUNCTIONS.values():
            continue
        if site.path not in modules:
            raise EcoformerError(
                f"{type(model).__name__}: no module {site.path}; give the model that was converted"
            )
        attention: nn.Module = LeftAttention(site)
        if site.reason is None:
            attention = _core(site, config, len(cores), modules[site.path], model)
            cores.append(attention)
        turns[site.path].append(attention)
    for path, own in turns.items():
        attention = own[0] if len(own) == 1 else CoreSequence(own)
        whole = isinstance(attention, EcoFormerAttention)
        if whole and isinstance(modules[path], SoftmaxAttention):
            _replace(model, modules[path], attention)
        else:
            route(modules[path], attention)
    _keep_from_fusing(model)
    if any(len(own) > 1 for own in turns.values()):
        count_uses(model)
    use_interface(model)
    return cores


def _keep_from_fusing(model):
    """Keep torch from fused kernels, which attend by softmax past the attention they are given."""
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention) and is_routed(module):
            module._qkv_same_embed_dim = False  # all fused kernels want it, compiled code too
        elif isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False


def _core(site, config, number, module, model):
    core = EcoFormerAttention(
        site.heads, site.head_dim, config, site.scale, number, site.mask, site.cross
    )
    core.site = site
    tensors = (x for part in (module, model) for x in part.parameters())
    return core.to(next((x.device for x in tensors), None))


def _replace(model, module, new):
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is module:
                setattr(parent, name, new)


def filled_sites(model: nn.Module) -> list[Site]:
    """The sites of a converted network: those with EcoFormer attention in the order of use."""
    names = {id(module): name for name, module in modules_by_name(model).items()}
    filled: list[Any] = list(cores_of(model))
    filled += [module for module in model.modules() if isinstance(module, LeftAttention)]
    return [replace(m.site, path=_path(names[id(m)])) for m in filled]


def _path(name):
    """The module whose attention has this name."""
    words = name.split(".")
    if words[-1].isdigit() and words[-2:-1] == [ATTRIBUTE]:
        words.pop()
    return ".".join(words[:-1] if words[-1] == ATTRIBUTE else words)
