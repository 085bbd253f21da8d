# SPDX-License-Identifier: Apache-2.0
"""A packet is read by the datasheet alone, and must be what the contract packs."""

import json

import numpy as np
import pytest

from ecoformer.spec.config import Config
from ecoformer.spec.stream_export import as_dict, as_markdown
from ecoformer.spec.wire import pack_outputs, pack_packet
from tests.matrix import edge_configs, trial

CONFIGS = edge_configs()


def read(port, beats):
    """Fields of every token in ``beats``, by the datasheet of a port: dict of name → [N, elements].
    """
    token = port["token"]
    size = token["beats"] * port["bus_bytes"]
    assert size == token["bytes"] + token["padding_bytes"]
    rows = [int.from_bytes(row.tobytes(), "little") for row in beats.reshape(-1, size)]
    assert all(row >> 8 * token["bytes"] == 0 for row in rows)

    def number(row, field, element):
        low, bits = 8 * field["first_byte"] + element * field["pitch_bits"], field["bits"]
        found = row >> low & (1 << field["pitch_bits"]) - 1
        if bits == 1:
            return 2 * found - 1
        found -= (found >> field["pitch_bits"] - 1) << field["pitch_bits"]
        assert -(1 << bits - 1) <= found < 1 << bits - 1
        return found

    return {
        field["name"]: np.array(
            [[number(row, field, i) for i in range(field["elements"])] for row in rows]
        )
        for field in token["fields"]
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_the_datasheet_is_enough_to_read_a_packet(name):
    config, rng = CONFIGS[name], np.random.default_rng(1)
    ports = json.loads(json.dumps(as_dict(config)))
    _, workload = trial(config, rng, 1)
    for _, tokens, values, *queries in workload.sequences():
        none = np.zeros((*map(len, queries), 0), np.int64)
        for inlet, given, beside in zip(
            config.wire.inlets, (tokens, *queries), (values, none), strict=False
        ):
            found = read(ports[inlet.bus], pack_packet(inlet, given, beside))
            assert [*found] == [side.vector for side in inlet.all] + ["v"] * (beside is values)
            np.testing.assert_array_equal(found.pop("v", none), beside)
            np.testing.assert_array_equal(np.concatenate([*found.values()], axis=1), given)
    low, high = -(1 << config.output_width - 1), (1 << config.output_width - 1) - 1
    outputs = rng.integers(low, high + 1, (3, config.value_dim))
    found = read(ports["m_axis"], pack_outputs(config, outputs))
    np.testing.assert_array_equal(found["result"], outputs)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_bit_of_tuser_has_one_meaning(name):
    config = CONFIGS[name]
    ports = as_dict(config)
    widths = {inlet.bus: config.wire.s_tuser_width for inlet in config.wire.inlets}
    widths["m_axis"] = config.wire.m_tuser_width
    for bus, width in widths.items():
        tuser = ports[bus]["tuser"]
        bits = [f["low"] + i for f in tuser["fields"] for i in range(f["bits"])]
        assert bits == list(range(width)) and tuser["width"] == width
    given = ports["s_axis"]
    assert (given["set_from"] == "NEXT_SET") == (config.tuser_width == 0)
    assert given["next_set_depth"] == config.next_set_depth
    out = ports["m_axis"]["tuser"]
    (error,) = [f["low"] for f in out["fields"] if f["name"] == "error"]
    assert out["error_bit"] == error == config.wire.error_bit
    assert out["bad_frame_mask"] == out["bad_frame_value"] == config.wire.m_tuser(0, True)


def test_the_page_names_every_pin_beside_the_data():
    page = as_markdown(Config(mask="causal", contexts=5, tkeep=True, value_dim=5), "engine")
    for text in (
        "# Streams of engine", "| x | 0 | 32 | 8 | 8 |", "| v | 32 | 5 | 8 | 8 |",
        "| result | 0 | 5 | 16 | 16 |", "37 bytes and 3 of padding: 5 beats",
        "| `s_axis_tuser` | 8 | the packet begins its context", "| `s_axis_tid` | 2:0 |",
        "| `m_axis_tuser` | 8 | the packet was bad, which its last beat may be the first to say; a "
        "frame FIFO's mask and value for bad frames are 0x100 |",
        "| `s_axis_tkeep` | 7:0 | all ones; on a token's last beat 0x1f", "last beat 0x3: padding",
    ):
        assert text in page, text
    assert "NEXT_SET" not in page
    page = as_markdown(Config(tuser_width=0, next_set_depth=2), "engine")
    assert "takes one, and is not accepted while none waits; SLVERR while NEXT_SET_DEPTH" in page
    for absent in ("tkeep", "tid", "begin"):
        assert f"_{absent}" not in as_markdown(Config(), "engine")
