# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.integer.dataflows import DATAFLOWS as INTEGER_DATAFLOWS
from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.choices import Dataflow, Hash, Mask, ValueTerm
from ecoformer.spec.config import Config
from ecoformer.spec.dataflows import CROSS, DATAFLOWS
from ecoformer.spec.folding import Fold
from ecoformer.spec.registers import packet_errors

SIZES = dict(head_dim=9, code_bits=11, anchors=7, value_dim=8, max_tokens=33, bus_bytes=1)


def config_of(flow, **changes):
    hash = Hash.RBF if DATAFLOWS[Mask.FULL][flow].takes_codes else Hash.NONE
    return Config(**{**SIZES, "cycles_per_token": 64, **changes, "hash": hash, "dataflow": flow})


def test_every_dataflow_and_value_term_has_an_integer_model():
    assert DATAFLOWS.keys() == INTEGER_DATAFLOWS.keys() == set(Mask)
    assert DATAFLOWS[Mask.FULL].keys() == set(Dataflow)
    assert VALUE_TERMS.keys() == set(ValueTerm)
    for mask, flows in DATAFLOWS.items():
        assert flows.keys() == INTEGER_DATAFLOWS[mask].keys()
        for dataflow, flow in flows.items():
            assert type(config_of(dataflow, mask=mask).flow) is flow


@pytest.mark.parametrize(
    "mask, dataflow", [(mask, dataflow) for mask, flows in DATAFLOWS.items() for dataflow in flows]
)
def test_the_parts_of_a_flow_agree(mask, dataflow):
    flow = config_of(dataflow, mask=mask).flow
    arrays = flow.draw(np.random.default_rng(0), 50)
    assert arrays.keys() == flow.parameters.keys() == set(flow.scalars)
    for name, bounds in flow.parameters.items():
        assert arrays[name].shape == (50, *bounds.shape)
        assert bounds.low <= arrays[name].min() and arrays[name].max() <= bounds.high
    assert flow.units and flow.buffer_bits > 0 and flow.max_weight > 0
    assert flow.state_fold.inputs == flow.state_rows and flow.row_width > 1


@pytest.mark.parametrize("dataflow", CROSS)
def test_a_flow_of_pairs_differs_in_what_waits(dataflow):
    alone = config_of(dataflow, queries="separate").flow
    config = config_of(dataflow, queries="cross")
    flow = config.flow
    assert type(flow) is CROSS[dataflow] and flow.has_pairs and not alone.has_pairs
    assert isinstance(flow, DATAFLOWS[Mask.FULL][dataflow])
    assert flow.units == alone.units and flow.parameters == alone.parameters
    assert alone.ring_tokens <= flow.ring_tokens <= alone.ring_tokens + 33
    assert flow.tag_fields["cause"] >= max(packet_errors(config)).bit_length()


def test_which_dataflow_has_what():
    flows = {name: config_of(name).flow for name in Dataflow}
    assert {name for name, flow in flows.items() if flow.is_slotted} == {"accumulate"}
    assert {name for name, flow in flows.items() if flow.is_linear} == {"accumulate", "bucketed"}
    assert {name for name, flow in flows.items() if flow.transform_cycles} == {"bucketed"}
    causal = {name: config_of(name, mask="causal").flow for name in DATAFLOWS[Mask.CAUSAL]}
    assert {name for name, flow in causal.items() if flow.is_linear} == {"accumulate"}
    for some, passes in ((flows, 2), (causal, 1)):
        assert {flow.passes for flow in some.values()} == {passes}
        assert {flow.has_contexts for flow in some.values()} == {passes == 1}
    assert {name: flow.state_rows for name, flow in flows.items()} == {
        "accumulate": 11, "xnor": 11, "bucketed": 3, "softmax": 1,
    }


def test_a_linear_query_takes_its_k_cycles_and_another_grows_with_n():
    for flow in Dataflow:
        config = config_of(flow, cycles_per_token=32)
        cycles = [config.flow.query_cycles(tokens) for tokens in (1, 2, 20, 33)]
        if config.flow.is_linear:
            assert cycles == [32] * 4
        else:
            assert cycles == [32, 32, 20 + 16, 33 + 16]
    late = config_of(Dataflow.XNOR, mask="causal", cycles_per_token=32).flow
    assert late.query_cycles(1) == late.query_cycles(33) >= 33


def test_which_causal_and_paired_flows_have_what():
    causal = {name: config_of(name, mask="causal").flow for name in DATAFLOWS[Mask.CAUSAL]}
    assert {name: flow.lookup_cycles for name, flow in causal.items()} == {
        "accumulate": 2, "xnor": 2,
    }
    assert causal[Dataflow.ACCUMULATE].code_fold == Fold(11, 1, 64 // 4)
    pairs = {name: config_of(name, queries="cross").flow for name in CROSS}
    assert not any(flow.is_slotted or flow.is_elementwise for flow in pairs.values())
    for name, flow in pairs.items():
        if flow.is_linear:  # 12 cycles until queries that came first can be worked on
            alone = config_of(name, queries="separate").flow
            assert flow.ring_tokens == alone.ring_tokens + 1
            for k, tokens in ((8, 2), (4, 3), (1, 12)):
                fast = {"cycles_per_token": k, "bus_bytes": 32}
                flow, alone = (
                    config_of(name, queries=q, **fast).flow for q in ("cross", "separate")
                )
                assert flow.ring_tokens == alone.ring_tokens + tokens


def test_the_largest_softmax_weight_is_that_of_the_largest_score():
    assert config_of(Dataflow.SOFTMAX).flow.max_weight == 511


def test_only_sums_without_vectors_are_serial():
    serial = dict(cycles_per_token=1_024)
    assert config_of(Dataflow.ACCUMULATE, **serial).is_serial
    for changes in (
        dict(value_term="own"), dict(bus_bytes=2), dict(head_dim=7), dict(value_dim=7),
        dict(engines=2), dict(cycles_per_token=32),
    ):
        assert not config_of(Dataflow.ACCUMULATE, **{**serial, **changes}).is_serial, changes
    assert not config_of(Dataflow.BUCKETED, **serial).is_serial
    assert not Config(**SIZES, **serial, hash="codes").is_serial
