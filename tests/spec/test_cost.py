# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
import sys

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.presets import PRESETS
from ecoformer.spec.config import Config
from ecoformer.spec.cost.estimate import cells, estimate, fastest, model
from ecoformer.spec.cost.fabric import Memory, multipliers
from ecoformer.spec.cost.features import all_memories, features
from ecoformer.spec.dataflows import CROSS, DATAFLOWS
from tests.emitted import emitted

SMALL = dict(
    head_dim=4, value_dim=6, code_bits=8, anchors=4, max_tokens=64, parameter_sets=3,
    cycles_per_token=8, bus_bytes=4, tuser_width=4,
)
EVERY = {
    "rbf": {}, "ternary": {"hash": "linear", "weights": "ternary"}, "codes": {"hash": "codes"},
    "separate": {"queries": "separate"}, "bucketed": {"dataflow": "bucketed"},
    "xnor": {"dataflow": "xnor"}, "softmax": {"hash": "none", "dataflow": "softmax"},
    "causal": {"mask": "causal", "contexts": 40}, "full rate": {
        "cycles_per_token": 1, "bus_bytes": 16},
    "causal xnor": {"mask": "causal", "dataflow": "xnor"}, "two engines": {"engines": 2},
    "cross": {"queries": "cross"}, "cross bucketed": {"queries": "cross", "dataflow": "bucketed"},
    "cross xnor": {"queries": "cross", "dataflow": "xnor"}, "own": {"value_term": "own"},
}
QUICK = ("rbf", "bucketed", "causal", "full rate", "cross xnor")
"""Whose memories 'make test' compares."""
PLENTY = {"LUT": 83_640, "DSP": 156, "block RAM": 208}


def test_a_memory_takes_the_cheaper_form():
    assert Memory("words", 32, 16, "block").blocks == 1
    small = Memory("queue", 51, 10)
    assert (small.is_block, small.blocks, small.luts) == (False, 0, 13 * 6)
    large = Memory("state", 102, 512)
    assert (large.is_block, large.blocks, large.luts) == (True, 3, 0)
    assert Memory("ring", 16, 1_024).blocks == 1
    assert Memory("table", 9, 2_048, "rom").blocks == 1
    assert Memory("tokens", 24, 6_167, "block").blocks == 12
    assert Memory("lines", 10, 40).selected == 20


@pytest.mark.parametrize(
    "width, depth, blocks, cells",
    [
        (24, 48, 0, 18), (24, 64, 1, 0), (36, 33, 1, 0), (20, 33, 0, 15), (64, 33, 2, 0),
        (96, 17, 0, 48), (96, 33, 3, 0), (128, 32, 0, 64), (128, 33, 4, 0), (200, 17, 0, 100),
        (200, 33, 6, 0), (8, 128, 0, 16), (30, 80, 1, 0), (306, 4, 0, 77), (24, 2_048, 3, 0),
        (32, 2_112, 5, 0), (104, 1_024, 6, 0), (40, 600, 3, 0),
    ],
)
def test_the_cheaper_form_is_the_one_that_yosys_takes(width, depth, blocks, cells):
    """Each was mapped by itself, with a read port that is registered."""
    memory = Memory("", width, depth)
    assert (memory.blocks, 0 if memory.is_block else memory.cells) == (blocks, cells)


@pytest.mark.parametrize(
    "width, depth, blocks",
    [
        (8, 256, 0), (9, 256, 1), (33, 63, 0), (33, 64, 1), (5, 416, 0), (40, 103, 0), (40, 104, 2),
        (72, 57, 0), (72, 58, 2), (100, 61, 0), (100, 62, 3), (128, 64, 0), (128, 65, 4),
        (200, 61, 0), (200, 62, 6),
    ],
)
def test_a_table_is_block_ram_from_the_size_at_which_yosys_takes_one(width, depth, blocks):
    """Each was mapped by itself, with random contents and a read port that is registered."""
    table = Memory("", width, depth, "table")
    assert (table.blocks, table.luts) == (blocks, 0)
    assert table.table_luts == (0 if blocks else width * -(-depth // 16))


@pytest.mark.parametrize(
    "width, depth, granule, blocks",
    [
        (64, 144, 16, 2), (26, 144, 13, 1), (48, 144, 16, 2), (16, 2_048, 8, 2), (52, 200, 13, 2),
        (64, 600, 8, 4), (40, 144, 8, 2), (27, 144, 9, 1), (24, 144, 24, 1), (16, 1_200, 16, 2),
    ],
)
def test_what_is_written_by_itself_shares_no_byte(width, depth, granule, blocks):
    """Each was mapped by itself."""
    assert Memory("", width, depth, "block", granule=granule).blocks == blocks


def test_what_is_not_read_is_left_out_of_the_form_of_the_whole_word():
    # Four blocks hold a byte each, and one byte is read.
    assert Memory("weights", 32, 2_048, "block", 32, 8).blocks == 1
    # Five hold a whole word each, and none is left out.
    assert Memory("weights", 32, 2_112, "block", 32, 8).blocks == 5
    # Words that are written by themselves share no block: thirteen, not 416 bits in twelve.
    assert Memory("weights", 416, 144, granule=32).blocks == 13
    # Of three lanes of 32 bits 18 are read: five cells of eight.
    assert Memory("levels", 96, 8, "", 32, 18).cells == 3 * 5
    assert Memory("levels", 96, 8).cells == 3 * 8


def test_a_product_of_wide_operands_takes_several_multipliers():
    assert [multipliers(18, 18), multipliers(20, 18), multipliers(24, 25)] == [1, 2, 4]
    # A single bit too many is made of LUTs.
    assert [multipliers(19, 18), multipliers(19, 19)] == [1, 1]


@pytest.mark.parametrize("name", EVERY)
def test_every_engine_has_an_estimate(name):
    config = Config(**SMALL | EVERY[name])
    assert features(config).keys() <= model()["luts"].keys()
    found = estimate(config)
    assert 500 < found.cells < 20_000
    assert found.tokens_per_second == pytest.approx(1e8 / found.cycles_per_token)


def test_every_flow_is_among_them():
    known = {type(Config(**SMALL | changes).flow) for changes in EVERY.values()}
    assert known >= {flow for flows in (*DATAFLOWS.values(), CROSS) for flow in flows.values()}


def test_a_preset_has_the_block_ram_that_yosys_gives_it():
    """Mapped with Yosys 0.70: thirteen for anchors, seven for the projection."""
    assert estimate(Config.load("k16")).block_ram == 26


def test_multipliers_are_lanes_and_addresses():
    assert estimate(Config.load("demo")).dsp == 82
    contexts = dict(hash="codes", mask="causal", contexts=40, code_bits=12, cycles_per_token=64)
    rows = Config(**SMALL | contexts, value_term="own")  # 72 rows of a state, 12 of its codes
    assert estimate(rows).dsp == 2 + 2
    assert estimate(Config(**SMALL | contexts | {"contexts": 1}, value_term="own")).dsp == 2


def test_cycles_are_those_of_the_dataflow():
    assert estimate(Config(**SMALL)).cycles_per_token == 8
    assert estimate(Config(**SMALL, engines=2)).cycles_per_token == 4
    quadratic = Config(**SMALL, dataflow="xnor")
    assert estimate(quadratic).cycles_per_token == quadratic.flow.query_cycles(64) > 64


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in EVERY
])
def test_block_ram_is_that_of_the_memories_in_the_verilog(name):
    """By the same rule: which memories there are is told apart from what becomes of them."""
    config = Config(**SMALL | EVERY[name])
    found = 0
    for module in emitted(config, "small").split("endmodule"):
        attributes = ""
        for line in module.splitlines():
            if memory := re.match(r"\s*reg (?:\[(\d+):0\] )?(\S+) +\[(\d+):0\];", line):
                width, depth = int(memory[1] or 0) + 1, int(memory[3]) + 1
                table = (width, depth) in ((9, 2_048), (11, 1_024))
                style = "block" if "block" in attributes or table else ""
                reads = len(re.findall(rf"<= {re.escape(memory[2])} ?\[", module))
                masked = bool(re.search(rf"{re.escape(memory[2])} ?\[\w+\]\[31:0\] <=", module))
                found += max(1, reads) * Memory("", width, depth, style, granule=32 * masked).blocks
            marked = re.match(r"\s*\(\* (.*) \*\)", line)
            attributes = marked[1] if marked else ""
    known = sum(memory.blocks for memory in all_memories(config))
    assert known == found


def test_the_fastest_engine_that_fits_a_part():
    config = Config.load("demo")
    needs = estimate(config).resources
    same = fastest(config, needs, "the part")
    assert same.cycles_per_token == config.cycles_per_token
    slower = fastest(config, needs | {"DSP": needs["DSP"] - 1}, "the part")
    assert slower.cycles_per_token == 2 * config.cycles_per_token
    assert fastest(config, PLENTY, "the part").cycles_per_token <= config.cycles_per_token
    with pytest.raises(EcoformerError, match="^the part: too small for any cycles_per_token, the "
                       "slowest takes about .* LUT of 100; choose a larger part"):
        fastest(config, PLENTY | {"LUT": 100}, "the part")


def test_a_target_does_not_hinder_the_choice():
    config = Config(**SMALL | {"cycles_per_token": None}, target_tokens_per_second=10_000_000)
    assert fastest(config, PLENTY, "the part").target_tokens_per_second == 0


def test_more_lanes_take_more_cells():
    taken = [cells(Config(**SMALL | {"cycles_per_token": k, "bus_bytes": 16})) for k in (2, 8, 32)]
    assert taken == sorted(taken, reverse=True)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_have_an_estimate_in_no_time(preset):
    assert estimate(Config.load(preset)).cells > 1_000


def test_the_error_is_that_of_engines_that_the_fit_did_not_see():
    assert 0 < model()["mean_error"] <= model()["largest_error"]
    assert model()["held_out_engines"] > 0 and model()["fitted_engines"] > 0


def test_nothing_heavy_is_imported():
    program = (
        "import sys, json; from ecoformer.cli.estimate import command; "
        "from ecoformer.spec.cost.network.estimate import estimate_network; "
        "print(json.dumps([m for m in ('amaranth', 'torch', 'scipy') if m in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert json.loads(out.stdout) == []
