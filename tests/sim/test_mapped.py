# SPDX-License-Identifier: Apache-2.0
import json
import re

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.sim.mapped import LIBRARIES, simulation_text, verify_mapped
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from tests.emitted import emitted

pytestmark = pytest.mark.synth

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, token_width=5, value_width=4, output_width=8,
    output_fraction=3, max_tokens=6, cycles_per_token=4, parameter_sets=40, bus_bytes=4,
)
"""Small, but with memories for so many sets that parameters lie in block RAM."""
BLOCKS = {
    "ecp5": ("MULT18X18D", "DP16KD", "TRELLIS_DPR16X4"),
    "xc7": ("DSP48E1", "RAMB18E1"),
    "ice40": ("SB_RAM40_4K",),
    "gatemate": ("CC_BRAM_20K", "CC_MULT"),
}


@pytest.fixture(scope="module", params=[
    pytest.param(name, marks=() if name == "ecp5" else pytest.mark.full) for name in LIBRARIES
])
def mapped(request, for_all_workers):
    """(target, netlist, figures)"""
    target = request.param

    def synthesised(folder):
        figures = synthesise(
            emitted(CONFIG, "small"), "small", TARGETS[target], folder, units=target == "ecp5"
        )
        (folder / "figures.json").write_text(json.dumps(figures))

    folder = for_all_workers(f"mapped-{target}", synthesised)
    figures = json.loads((folder / "figures.json").read_text())
    return target, (folder / "netlist.v").read_text(), figures


def verify(builds, target, netlist, **options):
    rng = np.random.default_rng(0)
    image = random_image(CONFIG, rng, sets=1)
    workload = random_workload(CONFIG, rng, 4, lengths=3, sets=1)
    return verify_mapped(CONFIG, image, workload, netlist, target, build_dir=builds, **options)


@pytest.mark.icarus
def test_the_netlist_is_exact_at_full_rate_and_with_stalls(mapped, builds):
    target, netlist, _ = mapped
    for stall in (0.0, 0.4):
        result = verify(builds, target, netlist, stall=stall)
        assert result.ok, "\n".join(map(str, result.mismatches[:10]))
        assert result.total("words") == 12 * CONFIG.value_dim
        if not stall:
            assert result.run.cycles_per_token == CONFIG.cycles_per_token
        assert result.run.units is None  # a netlist has no probes, perhaps their names


def test_memories_and_multipliers_become_blocks(mapped):
    target, _, figures = mapped
    assert all(figures["cells"].get(block) for block in BLOCKS[target]), figures["cells"]
    if target == "ecp5":
        units = {unit["path"].split(".")[-1].split("$")[0]: unit for unit in figures["units"]}
        for name in ("anchors", "bias", "matrix", "threshold", "root", "kernel_0"):
            assert units[name]["block RAM"] == 1, name
        # A row of a parameter memory is read as it lies there, without a bypass, and its register
        # is the block's; what is left are the registers of what is written.
        memory = MemoryMap(CONFIG).regions["anchors"]
        assert units["anchors"]["FF"] <= 32 + memory.words + 16
        assert units["dots"]["DSP"] == CONFIG.dot_fold.lanes


def test_registers_are_those_of_the_multipliers(mapped):
    target, netlist, _ = mapped
    if target == "ecp5":
        for side in ("INPUTA", "INPUTB", "OUTPUT"):
            assert netlist.count(f'.REG_{side}_CLK("CLK0")') >= CONFIG.dot_fold.lanes, side


def check_short_sequences(builds, config, path):
    """Six of one to six tokens, at full rate and with stalls, on an ECP5."""
    rng = np.random.default_rng(1)
    sets = config.parameter_sets
    image = random_image(config, rng, sets=sets)
    workload = random_workload(config, rng, 6, lengths=(1, 6), sets=sets)
    netlist = path.read_text()
    for stall in (0.0, 0.4):
        result = verify_mapped(
            config, image, workload, netlist, "ecp5", build_dir=builds, stall=stall
        )
        assert result.ok, "\n".join(map(str, result.mismatches[:10]))


@pytest.mark.full
@pytest.mark.icarus
def test_tables_in_block_ram_are_exact(builds, tmp_path):
    """No result depends on an entry that is read while it is written, which is X here."""
    config = Config(
        value_dim=8, code_bits=7, hash="codes", value_width=4, output_width=8, max_tokens=6,
        cycles_per_token=16, parameter_sets=1, bus_bytes=4, dataflow="bucketed",
    )
    figures = synthesise(emitted(config, "small"), "small", TARGETS["ecp5"], tmp_path)
    units = {unit["path"].split(".")[-1].split("$")[0]: unit for unit in figures["units"]}
    assert units["tables"]["block RAM"] and units["state"]["block RAM"]
    check_short_sequences(builds, config, tmp_path / "netlist.v")


@pytest.mark.full
@pytest.mark.icarus
def test_the_netlist_of_cells_in_rows_and_columns_is_exact(builds, tmp_path, monkeypatch):
    """With the copies that a large design gets."""
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 0)
    config = Config(
        head_dim=3, value_dim=9, code_bits=5, hash="linear", weights="ternary", value_width=4,
        token_width=4, output_width=8, output_fraction=3, max_tokens=6, cycles_per_token=1,
        parameter_sets=2, bus_bytes=16,
    )
    figures = synthesise(
        emitted(config, "small"), "small", TARGETS["ecp5"], tmp_path, units=False
    )
    assert figures["cells"]["DP16KD"]
    check_short_sequences(builds, config, tmp_path / "netlist.v")


@pytest.mark.icarus
@pytest.mark.parametrize("mapped", ["ecp5"], indirect=True)
def test_a_wrong_cell_is_seen(mapped, builds):
    target, netlist, _ = mapped
    wrong, count = re.subn(r"\.SIGNEDA\(1'h1\)", ".SIGNEDA(1'h0)", netlist)
    assert count
    assert not verify(builds, target, wrong).ok
    register = '.REG_OUTPUT_CLK("CLK0")'
    late, count = re.subn(re.escape(register), register.replace("CLK0", "NONE"), netlist)
    assert count
    assert not verify(builds, target, late).ok


def test_a_cell_without_behaviour_is_refused():
    with pytest.raises(EcoformerError, match="no behaviour is known of cell FLUX_CAPACITOR"):
        simulation_text("module top;\n  FLUX_CAPACITOR c (\n  );\nendmodule\n", "ecp5")
