# SPDX-License-Identifier: Apache-2.0
"""Random parameters and sequences that reach the corners of the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.sim.contexts import history
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["random_image", "random_workload", "PATTERNS"]

BALANCE = 9
"""Random tokens whose median projection becomes a threshold; odd."""
LIVELY = 0.9
"""Share of the thresholds that are such medians."""


def random_image(
    config: Config, rng: np.random.Generator, *, sets: int | None = None
) -> ParameterImage:
    """Image of random integers: full-range extremes mixed with values near what training finds.

    Numbers of the full range alone would saturate every kernel value and freeze every code bit. So
    most thresholds are the median of what some random tokens project to: one of these tokens ties.

    Parameters
    ----------
    sets : int
        Sets in the image; as many as the engine holds by default.
    """
    sets = config.parameter_sets if sets is None else sets
    arrays = config.flow.draw(rng, sets)
    for side in config.sides.all:
        own = config.family.draw(rng, sets)
        arrays |= {side.prefix + name: array for name, array in own.items()}
    image = ParameterImage.of(config, **arrays, value_scale=np.ones(sets, dtype=np.float32))
    for side in config.sides.all:
        _centre_thresholds(config, image.side(side), rng)
    return image


def _centre_thresholds(config, image, rng):
    """Change the thresholds of an image of one side in place, if it has any."""
    for index in range(image.sets if image.threshold is not None else 0):
        tokens = _random(rng, (BALANCE, config.head_dim), config.token_width)
        trace = trace_tokens(config, image, index, tokens)
        middle = np.sort(trace.projection, axis=0)[BALANCE // 2]
        lively = rng.random(config.code_bits) < LIVELY
        image.threshold[index] = np.where(lively, middle, image.threshold[index])


def random_workload(
    config: Config,
    rng: np.random.Generator,
    sequences: int,
    *,
    lengths: int | tuple[int, int] | None = None,
    sets: int | None = None,
    patterns: Sequence[str] | None = None,
) -> Workload:
    """Workload of random sequences, the extremes of :data:`PATTERNS` among them.

    Where packets continue contexts, some do; none is lost, and none becomes too long.

    Parameters
    ----------
    sequences : int
        Number of sequences.
    lengths : int, (low, high) or None
        Tokens per sequence: fixed, uniform, or uniform over 1…``max_tokens``; and queries, where
        they come by themselves.
    sets : int
        Sets 0…sets-1 are drawn from; all that the engine holds by default.
    patterns : sequence of str
        Names from :data:`PATTERNS`, taken in turn; all of them by default.
    """
    low, high = _span(lengths, config.max_tokens)
    before, asked = history(config), []
    sets = config.parameter_sets if sets is None else sets
    patterns = list(PATTERNS) if patterns is None else list(patterns)
    elements, drawn = config.wire.inlets[0].elements, []
    for i in range(sequences):
        count = int(rng.integers(low, high + 1))
        pattern = PATTERNS[patterns[i % len(patterns)]]
        numbers = pattern(rng, (count, elements), config.token_width)
        values = pattern(rng, (count, config.value_dim), config.value_width)
        one = int(rng.integers(sets)), config.family.tokens_from(numbers), values
        queries = []
        for inlet in config.wire.inlets[1:]:
            shape = int(rng.integers(low, high + 1)), inlet.elements
            queries.append(config.family.tokens_from(pattern(rng, shape, config.token_width)))
        drawn.append((*one, *queries))
        asked.append(before.draw(rng, count))
        before.note(asked[-1], count)
    contexts, begins = np.array(asked, dtype=np.int64).reshape(-1, 2).T
    return Workload.from_sequences(drawn, contexts=contexts, begins=begins)


def _random(rng, shape, width):
    limit = 1 << (width - 1)
    return rng.integers(-limit, limit, shape)


def _lowest(rng, shape, width):
    return np.full(shape, -(1 << (width - 1)), dtype=np.int64)


def _edges(rng, shape, width):
    low = -(1 << (width - 1))
    return rng.choice(np.array([low, -low - 1, 0, -1, 1]), shape)


def _equal(rng, shape, width):
    return np.repeat(_random(rng, (1, shape[1]), width), shape[0], axis=0)


def _zero_token(rng, shape, width):
    numbers = _random(rng, shape, width)
    numbers[rng.integers(shape[0])] = 0
    return numbers


def _opposed(rng, shape, width):
    numbers = _equal(rng, shape, width)
    numbers[0] = np.clip(-numbers[0], None, (1 << (width - 1)) - 1)
    return numbers


def _small(rng, shape, width):
    return rng.integers(-2, 3, shape)


PATTERNS: dict[str, Callable[[np.random.Generator, tuple[int, int], int], np.ndarray]] = {
    "random": _random,
    "edges": _edges,
    "zero token": _zero_token,
    "equal": _equal,
    "opposed": _opposed,
    "lowest": _lowest,
    "small": _small,
}
"""How elements are drawn: uniform; extremes only; one token 0; all tokens equal; one the negative
of the others, whose denominator may well be negative; all -2^(w-1); small numbers."""


def _span(lengths, longest):
    if lengths is None:
        return 1, longest
    return (lengths, lengths) if isinstance(lengths, int) else lengths
