"""Where a network computes attention, and EcoFormer attention put in its place.

Three kinds of places are known: :class:`golden.attention.SoftmaxAttention`,
``torch.nn.MultiheadAttention``, and whatever calls the attention interface of ``transformers``.
A module that attends several times in one pass, as where layers share their weights, is as many
places: every depth has hashes of its own.
"""

from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import linear

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention, softmax_attention

__all__ = ["Site", "find_sites", "fill_sites", "filled_sites", "NAME"]

NAME = "ecoformer"
"""Attribute under which an attention module of ``transformers`` holds its EcoFormer attention, and
the name of the implementation in the interface."""


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


def find_sites(model, run):
    """Every attention of ``model`` while ``run()`` runs it once, in the order of use.

    Raises
    ------
    EcoformerError
        There is none, or one whose attention is causal, biased or of another form.
    """
    names = {id(module): name for name, module in model.named_modules()}
    sites, turns = [], Counter()

    def found(module, kind, heads, head_dim, scale=None):
        path = names[id(module)]
        shape = {"heads": heads, "head_dim": head_dim, "scale": scale}
        sites.append(Site(path=path, kind=kind, turn=turns[path], **shape))
        turns[path] += 1

    watched = {SoftmaxAttention: _core_hook, nn.MultiheadAttention: _multihead_hook}
    hooks = [
        module.register_forward_pre_hook(watched[type(module)](found))
        for module in model.modules()
        if type(module) in watched
    ]
    try:
        with torch.no_grad(), _interface_observed(model, found):
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


def fill_sites(model, sites, config):
    """Put EcoFormer attention with random hashes into ``sites``; returns it, site by site.

    Parameters
    ----------
    model : Module
        Changed in place.
    sites : list of Site
    config : golden.attention.AttentionConfig

    Returns
    -------
    list of EcoFormerAttention
    """
    device = next((p.device for p in model.parameters()), None)
    cores = [
        EcoFormerAttention(site.heads, site.head_dim, config, site.scale, number).to(device)
        for number, site in enumerate(sites)
    ]
    turns = defaultdict(list)
    for site, core in zip(sites, cores):
        turns[site.path, site.kind].append(core)
    for (path, kind), uses in turns.items():
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise EcoformerError(
                f"{type(model).__name__}: no module {path}; give the model that was converted"
            ) from error
        attention = uses[0] if len(uses) == 1 else Turns(uses)
        if kind == "interface":
            setattr(module, NAME, attention)
        else:
            new = attention if kind == "core" else EcoFormerMultihead(module, attention)
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, new)
    if len(turns) < len(sites):
        model.register_forward_pre_hook(_begin_turns)
        model.register_forward_hook(_end_turns)
    if any(site.kind == "interface" for site in sites):
        _register()
        model.set_attn_implementation(NAME)
    return cores


def filled_sites(model):
    """The sites of a converted network, in the order of use."""
    found = []
    for name, core in model.named_modules():
        if isinstance(core, EcoFormerAttention):
            turn = 0
            path, _, attribute = name.rpartition(".")
            if isinstance(model.get_submodule(path), Turns):
                name, turn = path, int(attribute)
                path, _, attribute = name.rpartition(".")
            holder = model.get_submodule(path)
            kind = "multihead" if isinstance(holder, EcoFormerMultihead) else "interface"
            if attribute != NAME:
                path, kind = name, "core"
            shape = {"heads": core.heads, "head_dim": core.hash.head_dim, "scale": core.scale}
            found.append((core.layer, Site(path=path, kind=kind, turn=turn, **shape)))
    return [site for _, site in sorted(found, key=lambda pair: pair[0])]


class Turns(nn.ModuleList):
    """EcoFormer attention of a module that attends several times in one pass, one after the other.

    Parameters
    ----------
    cores : list of EcoFormerAttention
    """

    def __init__(self, cores):
        super().__init__(cores)
        self.turn = 0

    def forward(self, *given):
        """What the attention whose turn it is answers."""
        core = self[self.turn]
        self.turn = (self.turn + 1) % len(self)
        return core(*given)


def _turns_of(model):
    return [module for module in model.modules() if isinstance(module, Turns)]


def _begin_turns(model, args):
    """Start from the first turn, even if the pass before was broken off."""
    for turns in _turns_of(model):
        turns.turn = 0


def _end_turns(model, args, output):
    if any(turns.turn for turns in _turns_of(model)):
        raise EcoformerError(
            f"{type(model).__name__}: a module did not attend as often as during conversion; its "
            "hashes cannot be told apart"
        )


class EcoFormerMultihead(nn.Module):
    """In the place of ``torch.nn.MultiheadAttention``, with its projections and parameter names.

    Parameters
    ----------
    replaced : torch.nn.MultiheadAttention
        Its parameters are taken over, not copied.
    core : EcoFormerAttention or Turns
    """

    _qkv_same_embed_dim = False  # keeps TransformerEncoderLayer from its fused softmax kernel

    def __init__(self, replaced, core):
        super().__init__()
        self.num_heads = replaced.num_heads
        self.batch_first = replaced.batch_first
        self.in_proj_weight = replaced.in_proj_weight
        self.in_proj_bias = replaced.in_proj_bias
        self.out_proj = replaced.out_proj
        setattr(self, NAME, core)

    def forward(
        self, query, key, value, key_padding_mask=None, need_weights=False, attn_mask=None,
        average_attn_weights=True, is_causal=False,
    ):  # fmt: skip
        """(output, None), shapes as in ``torch.nn.MultiheadAttention``."""
        if attn_mask is not None or is_causal:
            raise ValueError("attn_mask must be None: EcoFormer attention takes padding only")
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        weights = self.in_proj_weight.chunk(3)
        biases = 3 * [None] if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            linear(x, w, b).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, w, b in zip((query, key, value), weights, biases)
        )
        keys = None
        if key_padding_mask is not None:  # bool, or 0 and -inf
            mask = key_padding_mask
            keys = ~mask if mask.dtype == torch.bool else mask == 0
        o = self.out_proj(getattr(self, NAME)(q, k, v, keys).transpose(1, 2).flatten(2))
        return (o if self.batch_first else o.transpose(0, 1)), None


def _core_hook(found):
    def hook(module, args):
        found(module, "core", module.heads, args[1].shape[-1], module.scale)

    return hook


def _multihead_hook(found):
    def hook(module, args):
        if not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
            raise EcoformerError(
                "torch.nn.MultiheadAttention: separate embedding sizes, bias_k and add_zero_attn "
                "cannot be replaced"
            )
        found(module, "multihead", module.num_heads, module.head_dim)

    return hook


# -- the attention interface of transformers ---------------------------------------------------

_finder = None
"""Told of every attention module while sites are being looked for."""


@contextmanager
def _interface_observed(model, found):
    """Run a transformers model through :func:`_interface_attention`; others stay as they are."""
    global _finder
    if not hasattr(model, "set_attn_implementation"):
        yield
        return
    _register()
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    _finder = found
    try:
        yield
    finally:
        _finder = None
        model.set_attn_implementation(before)


def _register():
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _interface_attention)
    def padding_mask(*args, **kwargs):
        # Whether there is padding at all is asked of no tensor, which would stop a GPU.
        return sdpa_mask(*args, **kwargs | {"allow_is_bidirectional_skip": False})

    AttentionMaskInterface.register(NAME, padding_mask)


def _interface_attention(module, query, key, value, attention_mask, scaling=None, **kwargs):
    """Attention function of the interface: (o [B, M, H, E], None)."""
    keys = _padding(module, query, key, attention_mask, kwargs)
    core = getattr(module, NAME, None)
    if core is not None:
        o = core(query, key, value, keys)
    elif _finder is not None:
        _finder(module, "interface", query.shape[1], query.shape[-1], scaling)
        o = softmax_attention(query, key, value, keys, scaling)
    else:
        raise EcoformerError(
            f"{type(module).__name__}: it did not attend during conversion; give calibration data "
            "that uses it"
        )
    return o.transpose(1, 2).contiguous(), None


def _padding(module, query, key, mask, given):
    """Keys that count, bool [B, N] or None; refuses attention that is more than padded softmax."""
    what = None
    if getattr(module, "is_causal", False) or given.get("is_causal"):
        what = "causal attention"
    elif key.shape[1] != query.shape[1]:
        what = "fewer key heads than query heads"
    elif any(given.get(name) is not None for name in ("position_bias", "softcap", "s_aux")):
        what = "a bias of positions or a bounded logit"
    elif given.get("sliding_window") is not None:
        what = "a sliding window"
    elif mask is not None and not _is_padding(mask):
        what = "a mask other than padding"
    if what is not None:
        raise EcoformerError(f"{type(module).__name__}: {what} cannot be replaced")
    return None if mask is None else mask[:, 0, 0]


def _is_padding(mask):
    """Whether every query of a sequence has the same keys."""
    if mask.is_cuda and torch.cuda.is_current_stream_capturing():
        return True  # looked at before; a recorded operation has no answer yet
    return mask.dtype == torch.bool and not (mask != mask[:, :1, :1]).any()
