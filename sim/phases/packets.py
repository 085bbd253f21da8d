# SPDX-License-Identifier: Apache-2.0
"""Scenes of good packets: lengths, extremes, parameters, stalls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ecoformer.sim.phases.draw import STALLS, Draw
from ecoformer.sim.script import Await, Gate, Press, Scene
from ecoformer.sim.stimulus import PATTERNS
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.parameters import integer_arrays

__all__ = [
    "every_set", "extremes", "images", "lengths", "random_lengths", "random_stalls", "stalls",
]


def lengths(draw: Draw) -> Iterator[Scene]:
    """One token to as many as there may be."""
    c, image = draw.config, draw.image()
    longest = c.max_tokens
    for name, counts in (
        ("one token", (1, 1, 1)),
        ("few tokens", (1, 2, 3, 2, 1)),
        ("longest", (longest,)),
        ("longest among short", (1, longest, longest, 1)),
    ):
        packets = tuple(draw.packet(i % image.sets, min(n, longest)) for i, n in enumerate(counts))
        yield Scene(name=name, image=image, packets=packets)
    for beats in (1, c.input_beats):
        packets = (draw.packet(), draw.too_long(beats=beats), draw.packet())
        yield Scene(name=f"too long by {beats}", image=image, packets=packets)


def random_lengths(draw: Draw) -> Iterator[Scene]:
    """Packets of random lengths, back to back."""
    while True:
        image = draw.image()
        counts = draw.rng.integers(1, draw.affordable + 1, 6)
        packets = tuple(
            draw.packet(int(draw.rng.integers(image.sets)), int(n)) for n in counts
        )
        yield Scene(name="lengths", image=image, packets=packets, seed=draw.seed())


def _constant(level):
    def draw(rng, shape, width):
        low, high = signed_range(width)
        return np.full(shape, {"low": low, "high": high, "zero": 0}[level], dtype=np.int64)

    return draw


def _checkered(rng, shape, width):
    low, high = signed_range(width)
    return np.where(np.indices(shape).sum(axis=0) % 2, low, high)


EXTREMES = (_constant("low"), _constant("high"), _constant("zero"), _checkered)


def extremes(draw: Draw) -> Iterator[Scene]:
    """All lowest, all highest, zero, and checkered, in data and parameters."""
    longest = draw.config.max_tokens
    named = [("random", draw.image())]
    named += [(level, _extreme_image(draw, level)) for level in ("low", "high", "zero")]
    for name, image in named:
        packets = [
            draw.packet(i % image.sets, min(n, longest), pattern=pattern)
            for n in (1, 4)
            for i, pattern in enumerate(EXTREMES)
        ]
        yield Scene(name=f"{name} parameters", image=image, packets=tuple(packets))
    for pattern in EXTREMES:
        packet = draw.packet(0, longest, pattern=pattern)
        yield Scene(name="longest", image=draw.image(), packets=(packet,))


def _extreme_image(draw, level):
    """Every parameter at an end of its range, or the one nearest to zero."""
    c, image = draw.config, draw.image(sets=1)
    arrays = image.arrays()
    for name, bounds in integer_arrays(c).items():
        wanted = {"low": bounds.low, "high": bounds.high, "zero": 0}[level]
        if bounds.weights is not None:
            values = np.array(c.family.weights.values)
            wanted = values[np.argmin(np.abs(values - wanted))]
        arrays[name] = np.full_like(arrays[name], np.clip(wanted, bounds.low, bounds.high))
    return type(image)(**arrays)


def images(draw: Draw) -> Iterator[Scene]:
    """Packets under other random parameters each time."""
    while True:
        image = draw.fresh()
        packets = tuple(
            draw.packet(int(draw.rng.integers(image.sets)), pattern=PATTERNS[pattern])
            for pattern in (*PATTERNS, "random", "random")
        )
        yield Scene(
            name="image", image=image, packets=packets, seed=draw.seed(), **draw.stalls()
        )


def every_set(draw: Draw) -> Iterator[Scene]:
    """Every set of the engine, once in order and once backwards."""
    sets = draw.config.parameter_sets
    image = draw.image(sets=sets)
    order = [*range(sets), *reversed(range(sets))]
    packets = tuple(draw.packet(index, 1) for index in order)
    yield Scene(name="every set", image=image, packets=packets)


def stalls(draw: Draw) -> Iterator[Scene]:
    """Every pair of gaps and back-pressure."""
    image = draw.image()
    for gaps, pressure in ((0.95, 0.0), (0.0, 0.95), (0.95, 0.95), (0.5, 0.5), (0.2, 0.8)):
        packets = tuple(draw.packet(i % image.sets) for i in range(8))
        yield Scene(
            name=f"gaps {gaps}, pressure {pressure}", image=image, packets=packets,
            gaps=gaps, pressure=pressure, seed=draw.seed(),
        )
    packets = tuple(draw.packet(i % image.sets) for i in range(6))
    total = sum(len(packet.beats) for packet in packets)
    yield Scene(  # long waits at either side
        name="stopped", image=image, packets=packets,
        events=(
            Press(1.0), Gate(total // 2), Await(min(total // 2, draw.config.input_beats), 200),
            Press(0.0), Await(total // 2, 300), Gate(None),
        ),
    )
    longest = tuple(draw.packet(i % image.sets, draw.config.max_tokens) for i in range(2))
    yield Scene(
        name="longest under stalls", image=image, packets=longest, gaps=0.95, pressure=0.95,
        seed=draw.seed(),
    )


def random_stalls(draw: Draw) -> Iterator[Scene]:
    """Random gaps and back-pressure."""
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(8))
        yield Scene(
            name="stalls", image=image, packets=packets, seed=draw.seed(),
            gaps=float(draw.rng.choice(STALLS)), pressure=float(draw.rng.choice(STALLS)),
        )
