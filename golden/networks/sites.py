# SPDX-License-Identifier: Apache-2.0
"""Where a network computes attention, and EcoFormer attention put in its place.

Three kinds of sites are known: :class:`golden.attention.SoftmaxAttention`,
``torch.nn.MultiheadAttention``, and modules that call the attention interface of ``transformers``.
A module that attends several times per pass, as where layers share their weights, has as many
sites: every depth has hashes of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.transformers_interface import interface_observed, use_interface
from ecoformer.golden.networks.wrappers import (
    ATTRIBUTE,
    CoreSequence,
    EcoFormerMultihead,
    count_uses,
)

__all__ = ["Site", "fill_sites", "filled_sites", "find_sites"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One use of a module that computes attention.

    Parameters
    ----------
    path : str
        Name of the module in the network.
    kind : str
        ``core``, ``multihead`` or ``interface``.
    heads, head_dim : int
    scale : float or None
        Factor of q·k; 1/√D when None.
    turn : int
        Which of the module's uses in one pass of the network, counted from 0.
    """

    path: str
    kind: str
    heads: int
    head_dim: int
    scale: float | None = None
    turn: int = 0


def find_sites(model: nn.Module, run: Callable[[], object]) -> list[Site]:
    """Every attention of ``model`` while ``run()`` runs it once, in the order of use.

    Raises
    ------
    EcoformerError
        There is none, or one whose attention is causal, biased or of another form.
    """
    names = {id(module): name for name, module in model.named_modules()}
    sites: list[Site] = []
    uses: Counter[str] = Counter()

    def observe(module, kind, heads, head_dim, scale=None):
        path = names[id(module)]
        shape = {"heads": heads, "head_dim": head_dim, "scale": scale}
        sites.append(Site(path=path, kind=kind, turn=uses[path], **shape))
        uses[path] += 1

    hooks = [
        module.register_forward_pre_hook(HOOKS[type(module)](observe))
        for module in model.modules()
        if type(module) in HOOKS
    ]
    try:
        with torch.no_grad(), interface_observed(model, observe):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    if not sites:
        raise EcoformerError(
            f"{type(model).__name__}: no attention that can be replaced; it must be "
            "torch.nn.MultiheadAttention or a model of transformers with an attention interface"
        )
    return sites


def _core_hook(observe):
    def hook(module, args):
        observe(module, "core", module.heads, args[1].shape[-1], module.scale)

    return hook


def _multihead_hook(observe):
    def hook(module, args):
        if not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
            raise EcoformerError(
                "torch.nn.MultiheadAttention: separate embedding sizes, bias_k and add_zero_attn "
                "cannot be replaced"
            )
        observe(module, "multihead", module.num_heads, module.head_dim)

    return hook


HOOKS = {SoftmaxAttention: _core_hook, nn.MultiheadAttention: _multihead_hook}
"""Makes the hook that observes an attention module, by the module's class."""


def fill_sites(
    model: nn.Module, sites: Sequence[Site], config: AttentionConfig
) -> list[EcoFormerAttention]:
    """Put EcoFormer attention with random hashes into ``sites``; returns it, site by site.

    Parameters
    ----------
    model : Module
        Changed in place.
    sites : list of Site
    config : AttentionConfig
    """
    device = next((p.device for p in model.parameters()), None)
    cores = [
        EcoFormerAttention(site.heads, site.head_dim, config, site.scale, number).to(device)
        for number, site in enumerate(sites)
    ]
    uses = defaultdict(list)
    for site, core in zip(sites, cores):
        uses[site.path, site.kind].append(core)
    for (path, kind), own in uses.items():
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise EcoformerError(
                f"{type(model).__name__}: no module {path}; give the model that was converted"
            ) from error
        attention = own[0] if len(own) == 1 else CoreSequence(own)
        if kind == "interface":
            setattr(module, ATTRIBUTE, attention)
        else:
            new = attention if kind == "core" else EcoFormerMultihead(module, attention)
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, new)
    if len(uses) < len(sites):
        count_uses(model)
    if any(site.kind == "interface" for site in sites):
        use_interface(model)
    return cores


def filled_sites(model: nn.Module) -> list[Site]:
    """The sites of a converted network, in the order of use."""
    cores = [(name, m) for name, m in model.named_modules() if isinstance(m, EcoFormerAttention)]
    cores.sort(key=lambda core: core[1].layer)
    return [_site(model, name, core) for name, core in cores]


def _site(model, name, core):
    turn = 0
    path, _, attribute = name.rpartition(".")
    if isinstance(model.get_submodule(path), CoreSequence):
        name, turn = path, int(attribute)
        path, _, attribute = name.rpartition(".")
    holder = model.get_submodule(path)
    kind = "multihead" if isinstance(holder, EcoFormerMultihead) else "interface"
    if attribute != ATTRIBUTE:
        path, kind = name, "core"
    shape = {"heads": core.heads, "head_dim": core.hash.head_dim, "scale": core.scale}
    return Site(path=path, kind=kind, turn=turn, **shape)
