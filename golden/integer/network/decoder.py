# SPDX-License-Identifier: Apache-2.0
"""A decoder in integers: tokens in, scores of the next token out, with every tensor on the way.

    x = sat(embedding[token] + positions[t])
    every block as in `golden.integer.network.layers`, with causal attention
    scores = classifier(norm(x))

Contexts may be computed at once or piece by piece, each piece on the state that the one before
left; the bits are the same.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ecoformer.golden.integer.attention import empty_state
from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.network.layers import Layers
from ecoformer.golden.integer.network.linear import saturate
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Memory", "advance", "empty_memory", "run", "trace"]


@dataclass(frozen=True)
class Memory:
    """What is kept of a context, or of several that are as long as each other.

    Parameters
    ----------
    count : int
        Tokens so far.
    states : list of list of State
        Of every head of every block.
    """

    count: int
    states: list[list[State]]


def empty_memory(design: DecoderDesign) -> Memory:
    """That of a context without tokens."""
    empty = empty_state(design.heads_engine)
    return Memory(0, [[empty] * design.heads for _ in range(design.depth)])


def run(design: DecoderDesign, image: NetworkImage, tokens: np.ndarray) -> np.ndarray:
    """Scores int64 [..., N, vocabulary] of contexts of N tokens, int [..., N].

    The best token is the first one of the largest score.
    """
    ((_, scores),) = deque(trace(design, image, tokens), maxlen=1)
    return scores


def trace(
    design: DecoderDesign, image: NetworkImage, tokens: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of whole contexts of ``tokens``, int [..., N], in the order of computation.

    Yields
    ------
    name : str
        ``embedding`` (positions included); for every block I the tensors of
        `Layers.block`, as ``blocks.I.NAME``; ``norm``, ``scores``.
    tensor : int64 [..., N, elements]

    Raises
    ------
    ValueError
        A number that is no token, or more tokens than positions.
    """
    layers = Layers(design, image)
    yield from _trace(layers, tokens, 0, layers.attention)


def advance(
    design: DecoderDesign, image: NetworkImage, tokens: np.ndarray, memory: Memory
) -> tuple[dict[str, np.ndarray], Memory]:
    """The tensors of the next ``tokens``, int [..., N], of contexts, and what to keep then.

    Tensors, names and errors are those of :func:`trace`. ``memory`` stays as it is.
    """
    layers = Layers(design, image)
    after: list[list[State]] = []

    def attention(block, vectors):
        outputs, states = layers.attention_on(block, vectors, memory.states[block])
        after.append(states)
        return outputs

    tensors = dict(_trace(layers, tokens, memory.count, attention))
    return tensors, Memory(memory.count + np.shape(tokens)[-1], after)


def _trace(layers, tokens, first, attention):
    design, arrays = layers.design, layers.image.arrays
    tokens = np.asarray(tokens)
    last = first + tokens.shape[-1]
    if last > design.positions:
        raise ValueError(f"a context must have at most {design.positions} tokens, not {last}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < design.vocabulary:
        raise ValueError(f"tokens must be 0…{design.vocabulary - 1}")
    x = arrays["embedding"][tokens] + arrays["positions"][first:last]
    yield "embedding", (x := saturate(x, design.residual_width))
    for block in range(design.depth):
        for part, tensor in layers.block(block, x, attention):
            yield f"blocks.{block}.{part}", tensor
        x = tensor
    yield "norm", (x := layers.norm("norm", x))
    yield "scores", layers.linear("classifier", x)
