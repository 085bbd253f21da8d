# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import dataclass

import numpy as np
import pytest

from ecoformer.golden.integer.dataflows.linear import accumulate, query
from ecoformer.hw.attention.cores import core_class
from ecoformer.sim.stimulus import PATTERNS
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from tests.hw.bench import run_core

DATAFLOWS = ("accumulate", "xnor", "bucketed")


def shape(code_bits, value_dim, k, **others):
    return Config(
        code_bits=code_bits, value_dim=value_dim, cycles_per_token=k, head_dim=1, anchors=1,
        bus_bytes=64, parameter_sets=4, **{"max_tokens": 6, **others},
    )


SHAPES = [
    shape(1, 1, 1, max_tokens=1),
    shape(1, 1, 1, max_tokens=3),
    shape(4, 3, 1, value_width=5),
    shape(5, 3, 2, state_banks=3, max_tokens=5),
    shape(7, 5, 8, max_tokens=7, offset_fraction=3),
    shape(13, 2, 4, state_banks=4),
    shape(2, 11, 8),
    shape(3, 2, 32, state_banks=8, offset_fraction=8),
    shape(5, 3, 1, value_term="own", max_tokens=5),
    shape(9, 17, 1, state_banks=3, max_tokens=5),
    shape(10, 9, 1, value_term="own", offset_fraction=2),
    shape(4, 7, 8, value_term="own", state_banks=3, offset_fraction=2),
    shape(13, 2, 4, value_term="own", max_tokens=7, offset_fraction=3),  # sums narrower
]
ALL = [
    Config(**{**{n: getattr(c, n) for n in c.__dataclass_fields__}, "dataflow": dataflow})
    for dataflow in DATAFLOWS
    for c in SHAPES
]


def shown(c):
    return (
        f"{c.dataflow}-b{c.code_bits}-E{c.value_dim}-k{c.cycles_per_token}"
        f"-N{c.max_tokens}-banks{c.state_banks}-{c.value_term}"
    )


@dataclass
class Packet:
    """What is sent: codes ±1, values; with ``error`` one error token more."""

    codes: np.ndarray
    values: np.ndarray
    offset: int
    user: int
    error: bool

    def tokens(self):
        """Payloads of the key stream."""
        tag = {"user": self.user, "last": 0, "error": 0}
        payloads = [
            {
                "code": sum(1 << r for r, h in enumerate(code) if h > 0),
                "v": [int(e) for e in v],
                "offset": self.offset,
                "tag": dict(tag),
            }
            for code, v in zip(self.codes, self.values, strict=True)
        ]
        if self.error:
            payloads.append(
                {"code": 0, "v": [0] * self.values.shape[1], "offset": 0,
                 "tag": {**tag, "error": 1}}
            )
        payloads[-1]["tag"]["last"] = 1
        return payloads

    def results(self, config):
        """``(user, last, error, denominator, numerators)`` of every result token."""
        if self.error:
            return [(self.user, 1, 1, None, None)]
        state = accumulate(self.codes, self.values)
        numerators, denominators = query(
            config, self.codes, state, self.offset, self.values
        )
        last = len(self.codes) - 1
        return [
            (self.user, int(i == last), 0, int(den), num.tolist())
            for i, (num, den) in enumerate(zip(numerators, denominators, strict=True))
        ]


def draw(config, rng, *, count=None, error=None, pattern=None):
    """A random packet."""
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    error = rng.random() < 0.25 if error is None else error
    count = rng.randint(0 if error else 1, config.max_tokens) if count is None else count
    pattern = pattern or rng.choice(list(PATTERNS))
    codes = numbers.choice([-1, 1], (count, config.code_bits))
    if rng.random() < 0.2:
        codes[:] = codes[:1]
    limit = Arithmetic(config).max_offset
    return Packet(
        codes=codes,
        values=PATTERNS[pattern](numbers, (max(count, 1), config.value_dim), config.value_width)[
            :count
        ],
        offset=rng.choice((0, limit, rng.randint(0, limit))),
        user=rng.randrange(config.parameter_sets),
        error=error,
    )


def run(config, packets, *, rng=None, stall=0.0):
    """Send the packets; check every block. Returns the core, launch cycles, first-block cycles."""
    expected = [result for packet in packets for result in packet.results(config)]
    tokens = [token for packet in packets for token in packet.tokens()]
    return run_core(core_class(config)(config), tokens, expected, rng=rng, stall=stall)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", ALL, ids=shown)
def test_blocks_equal_the_integer_model(config, seed):
    rng = random.Random(seed)
    packets = [draw(config, rng) for _ in range(7)]
    packets += [draw(config, rng, count=config.max_tokens, error=False) for _ in range(2)]
    dut, launches, firsts = run(config, packets)
    if config.dataflow != "xnor":
        assert firsts == [t + dut.latency for t in launches]
    else:
        counts = [1 if p.error else len(p.codes) for p in packets]
        waits = [f - t for f, t in zip(firsts, launches, strict=True)]
        assert waits == [dut.latency + n - 1 for n in counts for _ in range(n)]


@pytest.mark.parametrize("seed", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", ALL, ids=shown)
def test_blocks_equal_the_integer_model_with_stalls(config, seed):
    rng = random.Random(seed)
    run(config, [draw(config, rng) for _ in range(8)], rng=rng, stall=0.6)


@pytest.mark.parametrize("config", SHAPES[1:], ids=shown)
def test_equal_sequences_run_at_full_rate(config):
    """From the first result on, one token every k cycles, errors or not in between."""
    rng = random.Random(4)
    packets = [draw(config, rng, count=config.max_tokens, error=False) for _ in range(4)]
    _, launches, _ = run(config, packets)
    steps = {b - a for a, b in zip(launches, launches[1:], strict=False)}
    assert steps == {config.cycles_per_token}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_bad_packets_leave_their_neighbours_exact(dataflow):
    config = next(c for c in ALL if c.dataflow == dataflow and c.cycles_per_token == 8)
    rng = random.Random(5)
    packets = []
    for count in (0, 1, config.max_tokens, 3, 0, 0):
        packets.append(draw(config, rng, count=4, error=False))
        packets.append(draw(config, rng, count=count, error=True))
    packets += [draw(config, rng, count=config.max_tokens, error=False)]
    run(config, packets)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_extremes(dataflow, sign):
    config = next(c for c in ALL if c.dataflow == dataflow and c.offset_fraction == 3)
    n = config.max_tokens
    for offset in (0, Arithmetic(config).max_offset):
        packets = [
            Packet(
                codes=np.full((n, config.code_bits), sign),
                values=np.full((n, config.value_dim), value),
                offset=offset, user=0, error=False,
            )
            for value in (-128, 127)
        ]
        run(config, packets)
