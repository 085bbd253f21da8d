# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The contract of every attention core, and which one a configuration gets."""

import pytest

from ecoformer.hw.attention.core import AttentionCore
from ecoformer.hw.attention.cores import CORES, core_class
from ecoformer.spec.config import Config
from tests.matrix import edge_configs

SERIAL = Config(
    head_dim=8, value_dim=8, code_bits=8, anchors=8, max_tokens=16, cycles_per_token=64, bus_bytes=1
)
CONFIGS = [*edge_configs().values(), SERIAL]


def test_every_core_is_the_core_of_some_engine():
    assert {core_class(config) for config in CONFIGS} == set(CORES)


@pytest.mark.parametrize("core", CORES)
def test_every_core_states_the_whole_contract(core):
    config = next(config for config in CONFIGS if core_class(config) is core)
    dut = core(config, upstream=3)
    assert dut.latency > 0 and dut.initiation_interval > 0
    assert dut.lead >= 0 and dut.pause >= 0
    assert len(dut.lags) == config.state_fold.output_lanes
    assert dut.lags == sorted(dut.lags) and set(dut.lags) == set(range(max(dut.lags) + 1))
    streams = ["keys", "queries"][: len(config.wire.inlets)]
    assert set(dut.signature.members) == {*streams, "grant", "launch", "blocks", "busy"}
    for attribute in ("latency", "initiation_interval", "fits"):
        assert getattr(core, attribute) is not getattr(AttentionCore, attribute), attribute
