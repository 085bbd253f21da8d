# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import gc
import re
from dataclasses import replace

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.emit.verilog import emit, to_verilog
from ecoformer.spec.config import Config
from ecoformer.spec.tables import KERNEL_INDEX_BITS, ROOT_INDEX_BITS

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=6, cycles_per_token=4,
    parameter_sets=5, bus_bytes=4,
)
DATAFLOWS = ("accumulate", "xnor", "bucketed", "softmax")


def config_of(flow, **others):
    paired = {"hash": "none"} if flow == "softmax" else {}
    return replace(CONFIG, dataflow=flow, **paired, **others)


@pytest.fixture(scope="module")
def texts():
    return {flow: emit(config_of(flow), "engine_a") for flow in DATAFLOWS}


def ports(text, name):
    """``{name: (direction, width)}`` of the top module."""
    body = re.search(rf"^module {name}\((.*?)^endmodule", text, re.S | re.M)[1]
    found = re.findall(r"^  (input|output)\b(?: reg| wire)?(?: \[(\d+):0\])? (\S+);", body, re.M)
    return {port: (direction, int(high or 0) + 1) for direction, high, port in found}


@pytest.mark.slow
@pytest.mark.parametrize("flow", DATAFLOWS)
def test_the_same_configuration_gives_the_same_bytes(texts, flow):
    assert emit(config_of(flow), "engine_a") == texts[flow]


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_no_path_of_this_machine_and_no_date(texts, flow):
    text = texts[flow]
    assert not re.search(r"\.py\b|/home|/usr|/root|/tmp|\(\* *src", text)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_probes_are_there_for_benches_and_nothing_keeps_them(texts, flow):
    assert {"trace_valid", "trace_code", "trace_busy"} <= set(re.findall(r"\w+", texts[flow]))
    assert not re.search(r"\(\* *keep", texts[flow])


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_ports_are_exactly_those_of_the_manifest(texts, flow):
    pins = manifest(config_of(flow), "engine_a")["pins"]
    directions = {"in": "input", "out": "output"}
    assert ports(texts[flow], "engine_a") == {
        pin["name"]: (directions[pin["direction"]], pin["width"]) for pin in pins
    }


def test_pins_of_the_contract(texts):
    found = ports(texts["accumulate"], "engine_a")
    assert found["aclk"] == found["aresetn"] == ("input", 1) and found["irq"] == ("output", 1)
    assert found["s_axis_tdata"] == ("input", 32) and found["m_axis_tdata"] == ("output", 32)
    assert found["s_axis_tuser"] == ("input", 8) and found["m_axis_tuser"] == ("output", 9)
    for stream, forward, back in (("s", "input", "output"), ("m", "output", "input")):
        assert found[f"{stream}_axis_tvalid"] == found[f"{stream}_axis_tlast"] == (forward, 1)
        assert found[f"{stream}_axis_tready"] == (back, 1)
    assert found["s_axil_awaddr"] == ("input", 8) and found["s_axil_rdata"] == ("output", 32)
    assert len(found) == 3 + 5 + 5 + 19


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_without_tuser_only_the_error_bit_is_left(flow):
    text = emit(config_of(flow, tuser_width=0), "engine_a")
    found = ports(text, "engine_a")
    assert "s_axis_tuser" not in found and found["m_axis_tuser"] == ("output", 1)
    assert len(found) == 3 + 4 + 5 + 19
    assert "[-1" not in text


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_every_signal_has_a_name_of_its_own(texts, flow):
    """Amaranth calls a signal that it cannot name ``$signal``."""
    assert "$signal" not in texts[flow] and "$signature" not in texts[flow]


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_tables_have_their_values_and_nothing_else_has_any(texts, flow):
    initial = re.findall(r"^ *(\S+) *\[\d+\] = \d+'h[0-9a-f]+;$", texts[flow], re.M)
    lanes = 1 if flow == "softmax" else CONFIG.family.kernel_lanes
    roots = 0 if flow == "softmax" else 1 << ROOT_INDEX_BITS
    assert len(initial) == roots + lanes * (1 << KERNEL_INDEX_BITS)


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_every_module_belongs_to_the_top(texts, flow):
    names = re.findall(r"^module (\S+?)\s*\(", texts[flow], re.M)
    assert len(set(names)) == len(names)
    assert all(re.match(r"\\?engine_a\b", name) for name in names), names


def test_another_configuration_gives_another_text(texts):
    assert emit(replace(CONFIG, code_bits=5), "engine_a") != texts["accumulate"]


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_no_latches_and_no_uninitialised_constants(texts, flow):
    text = texts[flow]
    assert "always_latch" not in text
    assert not re.search(r"'[bdh][0-9a-f_]*x", text)


class TableBesideMemory(wiring.Component):
    address: In(1)
    data: In(4)
    enable: In(1)
    found: Out(4)
    read: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = memory.Memory(shape=4, depth=2, init=[9, 5])
        m.submodules.store = store = memory.Memory(shape=4, depth=2, init=[])
        write = store.write_port()
        looked_up, read = (m_.read_port(domain="comb") for m_ in (table, store))
        m.d.comb += [
            looked_up.addr.eq(self.address), self.found.eq(looked_up.data),
            read.addr.eq(self.address), self.read.eq(read.data),
            write.addr.eq(self.address), write.data.eq(self.data), write.en.eq(self.enable),
        ]
        return m


def test_a_table_keeps_its_values_beside_a_memory_that_has_none():
    text = to_verilog(TableBesideMemory(), "both")
    initial = re.findall(r"^ *(\S+) *\[(\d+)\] = 4'h([0-9a-f]);$", text, re.M)
    assert sorted(value for *_, value in initial) == ["5", "9"], initial


def test_emission_leaves_the_process_as_it_was():
    emitter, collects = rtlil.ModuleEmitter, gc.isenabled()
    with pytest.raises(TypeError):
        to_verilog(None, "nothing")
    assert rtlil.ModuleEmitter is emitter and gc.isenabled() == collects
