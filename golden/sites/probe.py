# SPDX-License-Identifier: Apache-2.0
"""Every attention of a network, found by running it once."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ecoformer.golden.sites.by_hand import HandWritten
from ecoformer.golden.sites.lineage import Lineage
from ecoformer.golden.sites.names import modules_by_name
from ecoformer.golden.sites.reading import Unconvertible, read
from ecoformer.golden.sites.routing import FUNCTIONS, Interception, softmax
from ecoformer.golden.sites.site import Site
from ecoformer.golden.sites.transformers_interface import interface_in_use

__all__ = ["as_written", "probe"]


def probe(model: nn.Module, run: Callable[[], object]) -> list[Site]:
    """Every attention of ``model`` while ``run()`` runs it once, in the order of use.

    Softmax attention that the network computes by hand comes last, with a reason, and so do
    modules of TorchScript that attend, into which nothing can look.
    """
    finder = _Finder(model)
    with torch.no_grad(), interface_in_use(model), finder.following():
        with as_written(), finder.lineage, finder.written, _Watching(finder):
            run()
    return [*finder.sites, *finder.by_hand, *_scripted(model)]


@contextmanager
def as_written() -> Iterator[None]:
    """Meanwhile what ``torch.compile`` has compiled runs as it is written."""
    if "torch._dynamo" not in sys.modules:  # it takes seconds to import, and compiles everything
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


class _Watching(Interception):
    """Tells a :class:`_Finder` of which sequences queries and keys are before they are answered."""

    def __init__(self, finder):
        super().__init__(finder.turn)
        self.finder = finder

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in FUNCTIONS:
            given = dict(zip(("query", "key"), args)) | (kwargs or {})
            of_itself = self.finder.lineage.are_of_one(given["query"], given["key"])
            self.finder.asked_of_itself = of_itself
        return super().__torch_function__(func, types, args, kwargs)


class _Finder:
    """Takes down every attention, and which module's code calls it."""

    def __init__(self, model):
        self.names = {id(module): name for name, module in modules_by_name(model).items()}
        self.modules = [
            module for module in model.modules()
            if id(module) in self.names and not isinstance(module, torch.jit.ScriptModule)
        ]
        self.stack = []
        self.uses = Counter()
        self.sites = []
        self.by_hand = []
        self.written = HandWritten(model, self.note_by_hand, self.note_unknown)
        self.lineage = Lineage(model)
        self.asked_of_itself = True

    @contextmanager
    def following(self):
        """Meanwhile ``stack`` holds the modules that run, the innermost last."""
        def enter(module, args):
            self.stack.append(module)

        def leave(module, args, output):
            self.stack.pop()

        hooks = []
        for module in self.modules:
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def path(self):
        """Name of the innermost module that runs."""
        return self.names[id(self.stack[-1])] if self.stack else ""

    def turn(self, function):
        path = self.path
        number = self.uses[path]
        self.uses[path] += 1

        def attend(query, key, value, *positional, **named):
            where = dict(path=path, turn=number, function=FUNCTIONS[function])
            self.sites.append(self.site(where, query, key, value, *positional, **named))
            return softmax(query, key, value, *positional, **named)

        return attend

    def site(self, where, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *,
             scale=None, enable_gqa=False):
        """The site of a call with these arguments, with the reason if it cannot be replaced."""
        where |= dict(scale=scale, head_dim=query.shape[-1])
        owner = self.stack[-1] if self.stack else None
        if isinstance(owner, torch.fx.GraphModule):
            return Site(reason="a torch.fx.GraphModule; convert before tracing", **where)
        if owner is not None and "forward" in vars(owner):
            return Site(reason="its forward was replaced, as by accelerate; undo that", **where)
        if dropout_p and not (owner and owner.training):
            return Site(reason=f"dropout of {dropout_p:g} in evaluation mode", **where)
        if self.written.is_learned(attn_mask):
            return Site(reason="a learned bias is added to the scores", **where)
        try:
            asked = read(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa=enable_gqa)
        except Unconvertible as error:
            return Site(reason=str(error), **where)
        queries, keys = asked.q.shape[-2], asked.k.shape[-2]
        return Site(
            heads=asked.q.shape[1], key_heads=asked.key_heads, mask=asked.masks[0],
            cross=queries != keys or not self.asked_of_itself, **where,
        )

    def note_by_hand(self, weights, steps):
        self.by_hand.append(Site(
            path=self.path, function="softmax by hand",
            heads=weights.shape[1] if weights.ndim == 4 else 0,
            cross=weights.shape[-2] != weights.shape[-1],
            reason=f"exact softmax computed by hand ({', '.join(steps)}), not by a function that "
                   "attends",
        ))


    def note_unknown(self, name):
        self.by_hand.append(
            Site(path=self.path, function=name, reason=f"{name}, a function that is not known")
        )


ATTENDING = ("aten::softmax", "scaled_dot_product_attention", "_native_multi_head_attention")


def _scripted(model):
    """Modules of TorchScript whose code attends."""
    names = modules_by_name(model).items()
    scripted = {name: m for name, m in names if isinstance(m, torch.jit.ScriptModule)}
    for name, module in scripted.items():
        inner = name.rpartition(".")[0] in scripted
        if not inner and any(word in str(module.inlined_graph) for word in ATTENDING):
            yield Site(
                path=name, function="TorchScript", reason="TorchScript, which hides what it calls"
            )
