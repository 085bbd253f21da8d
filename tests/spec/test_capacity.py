# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from ecoformer.spec.config import Config

SMALL = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    parameter_sets=1, bus_bytes=1,
)


def test_the_code_ring_must_fit_the_block_ram():
    shape = {**SMALL, "max_tokens": 65_536}
    assert Config(**{**shape, "code_bits": 58}).buffer_bits == 3_801_088
    with pytest.raises(ValueError) as caught:
        Config(**{**shape, "code_bits": 59})
    assert str(caught.value) == (
        "max_tokens must keep the token buffers within 3833856 bits, not 3866624 at 65536 tokens"
    )


def test_the_xnor_buffers_hold_codes_and_values_of_every_bank():
    config = Config(
        **{**SMALL, "dataflow": "xnor", "max_tokens": 64, "code_bits": 5, "value_dim": 3,
           "value_width": 4, "state_banks": 3}
    )
    assert config.buffer_bits == 3 * 64 * (5 + 3 * 4)
    assert replace(config, max_tokens=33).buffer_bits == config.buffer_bits  # whole address bits


def test_the_tables_and_what_waits_for_them_must_fit_the_block_ram():
    config = Config(
        **{**SMALL, "dataflow": "bucketed", "max_tokens": 33, "code_bits": 6, "value_dim": 3,
           "value_width": 4, "state_banks": 3, "cycles_per_token": 8, "bus_bytes": 64}
    )
    entries = 2 * 3 * 16  # two groups, three elements; half of them for queries
    tables = 2 * entries * 10 + 3 * entries // 2 * 12
    transform = entries + 8 + 2 + 3 + 2
    assert config.transform_cycles == transform
    assert config.ring_tokens == 33 + -(-transform // 8) + 2
    assert config.buffer_bits == config.ring_tokens * 6 + tables
    assert replace(config, max_tokens=5).ring_tokens == 10
    with pytest.raises(ValueError, match="^max_tokens must keep the token buffers within "):
        Config(dataflow="bucketed", code_bits=128, value_dim=128, cycles_per_token=1_024,
               bus_bytes=128)


@pytest.mark.parametrize("bits, levels", [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_a_transform_takes_the_levels_of_its_tree(bits, levels):
    flow = Config(**{**SMALL, "dataflow": "bucketed", "code_bits": bits}).flow
    assert flow.group_bits == bits and flow.table_latency == 1
    assert flow.transform_cycles == 2**bits + 2**bits // 2 + levels + 3 + 1


def test_the_softmax_buffers_hold_tokens_values_and_two_rows_of_scores():
    config = Config(
        **{**SMALL, "hash": "none", "dataflow": "softmax", "max_tokens": 33, "head_dim": 5,
           "token_width": 6, "value_dim": 3, "value_width": 4, "state_banks": 3}
    )
    score = 1 + (5 * 32 * 32).bit_length()
    assert config.buffer_bits == 3 * 33 * (5 * 6 + 3 * 4) + 2 * 64 * score
    assert config.key_width == 30 and config.hash_folds == {}
    for longest, row in ((1, 1), (2, 2), (31, 32), (32, 32)):
        shorter = replace(config, max_tokens=longest)
        assert shorter.buffer_bits == 3 * longest * (5 * 6 + 3 * 4) + 2 * row * score


def test_the_causal_states_hold_s_z_and_what_the_value_term_needs():
    shape = {**SMALL, "mask": "causal", "contexts": 7, "code_bits": 6, "value_dim": 3,
             "max_tokens": 33, "cycles_per_token": 64}
    paper, own = (Config(**shape, value_term=term) for term in ("sum", "own"))
    rows = paper.flow.state_fold
    assert rows.steps * rows.lanes >= 18
    assert own.buffer_bits == 7 * (
        rows.steps * rows.lanes * own.flow.bits.state_width + 6 * own.flow.bits.code_sum_width
    )
    sums = paper.buffer_bits - own.buffer_bits
    assert sums == 7 * 3 * paper.flow.bits.plain_sum_width
    assert Config(**shape | {"contexts": 1}).buffer_bits == paper.buffer_bits // 7


def test_the_ring_holds_the_values_that_their_own_tokens_need():
    config = Config(
        **{**SMALL, "value_term": "own", "max_tokens": 10, "code_bits": 5, "value_dim": 3,
           "value_width": 4}
    )
    assert config.buffer_bits == 10 * (5 + 3 * 4)


def test_several_engines_have_buffers_of_their_own_and_for_a_packet_each_way():
    shape = {**SMALL, "max_tokens": 10, "code_bits": 5, "head_dim": 2, "token_width": 6,
             "value_dim": 3, "value_width": 4, "output_width": 9, "output_fraction": 0}
    one = Config(**shape)
    assert (one.waiting_tokens, one.buffer_bits) == (0, 10 * 5)
    tokens, results = 10 * (2 * 6 + 3 * 4), 10 * 3 * 9
    assert replace(one, engines=4).buffer_bits == 4 * (10 * 5 + tokens + results)
    sent = replace(one, engines=4, hash="codes")
    assert sent.buffer_bits == 4 * (10 * 5 + 10 * (5 + 3 * 4) + results)
