# SPDX-License-Identifier: Apache-2.0
"""The page docs/numbers.md, implemented from its text alone, against the integer model."""

import re
from decimal import ROUND_FLOOR, Decimal, getcontext
from math import isqrt
from pathlib import Path

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.quantize.host import quantise_tokens
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config

getcontext().prec = 40

PAGE = Path("docs/numbers.md")


def root(t):
    """Entry t of the table ρ."""
    i = max(t, 256)
    return (isqrt(2**33 // (2 * i + 1)) + 1) // 2


def exponential(u):
    """Entry u of the table K."""
    value = 511 * (Decimal(-u) / 256).exp() + Decimal(1) / 2
    return int(value.to_integral_value(ROUND_FLOOR))


ROOT = [root(t) for t in range(1024)]
EXPONENTIAL = [exponential(u) for u in range(2048)]


def code(config, p, x):
    """The hash of one token; ``p`` holds the lists of one parameter set."""
    if config.hash == "codes":
        return x
    features = x
    if config.hash == "hadamard":
        q = 1
        while q < len(x):
            q *= 2
        values = [
            sum((-1) ** (r % q & d).bit_count() * p["projection"][r // q][d] * e
                for d, e in enumerate(x))
            for r in range(config.code_bits)
        ]
        return [1 if y >= t else -1 for y, t in zip(values, p["threshold"], strict=True)]
    if config.hash == "rbf":
        n = sum(e * e for e in x)
        e = (n.bit_length() + 1) // 2
        t = 2**10 * n // 4**e
        features = []
        for anchor, bias in zip(p["anchors"], p["bias"], strict=True):
            dot = sum(a * b for a, b in zip(x, anchor, strict=True))
            u = bias - (2**5 * dot // 2**e) * ROOT[t] // 2 ** p["shift"]
            features.append(EXPONENTIAL[min(max(u, 0), 2047)])
    return [
        1 if sum(a * k for a, k in zip(row, features, strict=True)) >= threshold else -1
        for row, threshold in zip(p["projection"], p["threshold"], strict=True)
    ]


def weights(config, p, tokens, own=None):
    """The weight of every token in the answer to every token, without the offset.

    ``own`` are queries of another sequence.
    """
    queries, keys, asking = own or tokens, tokens, p
    if config.queries == "separate":
        half = len(tokens[0]) // 2
        queries, keys = [x[:half] for x in tokens], [x[half:] for x in tokens]
    if config.queries != "shared":
        asking = {name.removeprefix("query_"): a for name, a in p.items() if "query_" in name}
    if config.hash == "none":
        found = []
        for row in products(queries, keys):
            arguments = ((max(row) - s) * p["scale"] // 2 ** p["shift"] for s in row)
            found.append([EXPONENTIAL[min(u, 2047)] for u in arguments])
        return found
    similar = products(
        [code(config, asking, x) for x in queries], [code(config, p, x) for x in keys]
    )
    return [[s << config.offset_fraction for s in row] for row in similar]


def products(rows, columns):
    """Dot products of all pairs."""
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in columns] for x in rows]


def answer(config, p, given, values, i):
    """The result of token i, E numbers, and whether its denominator is not positive."""
    offset = p.get("offset", 0)
    den = sum(given) + offset * len(given)
    results = []
    for column in range(config.value_dim):
        v = [value[column] for value in values]
        num = sum(w * e for w, e in zip(given, v, strict=True))
        num += offset * (sum(v) if config.value_term == "sum" else v[i])
        limit = 2 ** (config.output_width - 1)
        quotient = 0
        if den > 0:
            quotient = (2 ** (config.output_fraction + 1) * num + den) // (2 * den)
        results.append(min(max(quotient, -limit), limit - 1))
    return results, den <= 0


FAMILIES = ("rbf", "linear", "hadamard", "codes")
SMALL = dict(head_dim=5, value_dim=3, code_bits=6, anchors=4, max_tokens=8, parameter_sets=2)
CONFIGS = [
    Config(hash=family, weights=form, value_term=term, offset_fraction=g, output_fraction=f,
           output_width=w, **SMALL)
    for family, forms in (("rbf", ("int8", "pow2", "ternary")),
                          ("linear", ("int8", "pow2", "ternary")), ("hadamard", ("int8",)),
                          ("codes", ("int8",)))
    for form in forms
    for term in ("sum", "own")
    for g, f, w in ((0, 8, 16), (3, 0, 6))
] + [
    Config(hash="none", dataflow="softmax", **SMALL),
    Config(dataflow="xnor", **SMALL),
    Config(dataflow="bucketed", **SMALL),
    Config(token_width=4, value_width=5, **SMALL),
    *(Config(hash=family, queries="separate", **SMALL) for family in FAMILIES),
    Config(hash="none", dataflow="softmax", queries="separate", **SMALL),
    Config(value_term="own", queries="separate", dataflow="xnor", **SMALL),
    *(
        Config(mask="causal", value_term=term, queries=queries, offset_fraction=2, **SMALL)
        for term in ("sum", "own") for queries in ("shared", "separate")
    ),
    Config(mask="causal", dataflow="xnor", **SMALL),
    *(Config(hash=family, queries="cross", **SMALL) for family in FAMILIES),
    Config(queries="cross", dataflow="xnor", **SMALL),
    Config(queries="cross", dataflow="bucketed", offset_fraction=2, **SMALL),
]


def described(config):
    return "-".join((config.hash, config.weights, config.value_term, config.dataflow,
                     str(config.offset_fraction), str(config.token_width), config.queries,
                     config.mask))


def check(config, image, sequences):
    """Compare every bit of ``sequences``; returns how many denominators were not positive."""
    guards = 0
    for index, tokens, values, *asked in sequences:
        want, guarded = attend(config, image, index, tokens, values, *asked)
        p = {name: array[index].tolist() for name, array in image.arrays().items()}
        own = [queries.tolist() for queries in asked]
        rows, values = weights(config, p, tokens.tolist(), *own), values.tolist()
        counts = [i + 1 if config.mask == "causal" else len(values) for i in range(len(rows))]
        found = [
            answer(config, p, row[:n], values[:n], i)
            for i, (row, n) in enumerate(zip(rows, counts, strict=True))
        ]
        assert [outputs for outputs, _ in found] == want.tolist()
        assert sum(guard for _, guard in found) == guarded
        guards += int(guarded)
    return guards


@pytest.mark.parametrize("config", CONFIGS, ids=described)
def test_the_page_gives_every_bit(config):
    rng = np.random.default_rng(7)
    image = random_image(config, rng)
    check(config, image, random_workload(config, rng, 14).sequences())


@pytest.mark.parametrize(
    "shape",
    [{}, {"hash": "linear"}, {"hash": "hadamard"}, {"hash": "codes"},
     {"hash": "none", "dataflow": "softmax"}],
    ids=["rbf", "linear", "hadamard", "codes", "none"],
)
def test_parameters_are_those_of_the_page_in_its_ranges(shape):
    config = Config(**shape, head_dim=5, code_bits=3, offset_fraction=2)
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`.* \| (\S+) \|((?: ●? ?\|){5})$", text, re.M)
    column = ["rbf", "linear", "hadamard", "codes", "none"].index(config.hash)
    wanted = {name: said for name, said, marks in rows if "●" in marks.split("|")[column]}
    bounds = config.flow.parameters | config.family.parameters
    assert bounds.keys() == wanted.keys()
    for name, said in wanted.items():
        if "…" in said:
            for superscript, digits in (("¹⁵", "**15"), ("^", "**"), ("2b", "2*b"), ("·", "*")):
                said = said.replace(superscript, digits)
            known = {"b": config.code_bits, "g": config.offset_fraction}
            low, high = (eval(end, known) for end in said.replace("−", "-").split("…"))
            found = bounds[name].low, bounds[name].high
            assert found == (low, high) and all(type(end) is int for end in found), name


def test_a_denominator_that_is_not_positive_gives_zero():
    config = Config(hash="codes", **SMALL)
    rng = np.random.default_rng(0)
    image = random_image(config, rng)
    image.offset[0] = 0
    tokens = np.array([[1] * 6, [-1] * 6, [-1] * 6])
    assert check(config, image, [(0, tokens, rng.integers(-9, 9, (3, 3)))]) == 1


def test_tokens_are_scaled_as_the_page_says():
    x = np.random.default_rng(0).normal(size=(20, 5))
    x[3] = 0
    for scale, unit in ((0.0, False), (0.02, False), (0.01, True)):
        for given, want in zip(x, quantise_tokens(Config(head_dim=5), x, scale, unit), strict=True):
            if unit and given.any():
                given = given / np.sqrt((given**2).sum())
            if scale:
                found = [min(max(round(e / scale), -128), 127) for e in given]
            else:
                found = [round(e * (127 / max(abs(given)))) if e else 0 for e in given]
            assert found == want.tolist()
