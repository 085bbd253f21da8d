# SPDX-License-Identifier: Apache-2.0
"""The Verilog of networks: lint, probes, and what the manifest says."""

import os
import re
import subprocess
from dataclasses import replace
from functools import cache

import pytest

from ecoformer.hw.emit.lint import (
    LOAD_WAIVERS,
    NETWORK_WAIVERS,
    WAIVERS,
    network_waivers,
    waivers,
)
from ecoformer.hw.emit.network import NetworkVerilog, at_full_rate
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.toolchain import find_simulator
from ecoformer.spec.choices import Weights
from ecoformer.spec.network.packet import parameter_packet
from tests.sim.network.decoders import DECODERS, TINY_DECODER
from tests.sim.network.designs import DESIGNS, TINY
from tests.sim.network.rolled import ROLLED

LOADABLE = {
    "loadable": replace(DESIGNS["fast"], loadable=True),
    "loadable decoder": replace(DECODERS["four at once"], loadable=True),
    "loadable, rolled": replace(ROLLED["three"], loadable=True),
}


@cache
def emitted(name):
    design = (ROLLED | DESIGNS | DECODERS | LOADABLE).get(name, TINY)
    return NetworkVerilog(design, random_image(design, 4), "net")


def lint(folder, text, control):
    for name, content in (("net.v", text), ("net.vlt", control)):
        (folder / name).write_text(content)
    tool = find_simulator("verilator", folder / "tools")
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "net.vlt", "net.v"], cwd=folder, text=True,
        env={**os.environ, **tool.env}, capture_output=True, check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", *DESIGNS, *DECODERS, *LOADABLE, "many tokens"])
def test_nothing_else_is_silenced(name, tmp_path):
    network = emitted(name)
    control = waivers("net", network_waivers(network.design))
    assert lint(tmp_path, network.text, control) == (0, "")
    assert (network_waivers(network.design) == LOAD_WAIVERS) == (name in LOADABLE)


@pytest.mark.slow
@pytest.mark.parametrize("waiver", LOAD_WAIVERS[len(NETWORK_WAIVERS) :], ids=lambda w: w.match)
def test_every_waiver_of_loads_is_needed(waiver, tmp_path):
    control = waivers("net", LOAD_WAIVERS, without=waiver)
    status, messages = lint(tmp_path, emitted("loadable").text, control)
    assert status and waiver.rule in messages


@pytest.mark.slow
@pytest.mark.parametrize("waiver", NETWORK_WAIVERS[len(WAIVERS) :], ids=lambda w: w.match[:40])
def test_every_waiver_of_networks_is_needed(waiver, tmp_path):
    control = waivers("net", NETWORK_WAIVERS, without=waiver)
    status, messages = lint(tmp_path, emitted("fast").text, control)
    assert status and waiver.rule in messages


@pytest.mark.parametrize("name", ["tiny", "fast"])
def test_the_manifest_says_how_large_every_layer_is(name):
    design, facts = DESIGNS.get(name, TINY), emitted(name).manifest
    layers = {layer["name"]: layer for layer in facts["layers"]}
    assert [*layers][:3] == ["patches", "stem", "positions"]
    for linear, shape in design.linears.items():
        layer, fold = layers[linear], design.fold(linear)
        assert (layer["lanes"], layer["steps"]) == (fold.lanes, fold.steps)
        assert layer["multipliers"] == (fold.lanes if design.weights == Weights.INT8 else 0)
        assert layer["weight_bits"] == shape.inputs * shape.outputs * shape.weights.bits
        # Weights in rows of all lanes, bias and shift, and tokens that wait.
        constants = shape.outputs * (shape.sum_width + 5)
        assert layer["memory_bits"] >= layer["weight_bits"] + constants
        assert layer["latency"] > layer["steps"] and layer["steps"] <= layer["cycles"]
    rows = layers["positions"]["memory_bits"]
    assert rows == design.tokens * design.width * design.residual_width
    # Every memory belongs to one layer.
    bits = sum(
        (int(width) + 1) * (int(depth) + 1)
        for width, depth in re.findall(r"reg \[(\d+):0\] \S+ *\[(\d+):0\];", emitted(name).text)
    )
    assert facts["memory_bits"] == bits == sum(layer["memory_bits"] for layer in facts["layers"])
    assert facts["cycles"]["per_image"] == design.tokens * facts["cycles"]["per_token"]


@pytest.mark.parametrize("name", LOADABLE)
def test_the_manifest_says_how_parameters_are_loaded(name):
    design, facts = LOADABLE[name], emitted(name).manifest
    pins = {pin["name"]: (pin["direction"], pin["width"]) for pin in facts["pins"]}
    assert {pin: pins[pin] for pin in pins if "_load_" in pin} == {
        "s_axis_load_tdata": ("in", 8), "s_axis_load_tvalid": ("in", 1),
        "s_axis_load_tready": ("out", 1), "s_axis_load_tlast": ("in", 1),
        "m_axis_load_tdata": ("out", 8), "m_axis_load_tvalid": ("out", 1),
        "m_axis_load_tready": ("in", 1),
    }
    packet = parameter_packet(design, random_image(design, 4))
    taken, given = (facts["streams"][f"{port}_axis_load"] for port in "sm")
    assert taken["beats"] == len(packet) and packet[:8].hex() == taken["header"]
    assert len(packet) == 12 + sum(m["rows"] * m["row_bytes"] for m in taken["memories"])
    assert given["answers"] == {"LOADED": 0, "CHECKSUM": 1, "LENGTH": 2, "OTHER_DESIGN": 3}
    assert facts["cycles"]["load"] > len(packet)
    # Every memory that is loaded is written, and nothing else holds parameters.
    bits = sum(memory["rows"] * 8 * memory["row_bytes"] for memory in taken["memories"])
    assert facts["memory_bits"] > bits
    assert not any("load" in text for text in map(str, emitted("fast").manifest["streams"]))


@pytest.mark.parametrize("name", ["tiny", "loadable"])
def test_only_tables_and_parameters_have_initial_values(name):
    text = emitted(name).text
    assert not re.search(r"^ *(reg|wire)\b[^;]*=", text, re.MULTILINE)


def test_a_rate_that_is_not_exact_is_not_published():
    exact = {name for name, design in DESIGNS.items() if at_full_rate(design)}
    assert exact == DESIGNS.keys() - {"softmax"} and at_full_rate(TINY)
    assert emitted("softmax").manifest["cycles"] == {"configured_per_token": 64}


def test_the_manifest_describes_a_decoder():
    design = TINY_DECODER
    network = NetworkVerilog(design, random_image(design, 4), "net")
    facts = network.manifest
    layers = {layer["name"]: layer for layer in facts["layers"]}
    assert [*layers][0] == "embedding" and [*layers][-1] == "answers"
    for linear, shape in design.linears.items():
        layer, fold = layers[linear], design.fold(linear)
        assert (layer["lanes"], layer["steps"]) == (fold.lanes, fold.steps)
        assert layer["weight_bits"] == shape.inputs * shape.outputs * 8
        assert layer["memory_bits"] >= layer["weight_bits"]
    bits = sum(
        (int(width) + 1) * (int(depth) + 1)
        for width, depth in re.findall(r"reg \[(\d+):0\] \S+ *\[(\d+):0\];", network.text)
    )
    assert facts["memory_bits"] == bits == sum(layer["memory_bits"] for layer in facts["layers"])
    assert facts["cycles"] == {"configured_per_token": 16, "per_token": design.steady_cycles}
    pins = {pin["name"]: pin for pin in facts["pins"]}
    assert pins["s_axis_tid"]["width"] == pins["m_axis_tid"]["width"] == 2
    assert pins["m_axis_tdata"]["width"] == 64 and "s_axis_tlast" not in pins
    answers = facts["streams"]["m_axis"]
    assert answers["beats"] == 3 and len(answers["tdata"]) == 2
    assert answers["errors"] == {"CONTEXT_LOST": 1, "TOO_LONG": 2, "NO_TOKEN": 3}


def products(text):
    """How many products every module makes, those with small constants aside: they are sums."""
    modules = re.findall(r"^module \\net\.network\.(\S+).*?\n(.*?)^endmodule", text, re.M | re.S)
    small = r"(?:\$signed\()?\d+'h[0-9a-f]{1,2}\)?"
    product = re.compile(rf"= (?!{small} \*)\S.* \* (?!{small};)")
    return {path: len(product.findall(body)) for path, body in modules}


@pytest.mark.parametrize("name", ["tiny", *DESIGNS, *DECODERS])
def test_the_manifest_counts_every_multiplier(name):
    found, layers = products(emitted(name).text), emitted(name).manifest["layers"]
    for layer in layers:
        path = re.sub(r"^blocks\.(\d+)", r"block_\1", layer["name"]).replace("attention", "heads")
        own = [count for part, count in found.items() if f"{part}.".startswith(f"{path}.")]
        assert sum(own) == layer["multipliers"], path
    assert sum(found.values()) == sum(layer["multipliers"] for layer in layers)


def test_without_multipliers_only_norms_and_offsets_multiply():
    multiply = {path for path, count in products(emitted("fast").text).items() if count}
    allowed = re.compile(r"norm\d?\.|\.heads\.head_\d+\.core$")
    assert multiply and {path for path in multiply if not allowed.search(path)} == set()
