# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from ecoformer.golden.energy.honest import Honest
from ecoformer.golden.energy.named import NETWORKS
from ecoformer.golden.energy.prices import sram
from ecoformer.golden.energy.report import crossover, measure, summary
from ecoformer.golden.energy.shapes import Attention, Elementwise, Linear, Norm
from ecoformer.golden.integer.attention import attend
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.tables import exponential_table, reciprocal_root_table

SHAPES = {
    "one": (1, Config(head_dim=1, value_dim=1, code_bits=1, anchors=1, parameter_sets=1)),
    "primes": (5, Config(head_dim=3, value_dim=7, code_bits=11, anchors=2, parameter_sets=1)),
    "fraction": (
        4,
        Config(head_dim=5, value_dim=2, code_bits=6, anchors=3, parameter_sets=1,
               offset_fraction=3, output_width=9, output_fraction=4),
    ),
}


class Meter:
    """Integer arithmetic that counts itself; shifts and table lookups are free."""

    def __init__(self):
        self.count = Counter()

    def multiply(self, a, b):
        self.count["multiplication"] += 1
        return a * b

    def add(self, a, b):
        self.count["addition"] += 1
        return a + b

    def less(self, a, b):
        self.count["addition"] += 1
        return a < b

    def dot(self, a, b):
        total = 0
        for x, y in zip(a, b, strict=True):
            total = self.add(total, self.multiply(x, y))
        return total

    def signed_sum(self, signs, values):
        total = 0
        for sign, value in zip(signs, values, strict=True):
            total = self.add(total, value if sign > 0 else -value)
        return total


def metered_hash(meter, image, x):
    norm, exponent = meter.dot(x, x), 0
    while 4**exponent <= norm:
        exponent += 1
    root = reciprocal_root_table()[(norm << 10) >> (2 * exponent)]
    kernel = []
    for anchor, bias in zip(image.anchors[0].tolist(), image.bias[0].tolist(), strict=True):
        scaled = (meter.dot(x, anchor) << 5) >> exponent
        argument = meter.add(bias, -(meter.multiply(scaled, root) >> int(image.shift[0])))
        kernel.append(exponential_table()[min(max(argument, 0), 2047)])
    return [
        -1 if meter.less(meter.dot(kernel, row), threshold) else 1
        for row, threshold in zip(
            image.projection[0].tolist(), image.threshold[0].tolist(), strict=True
        )
    ]


def metered_division(meter, config, numerator, denominator):
    width = config.output_width
    top = 1 << width - 1
    dividend = meter.add(
        meter.add(numerator << config.output_fraction, denominator << width - 1), denominator >> 1
    )
    low = meter.less(dividend, 0)
    high = not meter.less(dividend >> width, denominator)
    remainder, quotient = dividend >> width, 0
    for digit in reversed(range(width)):
        remainder = (remainder << 1) | (dividend >> digit & 1)
        difference = meter.add(remainder, -denominator)
        quotient = quotient << 1 | (difference >= 0)
        remainder = difference if difference >= 0 else remainder
    if denominator <= 0:
        return 0
    return -top if low else top - 1 if high else quotient - top


class MeteredRows:
    """S, row by row."""

    def __init__(self, meter, b, E):
        self.meter = meter
        self.S = [[0] * b for _ in range(E)]

    def accumulate(self, h, v):
        for row, element in zip(self.S, v, strict=True):
            row[:] = [self.meter.add(s, element if r > 0 else -element)
                      for s, r in zip(row, h, strict=True)]

    def finish(self):
        pass

    def query(self, h, e):
        return self.meter.signed_sum(h, self.S[e])


class MeteredTables:
    """Tables of sums by code; the bits that the last group lacks are -1, and add nothing."""

    def __init__(self, meter, b, E):
        self.meter = meter
        self.b = b
        self.size = min(4, b)
        self.codes = list(product((-1, 1), repeat=self.size))
        groups = range(-(-b // self.size))
        self.tables = [[dict.fromkeys(self.codes, 0) for _ in groups] for _ in range(E)]

    def groups(self, h):
        h = [*h, *[-1] * (-len(h) % self.size)]
        return [tuple(h[i : i + self.size]) for i in range(0, len(h), self.size)]

    def accumulate(self, h, v):
        for element, tables in zip(v, self.tables, strict=True):
            for code, table in zip(self.groups(h), tables, strict=True):
                table[code] = self.meter.add(table[code], element)

    def finish(self):
        self.answers = [
            [self.transformed(table, self.b - i * self.size) for i, table in enumerate(tables)]
            for tables in self.tables
        ]

    def transformed(self, table, used):
        rows = [
            self.meter.signed_sum([code[r] for code in table], table.values())
            for r in range(self.size)
        ]
        rows = [row if r < used else 0 for r, row in enumerate(rows)]
        answers = {}
        for code in self.codes:
            if code[-1] > 0:
                total = rows[-1]
                for h, row in zip(code[:-1], rows[:-1], strict=True):
                    total = self.meter.add(total, row if h > 0 else -row)
                answers[code] = total
        return answers

    def query(self, h, e):
        total = 0
        for code, answers in zip(self.groups(h), self.answers[e], strict=True):
            opposite = tuple(-bit for bit in code)
            found = answers[code] if code in answers else -answers[opposite]
            total = self.meter.add(total, found)
        return total


def metered_attention(meter, config, image, tokens, values):
    """The engine's attention of one head, one scalar operation at a time."""
    b, E, g = config.code_bits, config.value_dim, config.offset_fraction
    C = int(image.offset[0])
    state = (MeteredTables if config.dataflow == "bucketed" else MeteredRows)(meter, b, E)
    z, V = [0] * b, [0] * E
    codes = []
    for x, v in zip(tokens, values, strict=True):
        h = metered_hash(meter, image, x)
        codes.append(h)
        for r in range(b):
            z[r] = meter.add(z[r], h[r])
        state.accumulate(h, v)
        for e in range(E):
            V[e] = meter.add(V[e], v[e])
    state.finish()
    outputs = []
    for h in codes:
        similarity = meter.signed_sum(h, z)
        denominator = meter.add(similarity << g, meter.multiply(C, len(codes)))
        row = []
        for e in range(E):
            total = state.query(h, e)
            numerator = meter.add(total << g, meter.multiply(C, V[e]))
            row.append(metered_division(meter, config, numerator, denominator))
        outputs.append(row)
    return outputs


def attention(kind, config, tokens, heads=1):
    return Attention(name="a", part="attention", tokens=tokens, heads=heads, kind=kind,
                     head_dim=config.head_dim, value_dim=config.value_dim)


@pytest.mark.parametrize("dataflow", ["accumulate", "bucketed"])
@pytest.mark.parametrize("name", SHAPES)
def test_counts_are_those_of_the_engine_s_own_arithmetic(name, dataflow):
    tokens, config = SHAPES[name]
    config = replace(config, dataflow=dataflow)
    rng, meter = np.random.default_rng(0), Meter()
    image = random_image(config, rng)
    x = rng.integers(-128, 128, (tokens, config.head_dim))
    v = rng.integers(-128, 128, (tokens, config.value_dim))
    got = metered_attention(meter, config, image, x.tolist(), v.tolist())
    np.testing.assert_array_equal(got, attend(config, image, 0, x, v)[0])
    honest = Honest(config.code_bits, config.anchors, config)
    total = summary(honest.operations(attention("ecoformer", config, tokens)))
    assert total["multiplications"] == meter.count["multiplication"]
    assert total["additions"] == meter.count["addition"]


def test_parameters_are_those_of_the_memories():
    config = Config(head_dim=32, value_dim=32, cycles_per_token=1, bus_bytes=64)
    regions = MemoryMap(config).regions
    bits = sum(r.rows * r.lanes * r.lane_bits for n, r in regions.items() if n != "scalars")
    operations = Honest(16, 25).operations(attention("ecoformer", config, 7, heads=3))
    assert [o.count for o in operations if o.kind == "dram"] == [3 * bits]
    read = sum(
        o.count for o in operations
        if o.kind == "memory" and o.what in ("anchors", "bias", "projection", "thresholds")
    )
    assert read == 3 * 7 * bits


def test_softmax_by_hand():
    config = Config(head_dim=4, value_dim=3)
    N, D, E, heads, reuse = 10, 4, 3, 2, 4
    operations = Honest(16, 25, reuse=reuse).operations(attention("softmax", config, N, heads))
    total = summary(operations)
    assert total["multiplications"] == heads * N * N * (D + 1 + E)
    assert total["additions"] == heads * N * (N * (D + 3 + E) + E * 16)
    keys = next(o for o in operations if o.what == "keys and values")
    assert keys.count == heads * 3 * N * (D + E) * 8  # 10 queries, 4 at a time
    assert keys.picojoules == sram(N * (D + E))


def test_reuse_serves_softmax_and_matrices_but_not_the_engine():
    config = Config()
    linear = Linear(name="l", part="MLP", tokens=64, inputs=8, outputs=8)
    for layer, changes in (
        (attention("softmax", config, 64), True),
        (linear, True),
        (attention("ecoformer", config, 64), False),
    ):
        one, many = (summary(Honest(16, 25, reuse=r).operations(layer)) for r in (1, 16))
        assert (one["memory_pj"] > many["memory_pj"]) == changes
        assert one["arithmetic_pj"] == many["arithmetic_pj"]


def test_widths_of_the_engine_count():
    wide, narrow = Config(), Config(token_width=4, value_width=4)
    for kind in ("softmax", "ecoformer"):
        layer = attention(kind, wide, 100)
        energies = [
            summary(Honest(16, 25, engine).operations(layer)) for engine in (wide, narrow)
        ]
        for key in ("arithmetic_pj", "memory_pj"):
            assert energies[0][key] > energies[1][key]


def test_other_layers_by_hand():
    honest = Honest(16, 25)
    total = summary(honest.operations(Norm(name="n", part="other", tokens=5, width=7)))
    assert (total["multiplications"], total["additions"]) == (3 * 35, 4 * 35)
    total = summary(
        honest.operations(Linear(name="l", part="MLP", tokens=5, inputs=3, outputs=2))
    )
    assert (total["multiplications"], total["additions"]) == (30 + 10, 30 + 10)
    assert total["dram_pj"] == pytest.approx((6 * 8 + 2 * 32) * 1300 / 64)
    table = Elementwise(name="e", part="MLP", tokens=5, width=7, what="activation")
    residual = replace(table, what="residual")
    assert summary(honest.operations(table))["additions"] == 0
    assert summary(honest.operations(residual))["additions"] == 35


@pytest.mark.parametrize("head_dim", [32, 64])
def test_crossover_is_where_the_energies_cross(head_dim):
    layer = attention("ecoformer", Config(head_dim=head_dim, value_dim=head_dim), 1)
    honest = Honest(16, 25)
    tokens = crossover(layer, honest)
    for count, cheaper in ((tokens - 1, False), (tokens, True)):
        energy = [
            summary(honest.operations(replace(layer, kind=kind, tokens=count)))["energy_pj"]
            for kind in ("ecoformer", "softmax")
        ]
        assert (energy[0] < energy[1]) == cheaper


def test_honest_saves_less_than_the_paper_says_and_still_saves():
    result = measure(NETWORKS["PVTv2-B0"], Honest(16, 25))
    softmax, ecoformer = (result[arm]["network"]["energy_pj"] for arm in ("softmax", "ecoformer"))
    assert 0.27 < ecoformer / softmax < 1


def test_what_no_engine_can_be_is_refused():
    with pytest.raises(ValueError, match=r"head_dim must be 1…128, not 129"):
        Honest(16, 25).operations(replace(attention("ecoformer", Config(), 5), head_dim=129))


@pytest.mark.parametrize(
    "name, value, counted",
    [("hash", "linear", "rbf"), ("weights", "pow2", "int8"), ("queries", "separate", "shared")],
)
def test_an_engine_of_other_modes_is_refused(name, value, counted):
    with pytest.raises(ValueError, match=f"^{name} must be '{counted}', not '{value}', which the"):
        Honest(16, 25, Config(**{name: value}))
