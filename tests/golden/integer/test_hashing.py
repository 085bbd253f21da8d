# SPDX-License-Identifier: Apache-2.0
import ast
from dataclasses import replace
from fractions import Fraction
from math import floor, isqrt
from pathlib import Path

import numpy as np
import pytest

import ecoformer.golden.integer
from ecoformer.golden.integer.hashing import HashTrace, hash_tokens, trace_tokens
from ecoformer.sim.stimulus import PATTERNS, random_image
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import exponential_table, reciprocal_root_table
from ecoformer.spec.walsh import walsh_signs
from ecoformer.spec.weights import WEIGHT_FORMATS

SHAPES = {
    "one": Config(head_dim=1, code_bits=1, anchors=1, value_dim=1, parameter_sets=2),
    "primes": Config(head_dim=7, code_bits=5, anchors=3, value_dim=2, parameter_sets=2),
    "paper": Config(parameter_sets=2),
    "narrow": Config(head_dim=13, code_bits=9, anchors=31, token_width=4, parameter_sets=2),
}
FLOATING = ("float", "divide_", "true_divide", "round", "rint", "sqrt", "mean", "exp2", "log2")
INTEGERS = ("mean_shift",)  # names of numbers that sound like functions
MODULES = ("numpy", "collections", "dataclasses", "typing", "ecoformer")


def draw(config, seed, *, count=16):
    """A random image and tokens of every pattern."""
    rng = np.random.default_rng(seed)
    image = random_image(config, rng)
    shape = (count, config.head_dim)
    tokens = [pattern(rng, shape, config.token_width) for pattern in PATTERNS.values()]
    return image, np.concatenate(tokens)


def code_by_definition(image, index, token):
    """The documented formulas, one element at a time, in Python's unbounded integers."""
    x = [int(e) for e in token]
    norm = sum(e * e for e in x)
    e = 0
    while 4**e <= norm:
        e += 1
    root = reciprocal_root_table()[norm * 1_024 // 4**e]
    table, kernel = exponential_table(), []
    for anchor, bias in zip(image.anchors[index], image.bias[index], strict=True):
        dot = sum(a * b for a, b in zip(x, map(int, anchor), strict=True))
        scaled = floor(Fraction(32 * dot, 2**e))
        cosine = floor(Fraction(scaled * root, 2 ** int(image.shift[index])))
        kernel.append(table[min(max(int(bias) - cosine, 0), len(table) - 1)])
    projection = [
        sum(int(a) * kappa for a, kappa in zip(row, kernel, strict=True))
        for row in image.projection[index]
    ]
    return kernel, [
        1 if p >= t else -1 for p, t in zip(projection, image.threshold[index], strict=True)
    ]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SHAPES)
def test_codes_follow_the_definition(name, seed):
    config = SHAPES[name]
    image, tokens = draw(config, seed, count=3)
    for index in range(image.sets):
        trace = trace_tokens(config, image, index, tokens)
        for i, token in enumerate(tokens):
            kernel, code = code_by_definition(image, index, token)
            assert trace.kernel[i].tolist() == kernel, i
            assert trace.codes[i].tolist() == code, i


@pytest.mark.parametrize("weights", WEIGHT_FORMATS)
@pytest.mark.parametrize("name", SHAPES)
def test_linear_codes_follow_the_definition(name, weights):
    config = replace(SHAPES[name], hash="linear", weights=weights)
    image, tokens = draw(config, 0, count=3)
    for index in range(image.sets):
        codes = hash_tokens(config, image, index, tokens)
        for token, code in zip(tokens, codes, strict=True):
            for row, threshold, h in zip(
                image.projection[index], image.threshold[index], code, strict=True
            ):
                y = sum(int(w) * int(x) for w, x in zip(row, token, strict=True))
                assert h == (1 if y >= threshold else -1)


@pytest.mark.parametrize("shape", [{}, {"head_dim": 1}, {"code_bits": 40}], ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_hadamard_codes_follow_the_definition(name, shape):
    config = replace(SHAPES[name], hash="hadamard", **shape)
    image, tokens = draw(config, 0, count=3)
    size = 1 << (config.head_dim - 1).bit_length()
    assert image.projection.shape[1] == -(-config.code_bits // size)
    for index in range(image.sets):
        codes = hash_tokens(config, image, index, tokens)
        for token, code in zip(tokens, codes, strict=True):
            for r, h in enumerate(code):
                signs = image.projection[index][r // size]
                y = sum(
                    (-1) ** (r % size & d).bit_count() * int(s) * int(x)
                    for d, (s, x) in enumerate(zip(signs, token, strict=True))
                )
                assert h == (1 if y >= image.threshold[index][r] else -1)


@pytest.mark.parametrize("k", [1, 4, 1_024])
def test_what_the_chip_computes_with_inverted_elements_gives_the_same_codes(k):
    """Rows of the memories, as the hardware takes them."""
    config = Config(
        head_dim=5, code_bits=19, hash="hadamard", token_width=4, cycles_per_token=k, value_dim=1,
        bus_bytes=8,
    )
    image, tokens = draw(config, 1, count=40)
    fold = config.projection_fold
    matrix = walsh_signs(np.arange(19) % 8, np.arange(5))
    for index in range(image.sets):
        rows = config.family.rows(image, index)
        signs = image.projection[index][np.arange(19) // 8]
        inverted = np.where(signs < 0, ~tokens[:, None], tokens[:, None])
        sums = (inverted * matrix).sum(-1)
        level = rows["threshold"].ravel()[:19]
        found = np.where(sums >= level, 1, -1)
        np.testing.assert_array_equal(found, hash_tokens(config, image, index, tokens))
        assert rows["projection"].shape[0] == fold.steps


def test_codes_of_the_host_are_taken_as_they_are():
    config = replace(SHAPES["primes"], hash="codes")
    codes = np.random.default_rng(0).choice([-1, 1], (4, 3, config.code_bits))
    image = random_image(config, np.random.default_rng(1))
    np.testing.assert_array_equal(hash_tokens(config, image, 1, codes), codes)


@pytest.mark.parametrize("name", SHAPES)
def test_every_stage_is_int64_and_in_range(name):
    config = SHAPES[name]
    bits = Arithmetic(config)
    image, tokens = draw(config, 2)
    trace = trace_tokens(config, image, 1, tokens.astype(np.int8))
    for stage in HashTrace.__dataclass_fields__:
        assert getattr(trace, stage).dtype == np.int64, stage
    assert trace.norm.max() < 1 << bits.norm_width
    assert 0 <= trace.kernel.min() and trace.kernel.max() <= exponential_table()[0]
    assert np.abs(trace.projection).max() <= bits.max_projection
    assert set(np.unique(trace.codes)) <= {-1, 1}


def test_codes_are_lively():
    """The random images of these tests do not freeze every bit."""
    config = SHAPES["paper"]
    image, _ = draw(config, 3)
    tokens = np.random.default_rng(3).integers(-128, 128, (200, config.head_dim))
    ones = (hash_tokens(config, image, 0, tokens) > 0).mean(axis=0)
    assert ((ones > 0.05) & (ones < 0.95)).sum() >= config.code_bits // 2


def test_leading_axes_are_carried_through():
    config = SHAPES["primes"]
    image, tokens = draw(config, 4)
    stacked = tokens.reshape(2, -1, 7, config.head_dim)
    codes = hash_tokens(config, image, 0, stacked)
    assert codes.shape == (*stacked.shape[:-1], config.code_bits)
    np.testing.assert_array_equal(
        codes.reshape(-1, config.code_bits), hash_tokens(config, image, 0, tokens)
    )


def test_ties_are_plus_one():
    config = SHAPES["primes"]
    image, tokens = draw(config, 5)
    projection = trace_tokens(config, image, 0, tokens[:1]).projection[0]
    for step, code in ((0, 1), (1, -1), (-1, 1)):
        threshold = np.stack([projection + step] * 2)
        tied = replace(image, threshold=threshold)
        assert (hash_tokens(config, tied, 0, tokens[:1]) == code).all()


def test_the_zero_token_sees_the_bias_alone():
    config = SHAPES["paper"]
    image, _ = draw(config, 6)
    trace = trace_tokens(config, image, 0, np.zeros((1, config.head_dim)))
    assert not trace.norm.any() and not trace.dots.any()
    table = np.array(exponential_table())
    np.testing.assert_array_equal(
        trace.kernel[0], table[np.clip(image.bias[0], 0, len(table) - 1)]
    )


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_codes_do_not_depend_on_the_length_of_a_token(seed):
    """x and 2x (and 4x) differ by one in the exponent and in nothing else."""
    config = SHAPES["paper"]
    image, _ = draw(config, seed)
    tokens = np.random.default_rng(seed).integers(-32, 32, (64, config.head_dim))
    traces = [trace_tokens(config, image, 0, scale * tokens) for scale in (1, 2, 4)]
    for trace in traces[1:]:
        np.testing.assert_array_equal(trace.kernel, traces[0].kernel)
        np.testing.assert_array_equal(trace.codes, traces[0].codes)


def test_cosines_are_accurate():
    """The normalised dot product is within a per cent of ‖a‖ of the true one."""
    rng = np.random.default_rng(10)
    tokens = rng.integers(-128, 128, (500, 32))
    anchors = rng.integers(-128, 128, (500, 32))
    for x, a in zip(tokens.tolist(), anchors.tolist(), strict=True):
        norm, dot = sum(e * e for e in x), sum(p * q for p, q in zip(x, a, strict=True))
        e = (norm.bit_length() + 1) // 2
        got = (32 * dot >> e) * reciprocal_root_table()[(norm << 10) >> 2 * e]
        want = dot * 2**15 / norm**0.5
        length = isqrt(sum(p * p for p in a)) * 2**15
        assert abs(got - want) < length * 0.002 + 2**11


def test_no_float_in_the_integer_model():
    """No float literal, no true division, no float type, no rounding: integers only."""
    folder = Path(ecoformer.golden.integer.__file__).parent
    files = sorted(folder.rglob("*.py"))
    assert {file.name for file in files} >= {"attention.py", "rbf.py"}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant):
                assert not isinstance(node.value, float | complex), where
            if isinstance(node, ast.BinOp | ast.AugAssign):
                assert not isinstance(node.op, ast.Div), where
            name = getattr(node, "attr", getattr(node, "id", ""))
            if name not in INTEGERS:
                assert not any(word in str(name) for word in FLOATING), where
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] in MODULES, where
