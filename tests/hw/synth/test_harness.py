# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.harness import cst, pdc, wrapper
from ecoformer.hw.synth.repairs import release_carry_in, widen_luts

PORTS = {
    "aclk": {"direction": "input", "bits": [2]},
    "a": {"direction": "input", "bits": [3, 4, 5]},
    "en": {"direction": "input", "bits": [6]},
    "q": {"direction": "output", "bits": [7, 8]},
}


def test_every_pin_has_its_own_register():
    text = wrapper("top", PORTS)
    assert "reg [3:0] to;" in text and "reg [1:0] seen;" in text
    assert ".a(to[2:0]), .en(to[3:3]), .q(from[1:0])" in text
    assert "module harness(aclk, scan_in, scan_out);" in text and "input aclk;" in text


def test_a_clock_may_come_from_the_chip():
    text = wrapper("top", PORTS, "OSC source(.O(aclk));")
    assert "module harness(scan_in, scan_out);" in text
    assert "wire aclk;\n  OSC source(.O(aclk));" in text


@pytest.mark.parametrize("missing", ["aclk", "q"])
def test_a_module_without_a_clock_or_outputs_is_refused(missing):
    ports = {name: port for name, port in PORTS.items() if name != missing}
    with pytest.raises(EcoformerError, match="^module top: must have a clock aclk, inputs and out"):
        wrapper("top", ports)


def test_pads_are_named_as_the_tools_want_them():
    assert cst({"aclk": "52"}) == 'IO_LOC "aclk" 52;\n'
    assert pdc({"aclk": "L13"}) == "ldc_set_location -site {L13} [get_ports aclk]\n"


def test_the_first_carry_of_a_chain_is_released():
    def carry(source):
        return {"type": "CCU2", "connections": {"CIN": [source]},
                "port_directions": {"CIN": "input"}}

    tie = {"type": "VLO", "connections": {"Z": [9]}, "port_directions": {"Z": "output"}}
    module = {"cells": {"t": tie, "first": carry(9), "next": carry(10), "const": carry("0")}}
    release_carry_in(module)
    left = {name: cell["connections"] for name, cell in module["cells"].items() if name != "t"}
    assert left == {"first": {}, "next": {"CIN": [10]}, "const": {}}


@pytest.mark.parametrize("inputs", [1, 2, 3, 4])
def test_a_wider_lut_has_the_same_table(inputs):
    table = "".join(str(row * 5 // 3 % 2) for row in range(1 << inputs))
    connections = {"F": [1]} | {f"I{i}": [i + 2] for i in range(inputs)}
    cell = {"type": f"LUT{inputs}", "parameters": {"INIT": table}, "connections": connections,
            "port_directions": {}}
    widen_luts({"cells": {"lut": cell}})
    assert cell["type"] == "LUT4" and len(cell["parameters"]["INIT"]) == 16
    assert [cell["connections"][f"I{i}"] for i in range(inputs, 4)] == [["0"]] * (4 - inputs)
    for row in range(16):  # the first character is that of the last row
        old = table[::-1][row % (1 << inputs)]
        assert cell["parameters"]["INIT"][::-1][row] == old
