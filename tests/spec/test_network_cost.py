# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import re
from dataclasses import replace

import pytest

from benchmarks.estimation.fit_networks import PARAMETER_SEED, modules
from benchmarks.estimation.measure import layer_cells, packed_network
from ecoformer.errors import EcoformerError
from ecoformer.hw.emit.network import NetworkVerilog, emit_network
from ecoformer.hw.network.decoder import Decoder
from ecoformer.hw.network.top import NetworkTop
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.cost.network.attention import HeadsLayer
from ecoformer.spec.cost.network.estimate import (
    estimate_network,
    fastest_network,
    network_cells,
    network_model,
)
from ecoformer.spec.cost.network.pipeline import layers
from ecoformer.spec.network.load import load_design
from tests.sim.network.decoders import DECODERS, TINY_DECODER
from tests.sim.network.designs import DESIGNS, TINY
from tests.sim.network.rolled import ROLLED, TINY_ROLLED

EXAMPLES = {
    name: load_design(f"examples/{name}/network.toml")
    for name in ("chip", "chip-adders", "characters", "moby-dick")
}
SMALL = {
    **DESIGNS, "tiny": TINY, "loadable": replace(TINY, loadable=True), **DECODERS,
    "tiny decoder": TINY_DECODER, "loadable decoder": replace(TINY_DECODER, loadable=True),
    "many lanes": replace(TINY, heads=1, hidden=40, cycles_per_token=40),
    **{f"rolled, {name}": design for name, design in ROLLED.items()}, "rolled": TINY_ROLLED,
    "rolled, loadable": replace(TINY_ROLLED, loadable=True),
}
QUICK = ("fast", "loadable", "four at once", "rolled")
"""Whose memories 'make test' compares."""
PLENTY = {"LUT": 1_000_000, "DSP": 1_000, "block RAM": 1_000}


def fits(design, capacity):
    needed = estimate_network(design).resources
    return all(number <= capacity[name] for name, number in needed.items())


@pytest.mark.parametrize("name", [*SMALL, *EXAMPLES])
def test_every_network_has_an_estimate_of_every_layer(name):
    design = (SMALL | EXAMPLES)[name]
    found = estimate_network(design, 80)
    known = network_model()["luts"].keys()
    assert all(layer.features.keys() <= known for layer in layers(design))
    assert found.cells == pytest.approx(sum(layer.cells for layer in found.layers), abs=99)
    assert found.dsp == sum(layer.dsp for layer in found.layers)
    assert found.block_ram == sum(layer.block_ram for layer in found.layers)
    assert found.packets_per_second == pytest.approx(
        80e6 / (found.cycles_per_token * found.tokens_per_packet)
    )


@pytest.mark.parametrize("name", [*SMALL, *EXAMPLES])
def test_depths_follow_from_the_latencies_of_the_hardware(name):
    design = (SMALL | EXAMPLES)[name]
    network = NetworkTop(design, random_image(design, 0)).network
    found = {layer.name: layer for layer in layers(design)}
    for path, linear in network.linears.items():
        layer = found[path]
        assert (layer.latency, layer.entering) == (linear.latency, linear.entering), path
        assert layer.is_streamed or layer.slots == linear.slots, path
    for path, block in network.hardware.items():
        for i, norm in enumerate(block.norms, 1):
            layer = found[f"{path}.norm{i}"]
            assert (layer.latency, layer.leaving) == (norm.latency, norm.leaving)
        heads = found[f"{path}.attention"]
        assert (heads.ahead, heads.leaving) == (block.heads.ahead, block.heads.leaving)
        # Only that of a datapath is about right.
        first, second = (found[f"{path}.residual{i}"].tokens for i in (1, 2))
        assert abs(first - block.residuals[0].tokens) <= 1
        assert second == block.residuals[1].tokens
    if isinstance(network, Decoder):
        assert found["answers"].waiting == network.answers.waiting
    if network.shared:
        built = network.shared.ring
        ring = replace(found["ring"], inside=network.shared.block.tokens)
        assert ring.latency_of(5) == built.latency_of(5)
        assert (ring.shape.images, ring.tokens) == (built.images, built.tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in SMALL
])
def test_block_ram_is_that_of_the_memories_in_the_verilog(name):
    """By the same rule, and without the datapaths, of which engines tell."""
    design = SMALL[name]
    text = emit_network(design, random_image(design, 0))
    known = {layer.name: layer.block_ram for layer in layers(design)}
    for layer in layers(design):
        if isinstance(layer, HeadsLayer):
            known[layer.name] = sum(memory.blocks for memory in layer.queues)
    assert sum(known.values()) == sum(
        memory.blocks for module in text.split("endmodule")
        if ".heads.head_" not in module.lstrip().split("\n", 1)[0]
        for memory in memories(module)
    )


def memories(module):
    """The memories of a Verilog module."""
    attributes = ""
    for line in module.splitlines():
        if found := re.match(r"\s*reg (?:\[(\d+):0\] )?(\S+) +\[(\d+):0\];", line):
            width, name, depth = int(found[1] or 0) + 1, found[2], int(found[3]) + 1
            style = next((s for s in ("block", "distributed") if s in attributes), "")
            write = rf"^ *{re.escape(name)} ?\[.*?\](?:\[(\d+):(\d+)\])? <="
            writes = re.findall(write, module, re.MULTILINE)
            granule = next((int(high) - int(low) + 1 for high, low in writes if high), 0)
            yield Memory(name, width, depth, style or ("" if writes else "table"), granule=granule)
        marked = re.match(r"\s*\(\* (.*) \*\)", line)
        attributes = marked[1] if marked else ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fast", "single", "rolled, fast"])
def test_multipliers_are_those_of_the_manifest(name):
    """No operand of these is wider than a block."""
    design = SMALL[name]
    manifest = NetworkVerilog(design, random_image(design, 0)).manifest
    known = {layer["name"]: layer["multipliers"] for layer in manifest["layers"]}
    assert {layer.name: layer.dsp for layer in layers(design)} == known


def test_multipliers_of_the_examples():
    assert {name: estimate_network(design).dsp for name, design in EXAMPLES.items()} == {
        "chip": 151, "chip-adders": 34, "characters": 154, "moby-dick": 147,
    }
    assert estimate_network(EXAMPLES["moby-dick"]).block_ram == 204


def test_rates_are_those_of_the_design():
    chip = estimate_network(EXAMPLES["chip"], 100)
    assert (chip.cycles_per_token, chip.tokens_per_packet) == (1_024, 49)
    assert round(chip.packets_per_second) == 1_993
    assert estimate_network(EXAMPLES["characters"], 80).packets_per_second == 2_500_000
    pairs = estimate_network(DESIGNS["softmax"])
    assert pairs.cycles_per_token == DESIGNS["softmax"].engine.flow.query_cycles(9) == 64


def test_more_lanes_take_more_cells():
    taken = [
        sum(network_cells(replace(EXAMPLES["characters"], cycles_per_token=k)).values())
        for k in (16, 32, 128)
    ]
    assert taken == sorted(taken, reverse=True)


@pytest.mark.parametrize("name, rate", [("characters", 100), ("chip-adders", 200)])
def test_the_fastest_network_that_fits_is_faster_than_any_that_does_not(name, rate):
    design = EXAMPLES[name]
    capacity = estimate_network(replace(design, cycles_per_token=rate)).resources
    found = fastest_network(design, capacity, "the part")
    assert fits(found, capacity) and found.cycles_per_token <= rate
    faster = replace(found, cycles_per_token=found.cycles_per_token - 1)
    assert not fits(faster, capacity)
    assert fastest_network(found, capacity, "the part") == found


def test_heads_stay_as_fast_as_they_are_where_they_fit():
    design = EXAMPLES["characters"]
    assert fastest_network(design, PLENTY, "the part").attention == design.attention
    needs = estimate_network(design).resources
    cramped = fastest_network(design, needs | {"LUT": needs["LUT"] - 600}, "the part")
    assert cramped.attention.cycles_per_token > design.attention.cycles_per_token


def test_a_part_that_is_too_small_is_refused_with_what_it_lacks():
    with pytest.raises(EcoformerError, match=r"^the part: too small for any cycles_per_token, the "
                       r"slowest takes about [\d,]+ LUT of 100; choose a larger part, or fewer"):
        fastest_network(EXAMPLES["chip"], PLENTY | {"LUT": 100}, "the part")


def test_the_error_is_that_of_networks_that_the_fit_did_not_see():
    known = network_model()
    assert 0 < known["mean_error"] <= known["largest_error"]
    assert known["held_out_networks"] > 0 and known["fitted_layers"] > 0


@pytest.mark.synth
@pytest.mark.full
def test_rules_and_cells_agree_with_synthesis(tmp_path):
    """Layer by layer by rule; the whole network, which the fit did not see, within the error."""
    design = TINY
    image = random_image(design, PARAMETER_SEED)
    mapped = layer_cells(design, image, tmp_path)
    for layer in layers(design):
        of_layer = [mapped[path] for path in modules(layer) if path in mapped]
        if of_layer and not isinstance(layer, HeadsLayer):
            counts = [sum(found[kind] for found in of_layer) for kind in ("DSP", "block RAM")]
            assert [layer.dsp, layer.block_ram] == counts, layer.name
    found, packed = estimate_network(design), packed_network(design, image, tmp_path / "whole")
    assert (found.dsp, found.block_ram) == (packed["DSP"], packed["block RAM"])
    assert abs(found.cells / packed["LUT"] - 1) <= found.cells_error
