# SPDX-License-Identifier: Apache-2.0
"""Scenes whose tokens lie at the thresholds of their hash: its least error flips a code.

A code is a sign, and hides nearly every error of the numbers that it is the sign of. So parameters
are aimed at the tokens that will be sent: every code bit ties for one of them, or misses by one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Packet, Scene
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.sides import Side

__all__ = ["aim", "has_thresholds", "ties"]

LIVE = 512
"""Arguments of the kernel up to this change it by one each, about."""


def has_thresholds(config: Config) -> bool:
    """Whether codes are signs of numbers that the engine computes."""
    return "threshold" in config.family.parameters


def ties(draw: Draw) -> Iterator[Scene]:
    """Tokens of all magnitudes, each set aimed at those that are sent to it."""
    while True:
        image = draw.fresh()
        packets = tuple(draw.packet(index, pattern=_scaled) for index in range(image.sets))
        for index, packet in enumerate(packets):
            for side, tokens in _sides(draw.config, packet):
                aim(draw.config, image.side(side), index, tokens, draw.rng)
        yield Scene(name="ties", image=image, packets=packets, seed=draw.seed(), **draw.stalls())


def _scaled(rng, shape, width):
    """Uniform numbers of as many bits as drawn for each token."""
    limit = 1 << rng.integers(0, width, (shape[0], 1))
    return rng.integers(-limit, limit, shape)


def _sides(config: Config, packet: Packet) -> Iterator[tuple[Side, np.ndarray]]:
    """Every side, and its tokens in the packet or its partner."""
    for inlet, sent in zip(config.wire.inlets, packet.streams, strict=True):
        yield from zip(inlet.all, inlet.split(sent.tokens), strict=True)


def aim(
    config: Config,
    image: ParameterImage,
    index: int,
    tokens: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Change a set in place so that every code bit of one of the tokens is at its threshold.

    Parameters
    ----------
    image : ParameterImage
        Of one side.
    tokens : int64 [N, elements]
        Of this side.
    """
    if image.anchors is not None:
        _enliven(config, image, index, tokens, rng)
    projection = trace_tokens(config, image, index, tokens).projection
    assert projection is not None, "a family without thresholds has no scenes of this phase"
    near = projection + rng.integers(0, 2, config.code_bits)
    _set(config, image, index, threshold=_one_each(near, rng))


def _enliven(config, image, index, tokens, rng):
    """Anchors of all magnitudes, any shift, and a bias with which a token's kernel value is live.

    Else most kernel values are 0 or the largest, whatever comes before them.
    """
    weights = np.array(config.family.weights.values)
    small = image.anchors[index] >> rng.integers(0, config.token_width, (config.anchors, 1))
    image.anchors[index] = weights[np.abs(small[..., None] - weights).argmin(axis=-1)]
    _set(config, image, index, shift=rng.integers(0, config.family.parameters["shift"].high + 1))
    cosine = trace_tokens(config, image, index, tokens).cosine
    _set(config, image, index, bias=_one_each(cosine, rng) + rng.integers(0, LIVE, config.anchors))


def _one_each(numbers, rng):
    """The number of some token in every column."""
    rows, columns = numbers.shape
    return numbers[rng.integers(rows, size=columns), np.arange(columns)]


def _set(config, image, index, **wanted):
    """Change parameters in place, as far as their bounds allow."""
    for name, numbers in wanted.items():
        bounds = config.family.parameters[name]
        getattr(image, name)[index] = np.clip(numbers, bounds.low, bounds.high)
