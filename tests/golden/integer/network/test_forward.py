# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.network.forward import run, trace
from ecoformer.golden.integer.network.norm import norm
from ecoformer.golden.integer.network.patches import patches
from ecoformer.sim.network.stimulus import random_image, random_pixels
from tests.golden.integer.network.designs import DESIGNS


class ByHand:
    """The forward pass of one image, token by token and element by element."""

    def __init__(self, design, image):
        self.design = design
        self.arrays = image.arrays
        self.image = image

    def linear(self, name, x, width):
        weights = self.arrays[f"{name}.weights"].tolist()
        bias, shift = self.arrays[f"{name}.bias"].tolist(), self.arrays[f"{name}.shift"].tolist()
        return [
            limited((sum(a * row[o] for a, row in zip(x, weights)) + bias[o]) >> shift[o], width)
            for o in range(len(bias))
        ]

    def norm(self, name, tokens):
        return norm(self.design.norm, np.array(tokens), self.arrays[f"{name}.epsilon"]).tolist()

    def attention(self, block, vectors):
        """Heads apart, each with its vectors one behind the other."""
        design, dim = self.design, self.design.head_dim
        names = ["x", "v"] if design.vectors == 2 else ["q", "k", "v"]
        outputs = [[] for _ in vectors]
        for head in range(design.heads):
            start = head * len(names) * dim
            own = {
                name: np.array([v[start + i * dim : start + (i + 1) * dim] for v in vectors])
                for i, name in enumerate(names)
            }
            tokens = np.concatenate([own[name] for name in names[:-1]], axis=-1)
            result, _ = attend(
                design.heads_engine, self.image.attention(block), head, tokens, own["v"]
            )
            for output, row in zip(outputs, result.tolist()):
                output += row
        return outputs

    def add(self, x, y):
        return [
            [limited(a + b, self.design.residual_width) for a, b in zip(*rows)]
            for rows in zip(x, y)
        ]

    def trace(self, pixels):
        d, a, r = self.design, 8, self.design.residual_width
        windows = patches(d, pixels[None])[0].tolist()
        x = self.add(
            [self.linear("stem", window, r) for window in windows],
            self.arrays["positions"].tolist(),
        )
        yield "stem", x
        for i in range(d.depth):
            name = f"blocks.{i}"
            yield f"{name}.norm1", (y := self.norm(f"{name}.norm1", x))
            yield f"{name}.vectors", (y := [self.linear(f"{name}.vectors", t, a) for t in y])
            yield f"{name}.attention", (y := self.attention(i, y))
            yield f"{name}.out", (y := [self.linear(f"{name}.out", t, r) for t in y])
            yield f"{name}.residual1", (x := self.add(x, y))
            yield f"{name}.norm2", (y := self.norm(f"{name}.norm2", x))
            yield f"{name}.up", (y := [self.linear(f"{name}.up", t, a) for t in y])
            table = self.arrays[f"{name}.table"].tolist()
            yield f"{name}.activation", (y := [[table[e + 128] for e in t] for t in y])
            yield f"{name}.down", (y := [self.linear(f"{name}.down", t, r) for t in y])
            yield f"{name}.residual2", (x := self.add(x, y))
        yield "norm", (y := self.norm("norm", x))
        yield "pooled", (pooled := [sum(column) for column in zip(*y)])
        weights = self.arrays["classifier.weights"].tolist()
        yield "scores", [
            sum(t * row[c] for t, row in zip(pooled, weights)) + int(bias)
            for c, bias in enumerate(self.arrays["classifier.bias"])
        ]


def limited(number, width):
    limit = 1 << (width - 1)
    return max(-limit, min(limit - 1, number))


@pytest.mark.parametrize("extremes", [False, True])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_tensor_is_that_of_plain_loops(name, extremes):
    design = DESIGNS[name]
    image = random_image(design, 3, extremes=extremes)
    pixels = random_pixels(design, 4, 4)
    traced = list(trace(design, image, pixels))
    for number in range(len(pixels)):
        plain = list(ByHand(design, image).trace(pixels[number]))
        assert [name for name, _ in plain] == [name for name, _ in traced]
        for (name, wanted), (_, tensor) in zip(plain, traced):
            assert tensor.dtype == np.int64
            assert tensor[number].tolist() == wanted, name


def test_the_scores_are_the_last_tensor():
    design = DESIGNS["two blocks"]
    image, pixels = random_image(design, 0), random_pixels(design, 1, 5)
    names = [name for name, _ in trace(design, image, pixels)]
    assert names[:4] == ["stem", "blocks.0.norm1", "blocks.0.vectors", "blocks.0.attention"]
    assert names[-4:] == ["blocks.1.residual2", "norm", "pooled", "scores"]
    scores = run(design, image, pixels)
    assert scores.shape == (5, 3)
    np.testing.assert_array_equal(scores, dict(trace(design, image, pixels))["scores"])


def test_images_do_not_meet():
    design = DESIGNS["separate queries"]
    image, pixels = random_image(design, 0), random_pixels(design, 1, 5)
    alone = [run(design, image, pixels[i : i + 1])[0] for i in range(5)]
    np.testing.assert_array_equal(run(design, image, pixels), alone)
    assert len({tuple(scores) for scores in alone}) > 1
