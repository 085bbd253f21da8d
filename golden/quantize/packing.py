# SPDX-License-Identifier: Apache-2.0
"""What an engine is sent for a call of attention, one class per kind of attention."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.kinds import engine_kind
from ecoformer.golden.quantize.calibration import set_numbers
from ecoformer.golden.quantize.host import quantise_tokens, quantise_values
from ecoformer.golden.recording import Call
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["PACKINGS", "Packet", "Packing", "make_packing", "workload_of"]

ROUNDING = 1
"""Most steps by which a token may differ from what a context was sent of it: a network computes
the same token with other rounding when others are computed with it."""


class Packet(NamedTuple):
    """One sequence of a workload, and what it asks of contexts."""

    sequence: tuple
    context: int = 0
    begin: bool = True


class Packing:
    """Packets of the calls of some layers; their answers come image by image and head by head.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    layers : list of EcoFormerAttention
        All layers of the engine: they determine which parameter sets belong to which layer.

    Members
    -------
    numbers : dict of int array [H]
        Parameter sets by number of the layer.
    """

    def __init__(
        self, config: Config, image: ParameterImage, layers: Sequence[EcoFormerAttention]
    ):
        self.config, self.image = config, image
        self.numbers = {
            layer.layer: numbers for layer, numbers in zip(layers, set_numbers(layers), strict=True)
        }

    def packets(self, layer: int, call: Call) -> Iterator[Packet]:
        """What is sent for one call; nothing for a sequence that is all padding.

        Raises
        ------
        EcoformerError
            The engine cannot compute it.
        """
        raise NotImplementedError

    def answered(self, call: Call) -> np.ndarray:
        """Which queries of a call are answered, by the last rows of an answer: bool [B, M]."""
        raise NotImplementedError

    def sent(self, call: Call) -> np.ndarray:
        """The sequences of which a query is answered: int [n]."""
        return np.flatnonzero(self.answered(call).any(axis=1))

    def refuse(self, layer: int, call: Call, must: str) -> EcoformerError:
        """The error that an engine cannot compute a call."""
        return EcoformerError(
            f"model: layer {layer} has {call.q.shape[2]} queries for {call.k.shape[2]} keys"
            f"{' of another sequence' if call.cross else ''}; [engine] {must}"
        )

    def _check_length(self, layer, call, tokens):
        if tokens > self.config.max_tokens:
            raise self.refuse(
                layer, call, f"max_tokens must be at least {tokens}, not {self.config.max_tokens}"
            )

    def _heads(self, layer, call):
        """Image, head and parameter set of every sequence that is sent."""
        for n in self.sent(call):
            for head, index in enumerate(self.numbers[layer]):
                yield n, head, index

    def _tokens(self, call, side, n, head, index):
        """Integer tokens of one side of one sequence, padding included: int64 [N, D]."""
        image = self.image.side(side)
        return quantise_tokens(
            self.config, call.vectors[side.vector][n, head].numpy(), image.token_scale[index],
            image.unit_tokens[index],
        )

    def _values(self, call, n, head, index):
        """Integer values of one sequence, padding included: int64 [N, E]."""
        scale = self.image.value_scale[index]
        return quantise_values(self.config, call.v[n, head].numpy(), scale)


class Whole(Packing):
    """Self-attention: a packet is a sequence, whose tokens hold queries and keys."""

    def packets(self, layer: int, call: Call) -> Iterator[Packet]:
        if not call.is_of_itself:
            raise self.refuse(layer, call, "queries must be 'cross' for that")
        mask = _mask(call)
        self._check_length(layer, call, int(mask.sum(axis=1).max()))
        for n, head, index in self._heads(layer, call):
            sides = [self._tokens(call, side, n, head, index) for side in self.config.sides.all]
            tokens, values = np.concatenate(sides, axis=-1), self._values(call, n, head, index)
            yield Packet((int(index), tokens[mask[n]], values[mask[n]]))

    def answered(self, call: Call) -> np.ndarray:
        return _mask(call)


class Continued(Packing):
    """Causal attention: a packet goes on with a context, if that holds what came before.

    So a decoder with a cache sends each token once. Contexts are kept as long as there is room; the
    one that was used longest ago makes way. A sequence whose context was lost, or holds other
    tokens, as after a beam search has moved it, is sent from its beginning.
    """

    def __init__(
        self, config: Config, image: ParameterImage, layers: Sequence[EcoFormerAttention]
    ):
        super().__init__(config, image, layers)
        self.held: OrderedDict[tuple, tuple[int, np.ndarray, np.ndarray]] = OrderedDict()

    def packets(self, layer: int, call: Call) -> Iterator[Packet]:
        queries, keys = call.q.shape[2], call.k.shape[2]
        if call.cross or queries > keys:
            raise self.refuse(layer, call, "mask must be 'full' and queries 'cross' for that")
        mask, asked = _mask(call), self.answered(call).sum(axis=1)
        self._check_length(layer, call, int(mask.sum(axis=1).max()))
        key, *others = self.config.sides.all[::-1]
        for n, head, index in self._heads(layer, call):
            tokens = self._tokens(call, key, n, head, index)[mask[n]]
            values = self._values(call, n, head, index)[mask[n]]
            context, before = self._resume((layer, int(n), head), tokens, values, int(asked[n]))
            sides = [tokens]
            for side in others:  # earlier queries are not known; their answers are not wanted
                known = np.zeros((keys, tokens.shape[1]), dtype=np.int64)
                known[keys - queries :] = self._tokens(call, side, n, head, index)
                sides.insert(0, known[mask[n]])
            rest = np.concatenate(sides, axis=-1)[before:]
            yield Packet((int(index), rest, values[before:]), context, not before)

    def _resume(self, sequence, tokens, values, asked):
        """Context of a sequence, and how many of its tokens that holds already."""
        context, *held = self.held.pop(sequence, (None, tokens[:0], values[:0]))
        before = len(held[0])
        if before > len(tokens) - asked or not all(
            np.abs(old - new[:before]).max(initial=0) <= ROUNDING
            for old, new in zip(held, (tokens, values))
        ):
            before = 0
        if context is None:
            context = len(self.held)
            if context == self.config.contexts:
                _, (context, *_) = self.held.popitem(last=False)
        parts = (np.concatenate([old[:before], new[before:]]) for old, new in
                 zip(held, (tokens, values)))
        self.held[sequence] = (context, *parts)
        return context, before

    def answered(self, call: Call) -> np.ndarray:
        return _mask(call)[:, call.k.shape[2] - call.q.shape[2] :]


class Pairs(Packing):
    """Cross attention: a packet of keys and values, and one of the queries of another sequence."""

    def packets(self, layer: int, call: Call) -> Iterator[Packet]:
        mask, sides = _mask(call), self.config.sides
        self._check_length(layer, call, max(call.q.shape[2], int(mask.sum(axis=1).max())))
        for n, head, index in self._heads(layer, call):
            queries = self._tokens(call, sides.query, n, head, index)
            keys = self._tokens(call, sides.key, n, head, index)[mask[n]]
            values = self._values(call, n, head, index)[mask[n]]
            yield Packet((int(index), keys, values, queries[self.answered(call)[n]]))

    def answered(self, call: Call) -> np.ndarray:
        if call.is_of_itself:
            return _mask(call)
        return np.repeat(_mask(call).any(axis=1, keepdims=True), call.q.shape[2], axis=1)


PACKINGS: dict[str, type[Packing]] = {"self": Whole, "causal": Continued, "cross": Pairs}
"""Packing of every kind of attention (:data:`golden.kinds.KINDS`)."""


def make_packing(
    config: Config, image: ParameterImage, layers: Sequence[EcoFormerAttention]
) -> Packing:
    """The packing for an engine of ``config``."""
    return PACKINGS[engine_kind(config)](config, image, layers)


def workload_of(packets: Iterable[Packet]) -> Workload:
    """The workload of some packets, at least one."""
    sequences, contexts, begins = zip(*packets, strict=True)
    return Workload.from_sequences(
        sequences, contexts=np.array(contexts, dtype=np.int64),
        begins=np.array(begins, dtype=np.int64),
    )


def _mask(call):
    """Which keys of each sequence are not padding: bool [B, N]."""
    if call.key_mask is None:
        return np.ones((call.k.shape[0], call.k.shape[2]), dtype=bool)
    return call.key_mask.numpy()
