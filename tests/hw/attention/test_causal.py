# SPDX-License-Identifier: Apache-2.0
"""The cores for a causal mask: packets of several contexts in any order."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecoformer.golden.integer.attention import empty_state
from ecoformer.golden.integer.dataflows.causal import advance
from ecoformer.hw.attention.causal import CausalCore
from ecoformer.hw.attention.causal_xnor import CausalXnorCore
from ecoformer.hw.attention.cores import core_class
from ecoformer.spec.config import Config
from tests.hw.attention.test_linear import draw
from tests.hw.bench import run_core


def shape(code_bits, value_dim, k, contexts, **others):
    return Config(
        code_bits=code_bits, value_dim=value_dim, cycles_per_token=k, contexts=contexts,
        head_dim=1, anchors=1, bus_bytes=256, parameter_sets=4, mask="causal",
        **{"max_tokens": 6, **others},
    )


SHAPES = [
    shape(1, 1, 4, 1, max_tokens=1),
    shape(1, 1, 4, 2),
    shape(1, 1, 4, 5, value_term="own"),
    shape(5, 3, 4, 3, max_tokens=5),
    shape(7, 5, 8, 7, max_tokens=9, offset_fraction=3),
    shape(13, 2, 4, 4),
    shape(2, 11, 8, 1),
    shape(9, 17, 16, 6, value_width=5),
    shape(3, 2, 32, 2, offset_fraction=8),
    shape(4, 7, 8, 3, value_term="own", offset_fraction=2),
    shape(13, 2, 4, 2, value_term="own", max_tokens=7, offset_fraction=3),  # sums narrower
    shape(7, 5, 8, 2, queries="separate"),
    shape(6, 3, 4, 3, queries="separate", value_term="own"),
]
ALL = [replace(config, dataflow=dataflow) for dataflow in ("accumulate", "xnor")
       for config in SHAPES]


def shown(c):
    return (
        f"{c.dataflow}-b{c.code_bits}-E{c.value_dim}-k{c.cycles_per_token}-N{c.max_tokens}"
        f"-contexts{c.contexts}-{c.queries}-{c.value_term}"
    )


@dataclass
class Contexts:
    """Sends packets to contexts, and says what must come."""

    config: Config
    rng: random.Random

    def __post_init__(self):
        self.states = [empty_state(self.config) for _ in range(self.config.contexts)]
        self.tokens, self.results = [], []

    def send(self, *, error=None, context=None, count=None):
        c, rng = self.config, self.rng
        context = rng.randrange(c.contexts) if context is None else context
        if rng.random() < 0.3 or self.states[context][-1] == c.max_tokens:
            self.states[context] = empty_state(c)
        left = c.max_tokens - self.states[context][-1]
        error = rng.random() < 0.2 if error is None else error
        if count is None:
            count = rng.randint(0 if error else 1, left)
        packet = draw(c, rng, count=count, error=error)
        separate = len(c.sides.all) > 1
        numbers = np.random.default_rng(rng.randrange(1 << 32))
        queries = numbers.choice([-1, 1], packet.codes.shape) if separate else packet.codes
        self._send(packet, context, queries)

    def _send(self, packet, context, queries):
        c, before = self.config, self.states[context][-1]
        for number, payload in enumerate(packet.tokens()):
            payload["count"] = min(before + number + 1, c.max_tokens)
            payload["tag"]["context"] = context
            if number < len(queries):
                code = sum(1 << r for r, h in enumerate(queries[number]) if h > 0)
                payload[c.sides.query.code] = code
            self.tokens.append(payload)
        found = []
        if len(packet.codes):
            num, den, self.states[context] = advance(
                c, packet.codes, packet.values, queries, packet.offset, self.states[context]
            )
            last = -1 if packet.error else len(packet.codes) - 1
            found = [(packet.user, int(i == last), 0, int(den[i]), num[i].tolist())
                     for i in range(len(den))]
        self.results += found + [(packet.user, 1, 1, None, None)] * packet.error
        if packet.error:  # lost: nobody goes on with it
            self.states[context] = empty_state(c)

    def run(self, **how):
        return run_core(core_class(self.config)(self.config), self.tokens, self.results, **how)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", ALL, ids=shown)
def test_blocks_equal_the_integer_model(config, stall):
    contexts = Contexts(config, random.Random(1))
    for _ in range(12):
        contexts.send()
    core, _, _ = contexts.run(rng=contexts.rng, stall=stall)
    assert type(core) is {"accumulate": CausalCore, "xnor": CausalXnorCore}[config.dataflow]


@pytest.mark.parametrize("config", SHAPES, ids=shown)
def test_a_token_takes_k_cycles_and_is_answered_after_the_latency(config):
    """Of whatever context it is."""
    contexts = Contexts(config, random.Random(2))
    for number in range(12):
        contexts.send(error=False, context=number // 2 % config.contexts, count=1)
    core, launches, firsts = contexts.run()
    k = config.cycles_per_token
    assert launches == [launches[0] + i * k for i in range(len(launches))]
    assert firsts == [launch + core.latency for launch in launches]


@pytest.mark.parametrize("config", [SHAPES[1], SHAPES[4], SHAPES[9]], ids=shown)
def test_a_pair_takes_a_cycle(config):
    config = replace(config, dataflow="xnor", contexts=1)
    contexts = Contexts(config, random.Random(3))
    contexts.rng.random = lambda: 1.0  # go on with the context
    for _ in range(config.max_tokens):
        contexts.send(error=False, count=1)
    core, launches, firsts = contexts.run()
    assert firsts == [launch + core.latency + i for i, launch in enumerate(launches)]
    assert [later - launch for launch, later in zip(launches, launches[1:])] == [
        core.initiation_interval + i for i in range(config.max_tokens - 1)
    ]
