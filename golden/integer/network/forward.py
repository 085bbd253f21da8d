# SPDX-License-Identifier: Apache-2.0
"""The forward pass of a vision transformer in integers, with every tensor on the way.

    x = sat(stem(window) + positions[t])
    every block: x = sat(x + out(attention(vectors(norm1(x)))))
                 x = sat(x + down(table[up(norm2(x))]))
    scores = classifier(Σ over tokens of norm(x))
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from ecoformer.golden.integer.network.layers import Layers
from ecoformer.golden.integer.network.linear import saturate
from ecoformer.golden.integer.network.patches import patches
from ecoformer.spec.network.design import NetworkDesign
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
    layers = Layers(design, image)
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
