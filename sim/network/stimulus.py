# SPDX-License-Identifier: Apache-2.0
"""Random parameters and images for a whole network, in which every layer stays lively."""

from __future__ import annotations

import numpy as np

from ecoformer.sim.stimulus import random_image as random_attention
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage, attention_name, network_arrays
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer
from ecoformer.spec.parameters import integer_arrays

__all__ = ["random_image", "random_pixels"]

SPREAD = 2
"""Bits above the standard deviation of a lively number: four of them fill its width."""
RESIDUAL_SPREAD = 4
"""The same of what is added to a token: many additions fit before one saturates."""
EXTREMES = 0.3
"""Share of extreme channels, and of extreme elements, of an image with extremes."""


def random_image(design: Transformer, seed: int, *, extremes: bool = False) -> NetworkImage:
    """A legal image of random integers.

    Shifts are such that sums of random inputs fill the range of an output without saturating it, so
    numbers differ from token to token in every layer.

    Parameters
    ----------
    design : Transformer
    seed : int
    extremes : bool
        Whether some channels have the smallest or largest weights, bias or shift, and positions,
        tables and epsilons are extremes as well; then much saturates.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for name, shape in design.linears.items():
        for part, array in _linear(design, name, shape, rng).items():
            arrays[f"{name}.{part}"] = array
    lively = 1 << (design.residual_width - 1 - RESIDUAL_SPREAD)
    for name, rows in design.constants.items():
        arrays[name] = rng.integers(-lively, lively, (rows, design.width))
    for name in design.norms:
        arrays[f"{name}.epsilon"] = np.array(rng.integers(1, 100))
    for block in range(design.depth):
        arrays[f"blocks.{block}.table"] = _table(rng)
        drawn = random_attention(design.heads_engine, rng)
        for name in integer_arrays(design.heads_engine):
            arrays[attention_name(block, name)] = getattr(drawn, name)
    if extremes:
        _exaggerate(design, arrays, rng)
    image = NetworkImage(arrays)
    image.check(design)
    return image


def random_pixels(design: NetworkDesign, seed: int, count: int) -> np.ndarray:
    """``count`` images uint8 [count, channels, S, S]: noise, the first ones black and white."""
    shape = design.channels, design.image_size, design.image_size
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    pixels[1:3] = np.array([0, 255], dtype=np.uint8)[: max(0, count - 1), None, None, None]
    return pixels


def _linear(design, name, shape, rng):
    values = np.array(shape.weights.values)
    weights = rng.choice(values, (shape.inputs, shape.outputs))
    deviation = _deviation(design, name, shape) * np.sqrt(np.square(weights).sum(axis=0))
    spread = np.maximum(1, deviation)
    bias = np.rint(spread * rng.normal(0, 0.3, shape.outputs)).astype(np.int64)
    arrays = {"weights": weights}
    if shape.output_width:
        room = RESIDUAL_SPREAD if shape.output_width == design.residual_width else SPREAD
        wanted = np.log2(spread) - (shape.output_width - 1 - room)
        shift = np.clip(np.rint(wanted), 0, MAX_SHIFT).astype(np.int64)
        bias += (1 << shift) >> 1
        arrays["shift"] = shift
    return arrays | {"bias": np.clip(bias, -shape.max_bias, shape.max_bias)}


def _deviation(design: Transformer, name: str, shape: LinearShape) -> float:
    """About the standard deviation of an input of a layer."""
    if name == "stem":
        return 2.0**7
    if name == "classifier":
        return 2.0 ** (ACTIVATION_WIDTH - 1 - SPREAD) * np.sqrt(design.pooled_tokens)
    if name.endswith(".out"):  # averages of values, with fraction bits
        least = shape.input_width - 1
        return 2.0 ** min(least, design.attention.output_fraction + ACTIVATION_WIDTH - 1 - SPREAD)
    return 2.0 ** (ACTIVATION_WIDTH - 1 - SPREAD)


def _table(rng):
    """An activation: a random slope, flatter below some number, and noise."""
    low, high = signed_range(ACTIVATION_WIDTH)
    steps = np.arange(low, high + 1)
    slope = steps * rng.uniform(0.75, 1.25) + rng.integers(-9, 10, steps.size)
    bend = int(rng.integers(-40, 1))
    return np.clip(np.where(steps < bend, slope // 4, slope), low, high).astype(np.int64)


def _exaggerate(design, arrays, rng):
    """Change channels and elements to ends of their ranges, in place."""
    for name, bounds in network_arrays(design).items():
        if ".attention." in name:  # which has its own extremes
            continue
        array, ends = arrays[name], np.array([bounds.low, bounds.high])
        if bounds.weights is not None:
            channels = rng.random(array.shape[1]) < EXTREMES
            array[:, channels] = rng.choice(ends, channels.sum())
        else:
            chosen = rng.random(array.shape) < EXTREMES
            arrays[name] = np.where(chosen, rng.choice(ends, array.shape), array)
