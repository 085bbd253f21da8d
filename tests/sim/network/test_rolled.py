# SPDX-License-Identifier: Apache-2.0
"""Networks whose blocks share the hardware of one: every bit, their rate, and what goes wrong."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ecoformer.golden.integer.network.forward import run, trace
from ecoformer.hw.emit.network import NetworkVerilog, at_full_rate, emit_network
from ecoformer.sim.network.busy import busy_bits
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.load_scenes import LOADS
from ecoformer.sim.network.scenes import PHASES
from ecoformer.sim.network.simulate import simulate_network
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.network.verification import verify_network
from tests.sim.network.broken import NETWORK
from tests.sim.network.rolled import ROLLED, TINY_ROLLED

IMAGE = random_image(TINY_ROLLED, 5)
PIXELS = random_pixels(TINY_ROLLED, 6, 5)
LOADABLE = replace(TINY_ROLLED, loadable=True)


@cache
def emitted(design=TINY_ROLLED):
    return emit_network(design, random_image(design, 5))


def verified(builds, text=None, design=TINY_ROLLED, **options):
    return verify_network(
        design, random_image(design, 5), text or emitted(design), random_pixels(design, 6, 5),
        build_dir=builds, **options,
    )


def test_a_right_network_passes_every_phase(builds):
    result = verified(builds, parameter_sets=1)
    assert result.ok, result.mismatches[:3]
    phases = {phase.name: phase for phase in result.phases}
    assert [*phases] == [*PHASES, "parameters"]
    assert phases["bad"].bad and phases["resets"].resets == 4
    assert result.cycles_per_image == TINY_ROLLED.cycles_per_image == 4 * 32
    # Every element of every layer of every image, block by block.
    layers = 4 * sum((4, *2 * (4, 8, 4, 4, 4, 4, 4, 4, 4, 4), 4)) + 4 + 3
    assert phases["images"].elements == len(PIXELS) * layers


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.full] * (name == "softmax")) for name in ROLLED
])
def test_networks_of_other_shapes(name, builds):
    design = ROLLED[name]
    result = verified(builds, design=design, seed=7)
    assert result.ok, result.mismatches[:3]
    if at_full_rate(design):
        assert result.cycles_per_image == design.cycles_per_image


@pytest.mark.parametrize("changes", [
    {"depth": 4, "cycles_per_token": 64}, {"depth": 3, "cycles_per_token": 100},
    {"image_size": 1, "patch": 1, "depth": 3, "cycles_per_token": 48}, {"weights": "ternary"},
    {"image_size": 8, "patch": 4, "cycles_per_token": 50},
], ids=["four", "three of 33 cycles", "a token", "ternary", "a stem slower than both passes"])
def test_scores_are_those_of_the_integer_network(changes, builds):
    design = replace(TINY_ROLLED, **changes)
    image = random_image(design, 4, extremes=True)
    # More than are in the network at once, which of one token each are many.
    pixels = random_pixels(design, 5, 100 if design.tokens == 1 else 40)
    network = CompiledNetwork.of(design, image, builds)
    alone = network.run(pixels[:1])
    assert (alone.scores == run(design, image, pixels[:1])).all()
    answers, stalled = network.run(pixels), network.run(pixels[:20], stall=0.4, seed=6)
    assert (answers.scores == run(design, image, pixels)).all()
    assert (stalled.scores == run(design, image, pixels[:20])).all()
    steady = answers.last_out[(answers.last_out <= answers.first_in[-1])][12:]
    assert len(steady) > 8
    apart = np.diff(steady)
    assert at_full_rate(design)
    if design.blocks_set_rate:
        assert (apart == design.cycles_per_image).all()
    else:
        assert abs(apart.sum() - len(apart) * design.cycles_per_image) < design.block_cycles


def test_a_source_or_a_sink_that_nearly_stops(builds):
    pixels = random_pixels(TINY_ROLLED, 8, 24)
    network = CompiledNetwork.of(TINY_ROLLED, IMAGE, builds)
    beats = [*pixels.reshape(24, 1, -1).transpose(0, 2, 1)]
    for stall in (0.98, 0.995):
        answers = network.run_packets(beats, stall=stall, seed=9)
        assert (answers.scores == run(TINY_ROLLED, IMAGE, pixels)).all()


def test_what_every_layer_sends_is_told_apart_by_block(builds):
    network = CompiledNetwork.of(TINY_ROLLED, IMAGE, builds)
    for name, tensor in trace(TINY_ROLLED, IMAGE, PIXELS):
        assert network.elements(name, PIXELS).tolist() == tensor.reshape(-1).tolist(), name


def test_a_shared_layer_is_busy_for_all_blocks(builds):
    done = simulate_network(
        TINY_ROLLED, emitted(), random_pixels(TINY_ROLLED, 8, 30), build_dir=builds
    )
    assert done.cycles_per_image == TINY_ROLLED.cycles_per_image
    assert done.layers.keys() == busy_bits(TINY_ROLLED).keys()
    for part in ("out", "up", "down"):  # sixteen multiplications in sixteen cycles
        assert done.layers[f"blocks.{part}"]["steady_useful"] == 1
    assert done.layers["blocks.attention.accumulate_lanes"]["steady_busy"] >= 0.5


def test_the_manifest_counts_a_shared_layer_once():
    design = ROLLED["three"]
    facts = NetworkVerilog(design, random_image(design, 5), "net").manifest
    layers = {layer["name"]: layer for layer in facts["layers"]}
    assert [*layers][3:6] == ["ring", "blocks.norm1", "blocks.vectors"]
    assert facts["memory_bits"] == sum(layer["memory_bits"] for layer in facts["layers"])
    up, shape = layers["blocks.up"], design.linears["blocks.0.up"]
    assert up["lanes"] == up["multipliers"] == design.fold("blocks.0.up").lanes
    assert up["weight_bits"] == 3 * shape.inputs * shape.outputs * 8 <= up["memory_bits"]
    assert (up["cycles"], layers["stem"]["cycles"]) == (64, 192)
    assert facts["cycles"]["per_image"] == design.tokens * 192


@pytest.mark.parametrize("design", [
    LOADABLE, pytest.param(replace(ROLLED["three"], loadable=True), marks=pytest.mark.slow),
    pytest.param(replace(ROLLED["fast"], loadable=True), marks=pytest.mark.slow),
], ids=["tiny", "three", "fast"])
def test_parameters_of_all_blocks_are_loaded(design, builds):
    result = verified(builds, design=design, phases=["images", LOADS])
    assert result.ok, result.mismatches[:3]
    assert any(phase.loads for phase in result.phases)


def _changed(path, changes):
    """The text with every match of some patterns within a module changed."""
    text = emitted()
    start = re.search(rf"^module \\?{re.escape(f'{NETWORK}.network.blocks{path}')}[ (]", text, re.M)
    end = text.index("endmodule", start.start())
    body = text[start.start() : end]
    for pattern, new in changes.items():
        body, count = re.subn(pattern, new, body, flags=re.M)
        assert count, pattern
    return text[: start.start()] + body + text[end:]


FAULTS = {
    # Row 16 is the first of the second block.
    "a weight of the second block": (
        ".block.up", {r"(\bweights\[16\] = 8'h)..": r"\g<1>7f"}, "blocks.1.up", "element",
    ),
    "the weights of another block": (
        ".block.down", {r"\bweights_block <= .*;": "weights_block <= 0;"}, "blocks.1.down",
        "element",
    ),
    "a head with the parameters of another block": (
        ".block.heads", {r"\bhead_0_block <= .*;": "head_0_block <= 0;"}, "blocks.1.attention",
        "element",
    ),
    "images that enter late": (
        ".ring", {
            r"^  reg due;": "  reg due;\n  reg [63:0] late;",
            r"^    due <= (.*);": r"    begin due <= (\1) & late[63]; late <= {late, \1}; end",
        }, None, "cycles between two answers",
    ),
    "tokens that leave too early": (
        ".ring", {r"\bannounced_block <= .*;": "announced_block <= 1;"}, None, "answers",
    ),
}
"""Module, what takes the place of what; the layer that is blamed and what is said."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_located(fault, builds):
    path, changes, layer, what = FAULTS[fault]
    result = verified(builds, _changed(path, changes), phases=("images", "rate"))
    assert what in {m.what for m in result.mismatches}, result.mismatches[:3]
    if layer:
        assert {m.layer for m in result.mismatches if m.what == what} == {layer}
