# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecoformer.golden.integer.dataflows.causal import empty_state, stream
from ecoformer.hw.attention.causal import CausalCore
from tests.hw.attention.test_linear import SHAPES, draw, shown
from tests.hw.bench import run_core

SEPARATE = [replace(config, queries="separate") for config in (SHAPES[2], SHAPES[4], SHAPES[11])]


@dataclass
class Causal:
    """A `Packet` and its answer under a causal mask; queries of their own where they are separate.
    """

    config: object
    packet: object
    queries: np.ndarray

    def tokens(self):
        payloads = self.packet.tokens()
        for payload, code in zip(payloads, self.queries):
            mask = sum(1 << r for r, h in enumerate(code) if h > 0)
            payload[self.config.sides.query.code] = mask
        return payloads

    def results(self):
        """Those of all tokens, then that of the error."""
        p, found = self.packet, []
        if len(p.codes):
            num, den, _ = stream(
                self.config, p.codes, p.values, self.queries, p.offset, empty_state(self.config)
            )
            last = -1 if p.error else len(p.codes) - 1
            found = [(p.user, int(i == last), 0, int(den[i]), num[i].tolist())
                     for i in range(len(den))]
        return found + [(p.user, 1, 1, None, None)] * p.error


def causal(config, rng, **how):
    packet = draw(config, rng, **how)
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    separate = len(config.sides.all) > 1
    queries = numbers.choice([-1, 1], packet.codes.shape) if separate else packet.codes
    return Causal(config, packet, queries)


def run(config, packets, **how):
    tokens = [token for packet in packets for token in packet.tokens()]
    return run_core(CausalCore(config), tokens, [r for p in packets for r in p.results()], **how)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", [*SHAPES, *SEPARATE], ids=shown)
def test_blocks_equal_the_integer_model(config, stall):
    rng = random.Random(1)
    packets = [causal(config, rng) for _ in range(7)]
    run(config, packets, rng=rng, stall=stall)


@pytest.mark.parametrize("config", [*SHAPES, *SEPARATE], ids=shown)
def test_a_token_takes_k_cycles_and_is_answered_after_the_latency(config):
    rng = random.Random(2)
    packets = [causal(config, rng, error=False) for _ in range(3)]
    core, launches, firsts = run(config, packets)
    k = config.cycles_per_token
    assert launches == [launches[0] + i * k for i in range(len(launches))]
    assert firsts == [launch + core.latency for launch in launches]
