# SPDX-License-Identifier: Apache-2.0
"""The forward pass of a network in integers, with every tensor on the way.

    x = sat(stem(window) + positions[t])
    every block: x = sat(x + out(attention(vectors(norm1(x)))))
                 x = sat(x + down(table[up(norm2(x))]))
    scores = classifier(Σ over tokens of norm(x))
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.network.linear import linear, saturate
from ecoformer.golden.integer.network.norm import norm
from ecoformer.golden.integer.network.patches import patches
from ecoformer.spec.network.design import ACTIVATION_WIDTH, NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["run", "trace"]


def run(design: NetworkDesign, image: NetworkImage, pixels: np.ndarray) -> np.ndarray:
    """Scores int64 [B, classes] of images uint8 [B, channels, S, S].

    The label is the first class of the largest score. All images are worked on at once: the largest
    tensor has B·N·max(hidden, vectors·width) numbers of 8 bytes, so a caller cuts large sets.
    """
    ((_, scores),) = deque(trace(design, image, pixels), maxlen=1)
    return scores


def trace(
    design: NetworkDesign, image: NetworkImage, pixels: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the forward pass by name, in the order of computation.

    Yields
    ------
    name : str
        ``stem`` (positions included); for every block I ``blocks.I.norm1``, ``.vectors``,
        ``.attention``, ``.out``, ``.residual1``, ``.norm2``, ``.up``, ``.activation``, ``.down``
        and ``.residual2``; ``norm``, ``pooled``, ``scores``.
    tensor : int64 [B, N, …]
        ``pooled`` is [B, width] and ``scores`` [B, classes].
    """
    layers = _Layers(design, image)
    x = layers.linear("stem", patches(design, pixels))
    x = saturate(x + image.arrays["positions"], design.residual_width)
    yield "stem", x
    for block in range(design.depth):
        name = f"blocks.{block}"
        for part, tensor in layers.block(block, x):
            yield f"{name}.{part}", tensor
        x = tensor
    x = layers.norm("norm", x)
    yield "norm", x
    pooled = x.sum(axis=1)
    yield "pooled", pooled
    yield "scores", layers.linear("classifier", pooled)


class _Layers:
    """The layers of a network by name, with their parameters."""

    def __init__(self, design, image):
        self.design = design
        self.image = image

    def linear(self, name, x):
        return linear(self.design.linears[name], x, *self.image.linear(name))

    def norm(self, name, x):
        return norm(self.design.norm, x, self.image.arrays[f"{name}.epsilon"])

    def block(self, block, x):
        """The tensors of a block of tokens ``x`` by name; the last one is what leaves it."""
        name, width = f"blocks.{block}", self.design.residual_width
        yield "norm1", (y := self.norm(f"{name}.norm1", x))
        yield "vectors", (y := self.linear(f"{name}.vectors", y))
        yield "attention", (y := self.attention(block, y))
        yield "out", (y := self.linear(f"{name}.out", y))
        yield "residual1", (x := saturate(x + y, width))
        yield "norm2", (y := self.norm(f"{name}.norm2", x))
        yield "up", (y := self.linear(f"{name}.up", y))
        table = self.image.arrays[f"{name}.table"]
        yield "activation", (y := table[y + (1 << (ACTIVATION_WIDTH - 1))])
        yield "down", (y := self.linear(f"{name}.down", y))
        yield "residual2", saturate(x + y, width)

    def attention(self, block, vectors):
        """Outputs of all heads [B, N, width] of their vectors [B, N, heads·vectors·D]."""
        config, image = self.design.heads_engine, self.image.attention(block)
        outputs = []
        for head, own in enumerate(np.split(vectors, self.design.heads, axis=-1)):
            tokens, values = np.split(own, [own.shape[-1] - config.value_dim], axis=-1)
            outputs.append(attend(config, image, head, tokens, values)[0])
        return np.concatenate(outputs, axis=-1)
