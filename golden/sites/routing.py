# SPDX-License-Identifier: Apache-2.0
"""The attention of a module sent elsewhere, whatever the code of the module.

A call is caught where torch itself lets functions be replaced: in a ``TorchFunctionMode`` around
the forward of the module whose code calls. The module stays as it is, but for its class: a subclass
of the same name whose forward enters the mode.
"""

import copyreg
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import multi_head_attention_forward, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from ecoformer.errors import EcoformerError
from ecoformer.golden.sites.multihead import multi_head_attention
from ecoformer.golden.sites.reading import Unconvertible, read

__all__ = [
    "ATTRIBUTE", "FUNCTIONS", "CoreSequence", "Interception", "LeftAttention", "count_uses",
    "is_routed", "route", "softmax",
]

ATTRIBUTE = "ecoformer"
"""Attribute under which a module holds its attention."""
FUNCTIONS = {
    scaled_dot_product_attention: "scaled_dot_product_attention",
    torch.ops.aten.scaled_dot_product_attention: "scaled_dot_product_attention",
    multi_head_attention_forward: "MultiheadAttention",
}
"""Functions that attend, and what reports call them."""

Attend = Callable[..., tuple[torch.Tensor, Callable[[], torch.Tensor]]]


class Interception(TorchFunctionMode):
    """Meanwhile calls that attend are answered by others.

    Fused kernels of torch, which would attend unseen, step aside for any such mode, but not in
    compiled code.

    Parameters
    ----------
    turn : callable
        ``turn(function)`` is asked once per call and gives what answers it: a function with the
        arguments of ``scaled_dot_product_attention``, which gives the outputs and a function that
        gives the weights. With None the call is left alone.
    """

    def __init__(self, turn: Callable[[Callable], Attend | None]):
        super().__init__()
        self.turn = turn

    def __torch_function__(
        self, func: Callable, types: Sequence, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in FUNCTIONS:
            return _passed(func, args, kwargs)
        with torch._C.DisableTorchFunction():  # what answers is not caught again further out
            attend = self.turn(func)
            if attend is None:
                return func(*args, **kwargs)
            if func is multi_head_attention_forward:
                return multi_head_attention(attend, *args, **kwargs)
            return attend(*args, **kwargs)[0]


def _passed(func, args, kwargs):
    """A function as it is; a method by its name, because dynamo cannot trace some otherwise."""
    if torch.compiler.is_dynamo_compiling():
        name = getattr(func, "__name__", "")
        if getattr(torch.Tensor, name, None) is func:
            return getattr(args[0], name)(*args[1:], **kwargs)
    return func(*args, **kwargs)


class LeftAttention(nn.Module):
    """Stands where attention stays as it is, so that later turns of a module keep their number.

    Parameters
    ----------
    site : golden.sites.site.Site
        With the reason.
    """

    def __init__(self, site: Any):
        super().__init__()
        self.site = site

    def extra_repr(self) -> str:
        return self.site.reason


class CoreSequence(nn.ModuleList):
    """The attention of a module that attends several times per pass, one after the other.

    Parameters
    ----------
    turns : list of EcoFormerAttention or LeftAttention
    """

    def __init__(self, turns: Sequence[nn.Module]):
        super().__init__(turns)
        self.next = 0

    def turn(self) -> nn.Module:
        """The attention whose turn it is."""
        module = self[self.next]
        self.next = (self.next + 1) % len(self)
        return module


def count_uses(model: nn.Module) -> None:
    """Check in every pass of ``model`` that its modules attend as often as they have cores."""
    model.register_forward_pre_hook(_begin_pass)
    model.register_forward_hook(_end_pass)


def _begin_pass(model, args):
    """Start from the first use, even if the previous pass was interrupted."""
    for sequence in _sequences(model):
        sequence.next = 0


def _end_pass(model, args, output):
    if any(sequence.next for sequence in _sequences(model)):
        raise EcoformerError(
            f"{type(model).__name__}: a module did not attend as often as during conversion; its "
            "hashes cannot be told apart"
        )


def _sequences(model):
    return [module for module in model.modules() if isinstance(module, CoreSequence)]


def route(module: nn.Module, attention: nn.Module) -> None:
    """Let the calls of ``module``'s own code be answered by ``attention``, which it then holds.

    Parameters
    ----------
    module : Module
        Changed in place: a new submodule, and a class of the same name.
    attention : EcoFormerAttention, LeftAttention or CoreSequence
    """
    setattr(module, ATTRIBUTE, attention)
    if not is_routed(module):
        kind: Any = type(module)
        module.__class__ = _routed(kind)


def is_routed(module: nn.Module) -> bool:
    """Whether :func:`route` has been here."""
    return isinstance(module, _Routed)


class _Routed:
    """What marks a class whose calls are answered by others."""


@functools.cache
def _routed(base: Any) -> Any:
    class Routed(_Routed, base):  # type: ignore[misc, valid-type]
        @functools.wraps(base.forward)
        def forward(self, *args, **kwargs):
            with Interception(functools.partial(_turn, self)):
                return base.forward(self, *args, **kwargs)

        def __reduce_ex__(self, protocol):
            # Only the class that it was made from can be found by name.
            _, _, *rest = super().__reduce_ex__(protocol)
            return (_again, (base,), *rest)

    Routed.__name__, Routed.__qualname__ = base.__name__, base.__qualname__
    Routed.__module__, Routed.__doc__ = base.__module__, base.__doc__
    return Routed


def _again(base):
    return copyreg.__newobj__(_routed(base))


def _turn(module, function):
    """What answers the next call of ``module``."""
    attention = module._modules[ATTRIBUTE]
    if isinstance(attention, CoreSequence):
        attention = attention.turn()
    if isinstance(attention, LeftAttention):
        return softmax
    return functools.partial(_answer, attention, type(module).__name__)


def softmax(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *positional: Any, **named: Any
) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
    """Outputs of ``scaled_dot_product_attention``, and what gives its weights."""
    def weights():
        one_hot = torch.eye(value.shape[-2], dtype=value.dtype, device=value.device)
        one_hot = one_hot.expand(*value.shape[:-2], -1, -1)
        return scaled_dot_product_attention(query, key, one_hot, *positional, **named)

    return scaled_dot_product_attention(query, key, value, *positional, **named), weights


def _answer(core, name, query, key, value, *positional, scale=None, **named):
    """Outputs of EcoFormer attention in the shape of the call, and what gives the weights."""
    try:
        asked = read(query, key, value, *positional, **named)
        _check(core, asked)
    except Unconvertible as error:
        raise EcoformerError(f"{name}: {error}; it attended otherwise when converted") from error
    o = core(asked.q, asked.k, asked.v, asked.key_mask)
    return asked.restore(o), lambda: core.weights(asked.q, asked.k, asked.key_mask)


def _check(core, asked):
    if asked.masks and core.mask not in asked.masks:
        raise Unconvertible(f"a {asked.masks[0]} mask in place of a {core.mask} one")
    shape = asked.q.shape[1], asked.q.shape[-1]
    if shape != (core.heads, core.hash.head_dim):
        raise Unconvertible("{} heads of {} elements in place of {} of {}".format(
            *shape, core.heads, core.hash.head_dim
        ))
