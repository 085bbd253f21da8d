# SPDX-License-Identifier: Apache-2.0
"""The section "A whole network" of docs/numbers.md, implemented from its text alone."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from ecoformer.golden.integer.network import decoder
from ecoformer.golden.integer.network.forward import run
from ecoformer.sim.network.stimulus import random_image, random_pixels
from tests.docs.test_numbers import ROOT, answer, weights
from tests.golden.integer.network.decoders import DECODERS
from tests.golden.integer.network.designs import DESIGNS


def sat(bits, numbers):
    limit = 2 ** (bits - 1)
    return [min(max(x, -limit), limit - 1) for x in numbers]


def sums(p, x):
    """x·W + β."""
    columns = zip(*p["weights"], strict=True)
    return [
        sum(a * w for a, w in zip(x, column, strict=True)) + bias
        for column, bias in zip(columns, p["bias"], strict=True)
    ]


def linear(p, x, bits):
    return sat(bits, [y >> s for y, s in zip(sums(p, x), p["shift"], strict=True)])


def norm(x, epsilon):
    w = len(x)
    b = next(b for b in range(20) if 2**b >= w)
    a, reciprocal = (b, 1) if w == 2**b else (b + 16, None)
    if reciprocal is None:
        reciprocal = floor(Fraction(2**a, w) + Fraction(1, 2))
    mean = (reciprocal * sum(x) + 2**a // 2) // 2**a
    d = [e - mean for e in x]
    v = sum(e * e for e in d) + epsilon
    e = (v.bit_length() + 1) // 2
    c = e + 10 - min(5 + b // 2, 10)
    root = ROOT[2**10 * v // 4**e]
    return sat(8, [(e * root + 2 ** (c - 1)) // 2**c for e in d])


def windows(design, pixels):
    size, p = design.image_size, design.patch
    for t in range(design.tokens):
        i, j = divmod(t, size // p)
        window = []
        for y in range(i * p - p + 1, i * p - p + 1 + 2 * p - 1):
            for x in range(j * p - p + 1, j * p - p + 1 + 2 * p - 1):
                inside = 0 <= y < size and 0 <= x < size
                window += [
                    2 * channel[y][x] - 255 if inside else 0 for channel in pixels
                ]
        yield window


def attention(design, p, vectors):
    """The outputs of all heads side by side."""
    config, dim = design.attention, design.head_dim
    outputs = [[] for _ in vectors]
    size = len(vectors[0]) // design.heads
    for head in range(design.heads):
        own = {name: array[head] for name, array in p.items()}
        rows = [v[head * size : (head + 1) * size] for v in vectors]
        tokens, values = [r[:-dim] for r in rows], [r[-dim:] for r in rows]
        for i, given in enumerate(weights(config, own, tokens)):
            seen = i + 1 if config.mask == "causal" else len(values)
            outputs[i] += answer(config, own, given[:seen], values[:seen], i)[0]
    return outputs


def add(x, y, bits):
    return [
        sat(bits, [a + b for a, b in zip(*rows, strict=True)]) for rows in zip(x, y, strict=True)
    ]


def part_of(arrays, prefix):
    prefix += "."
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def scores(design, arrays, pixels):
    bits = design.residual_width
    stem = part_of(arrays, "stem")
    x = [linear(stem, window, bits) for window in windows(design, pixels)]
    x = blocks(design, arrays, add(x, arrays["positions"], bits))
    pooled = [sum(column) for column in zip(*(norm(t, arrays["norm.epsilon"]) for t in x))]
    return sums(part_of(arrays, "classifier"), pooled)


def scores_of_tokens(design, arrays, tokens):
    x = [arrays["embedding"][token] for token in tokens]
    x = blocks(design, arrays, add(x, arrays["positions"][: len(x)], design.residual_width))
    classifier = part_of(arrays, "classifier")
    return [sums(classifier, norm(t, arrays["norm.epsilon"])) for t in x]


def blocks(design, arrays, x):
    bits = design.residual_width

    def part(prefix):
        return part_of(arrays, prefix)

    for i in range(design.depth):
        p = part(f"blocks.{i}")
        own = {name: part(f"blocks.{i}.{name}") for name in ("vectors", "out", "up", "down")}
        vectors = [linear(own["vectors"], norm(t, p["norm1.epsilon"]), 8) for t in x]
        o = attention(design, part(f"blocks.{i}.attention"), vectors)
        x = add(x, [linear(own["out"], t, bits) for t in o], bits)
        up = [linear(own["up"], norm(t, p["norm2.epsilon"]), 8) for t in x]
        hidden = [[p["table"][e + 128] for e in t] for t in up]
        x = add(x, [linear(own["down"], t, bits) for t in hidden], bits)
    return x


@pytest.mark.parametrize("extremes", [False, True])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_page_gives_every_score(name, extremes):
    design = DESIGNS[name]
    image, pixels = random_image(design, 11, extremes=extremes), random_pixels(design, 12, 3)
    arrays = {name: array.tolist() for name, array in image.arrays.items()}
    found = [scores(design, arrays, image.tolist()) for image in pixels]
    assert found == run(design, image, pixels).tolist()


@pytest.mark.parametrize("extremes", [False, True])
@pytest.mark.parametrize("name", DECODERS)
def test_the_page_gives_every_score_of_a_decoder(name, extremes):
    design = DECODERS[name]
    image = random_image(design, 13, extremes=extremes)
    arrays = {name: array.tolist() for name, array in image.arrays.items()}
    tokens = np.random.default_rng(14).integers(0, design.vocabulary, design.positions)
    wanted = decoder.run(design, image, tokens)
    assert scores_of_tokens(design, arrays, tokens.tolist()) == wanted.tolist()
