"""Random parameters and sequences that reach the corners of the arithmetic."""

import numpy as np

from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.spec.arithmetic import (
    BIAS_WIDTH,
    KERNEL_INDEX_BITS,
    SCALE_WIDTH,
    SHIFT_WIDTH,
    Arithmetic,
)
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["random_image", "random_workload", "PATTERNS"]

BALANCE = 9
"""Random tokens between which a threshold is put; odd."""


def random_image(config, rng, *, sets=None):
    """Image of random integers: full-range extremes mixed with values near what training finds.

    Purely full-range numbers would saturate every kernel value and freeze every code bit. So most
    thresholds are what the median of some random tokens projects to: one of them ties.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    sets : int
        Sets in the image; all that the engine holds unless given.
    """
    bits = Arithmetic(config)
    sets = config.parameter_sets if sets is None else sets
    arrays = {}
    if config.hash == "none":
        arrays |= _random_scale(bits, rng, sets)
    else:
        extreme = rng.choice([0, bits.max_offset, bits.max_offset // 2], sets)
        offset = rng.integers(0, bits.max_offset + 1, sets)
        arrays["offset"] = np.where(rng.random(sets) < 0.5, extreme, offset)
    if config.is_hashed:
        arrays |= _random_projection(config, bits, rng, sets)
    if config.hash == "rbf":
        arrays |= _random_kernel(config, bits, rng, sets)
    image = ParameterImage(**arrays, value_scale=np.ones(sets, dtype=np.float32))
    if config.is_hashed:
        _centre_thresholds(config, image, rng)
    return image


def _random_scale(bits, rng, sets):
    """Mostly such that the differences of scores spread over the table."""
    spread = bits.score_width - 1 + SCALE_WIDTH - KERNEL_INDEX_BITS
    likely = rng.integers(max(0, spread - 3), spread + 2, sets)
    return {
        "scale": rng.choice([0, 1, (1 << SCALE_WIDTH) - 1], sets, p=[0.1, 0.1, 0.8]),
        "shift": np.where(rng.random(sets) < 0.8, likely, rng.integers(0, 1 << SHIFT_WIDTH, sets)),
    }


def _random_projection(config, bits, rng, sets):
    fold = config.projection_fold
    return {
        "projection": _random_weights(bits, rng, (sets, fold.outputs, fold.inputs)),
        "threshold": _uniform(rng, (sets, config.code_bits), bits.max_projection),
    }


def _random_kernel(config, bits, rng, sets):
    m = config.anchors
    return {
        "anchors": _random_weights(bits, rng, (sets, m, config.head_dim)),
        "bias": np.where(
            rng.random((sets, m)) < 0.25,
            _uniform(rng, (sets, m), 1 << (BIAS_WIDTH - 1)),
            rng.integers(0, 1 << KERNEL_INDEX_BITS, (sets, m)),
        ),
        "shift": np.where(
            rng.random(sets) < 0.75,
            rng.integers(10, 19, sets),
            rng.integers(0, 1 << SHIFT_WIDTH, sets),
        ),
    }


def _random_weights(bits, rng, shape):
    """Weights of any size, a tenth of them extremes."""
    values = np.array(bits.weights.values)
    extremes = rng.choice(values[[0, -1]], shape)
    return np.where(rng.random(shape) < 0.1, extremes, rng.choice(values, shape))


def _centre_thresholds(config, image, rng):
    for index in range(image.sets):
        tokens = _random(rng, (BALANCE, config.head_dim), config.token_width)
        trace = trace_tokens(config, image, index, tokens)
        middle = np.sort(trace.projection, axis=0)[BALANCE // 2]
        lively = rng.random(config.code_bits) < 0.9
        image.threshold[index] = np.where(lively, middle, image.threshold[index])


def random_workload(config, rng, sequences, *, lengths=None, sets=None, patterns=None):
    """Workload of random sequences, the extremes of :data:`PATTERNS` among them.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    sequences : int
        Number of sequences.
    lengths : int, (low, high) or None
        Tokens per sequence: fixed, uniform, or uniform over 1…``max_tokens``.
    sets : int
        Sets 0…sets-1 are drawn from; all that the engine holds unless given.
    patterns : sequence of str
        Names from :data:`PATTERNS`, taken in turn; every one unless given.
    """
    low, high = _span(lengths, config.max_tokens)
    sets = config.parameter_sets if sets is None else sets
    patterns = list(PATTERNS) if patterns is None else list(patterns)
    drawn = []
    for i in range(sequences):
        count = int(rng.integers(low, high + 1))
        pattern = PATTERNS[patterns[i % len(patterns)]]
        if config.hash == "codes":
            tokens = np.where(pattern(rng, (count, config.code_bits), 8) < 0, -1, 1)
        else:
            tokens = pattern(rng, (count, config.head_dim), config.token_width)
        values = pattern(rng, (count, config.value_dim), config.value_width)
        drawn.append((int(rng.integers(sets)), tokens, values))
    return Workload.from_sequences(drawn)


def _random(rng, shape, width):
    return _uniform(rng, shape, 1 << (width - 1))


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


PATTERNS = {
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


def _uniform(rng, shape, limit):
    return rng.integers(-limit, limit, shape)


def _span(lengths, longest):
    if lengths is None:
        return 1, longest
    return (lengths, lengths) if isinstance(lengths, int) else lengths
