# SPDX-License-Identifier: Apache-2.0
"""Registers into multipliers and memories, on netlists of one block written by hand."""

import copy

import pytest

from ecoformer.hw.synth.packing import pack_registers

CLOCK, OTHER_CLOCK, ENABLE = 2, 3, 4
D, Q, P, OUT = 100, 200, 300, 400  # nets before and behind the input registers, and the outputs'
BITS = 4


def flip_flop(d, q, clock=CLOCK, **parameters):
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED", **parameters},
        "attributes": {},
        "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
        "connections": {"CLK": [clock], "DI": [d], "LSR": ["0"], "Q": [q]},
    }


def multiplier(a, b, p):
    nets = {f"A{i}": [a[min(i, len(a) - 1)]] for i in range(18)}  # the sign goes on to the top
    nets |= {f"B{i}": [b[i] if i < len(b) else "0"] for i in range(18)}
    nets |= {f"P{i}": [p + i] for i in range(36)}
    return {
        "type": "MULT18X18D",
        "parameters": {},
        "attributes": {},
        "port_directions": {pin: "output" if pin[0] == "P" else "input" for pin in nets},
        "connections": nets,
    }


def registers(stem, d, q, count=BITS, **options):
    return {f"{stem}{i}": flip_flop(d + i, q + i, **options) for i in range(count)}


def make():
    """y <= a_q * b with a_q <= a, four bits of the product taken; b is no register's."""
    return {
        "ports": {
            "a": {"direction": "input", "bits": [*range(D, D + BITS)]},
            "y": {"direction": "output", "bits": [*range(OUT, OUT + BITS)]},
        },
        "cells": {
            **registers("in", D, Q),
            **registers("out", P, OUT),
            "mult": multiplier([*range(Q, Q + BITS)], [50, 51], P),
        },
    }


def test_registers_on_both_sides_move_in():
    module = make()
    moved = pack_registers(module)
    assert moved == {"inputs": 1, "outputs": 1, "flip-flops": 8}
    (cell,) = module["cells"].values()
    assert cell["parameters"] == {
        "REG_INPUTA_CLK": "CLK0", "REG_OUTPUT_CLK": "CLK0", "GSR": "DISABLED",
    }
    nets = cell["connections"]
    assert [nets[f"A{i}"] for i in range(6)] == [[D], [D + 1], [D + 2], *3 * [[D + 3]]]
    assert [nets[f"B{i}"] for i in range(3)] == [[50], [51], ["0"]]
    assert [nets[f"P{i}"] for i in range(5)] == [*([OUT + i] for i in range(4)), [P + 4]]
    assert (nets["CLK0"], nets["CE0"], nets["RST0"]) == ([CLOCK], ["1"], ["0"])
    assert {cell["port_directions"][pin] for pin in ("CLK0", "CE0", "RST0")} == {"input"}


def test_a_register_that_feeds_two_moves_into_both():
    module = make()
    module["cells"]["second"] = multiplier([*range(Q, Q + BITS)], [50, 51], 500)
    assert pack_registers(module) == {"inputs": 2, "outputs": 1, "flip-flops": 8}
    for name in ("mult", "second"):
        assert module["cells"][name]["connections"]["A0"] == [D]


def reader(net):
    """A cell that looks at ``net``."""
    return {
        "type": "LUT4", "parameters": {}, "attributes": {},
        "port_directions": {"A": "input", "Z": "output"},
        "connections": {"A": [net], "Z": [900]},
    }


def test_a_register_that_others_read_stays_and_is_copied():
    module = make()
    module["cells"]["lut"] = reader(Q + 1)
    assert pack_registers(module) == {"inputs": 1, "outputs": 1, "flip-flops": 7}
    assert "in1" in module["cells"]
    assert module["cells"]["mult"]["connections"]["A1"] == [D + 1]


def test_a_product_that_others_read_stays_outside():
    module = make()
    module["cells"]["lut"] = reader(P + 2)
    assert pack_registers(module) == {"inputs": 1, "flip-flops": 4}
    assert "REG_OUTPUT_CLK" not in module["cells"]["mult"]["parameters"]




@pytest.mark.parametrize("place, stays", [("in2", "INPUTA"), ("out2", "OUTPUT")])
@pytest.mark.parametrize(
    "difference",
    [
        {"parameters": {"CEMUX": "CE"}},
        {"parameters": {"CLKMUX": "INV"}},
        {"connections": {"LSR": [7]}},
        {"attributes": {"keep": "1"}},
    ],
    ids=["enable", "falling-edge", "reset", "kept"],
)
def test_a_word_with_one_register_of_another_kind_stays(place, stays, difference):
    module = make()
    for part, values in difference.items():
        module["cells"][place][part].update(values)
    before = copy.deepcopy(module["cells"][place])
    pack_registers(module)
    assert f"REG_{stays}_CLK" not in module["cells"]["mult"]["parameters"]
    assert module["cells"][place] == before
    moved = {"INPUTA": "OUTPUT", "OUTPUT": "INPUTA"}[stays]
    assert module["cells"]["mult"]["parameters"][f"REG_{moved}_CLK"] == "CLK0"


def test_two_clocks_do_not_share_a_multiplier():
    module = make()
    module["cells"].update(registers("out", P, OUT, clock=OTHER_CLOCK))
    assert pack_registers(module) == {"inputs": 1, "flip-flops": 4}
    module["cells"].update(registers("in", D, Q))
    module["cells"]["in0"]["connections"]["CLK"] = [OTHER_CLOCK]
    module["cells"]["mult"] = multiplier([*range(Q, Q + BITS)], [50, 51], P)
    assert pack_registers(module) == {"outputs": 1, "flip-flops": 4}


def test_operands_that_are_no_registers_stay():
    module = make()
    module["cells"]["mult"]["connections"]["A2"] = [60]
    assert pack_registers(module) == {"outputs": 1, "flip-flops": 4}
    constant = make()
    for i in range(18):
        constant["cells"]["mult"]["connections"][f"A{i}"] = ["1"]
    assert pack_registers(constant) == {"outputs": 1, "flip-flops": 4}


def test_what_was_moved_in_stays_and_the_next_register_stays_outside():
    module = make()
    module["cells"].update(registers("before", 700, D))
    pack_registers(module)
    before = copy.deepcopy(module)
    assert pack_registers(module) == {}
    assert module == before and "before0" in module["cells"]


ANSWER, TAKEN = 500, 600


def memory(width, pins):
    """A block RAM that is read on ``pins``."""
    nets = {pin: [ANSWER + i] for i, pin in enumerate(pins)}
    nets |= {"CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["0"], "OCEB": ["0"]}
    return {
        "type": "DP16KD",
        "parameters": {
            "DATA_WIDTH_A": f"{width:032b}", "DATA_WIDTH_B": f"{width:032b}",
            "REGMODE_A": "NOREG", "REGMODE_B": "NOREG",
        },
        "attributes": {},
        "port_directions": {pin: "output" if pin[:2] == "DO" else "input" for pin in nets},
        "connections": nets,
    }


def reading(width, pins, **options):
    """A memory whose whole answer goes to registers, and these to the outputs."""
    count = len(pins)
    return {
        "ports": {"y": {"direction": "output", "bits": [*range(TAKEN, TAKEN + count)]}},
        "cells": {"ram": memory(width, pins), **registers("r", ANSWER, TAKEN, count, **options)},
    }


@pytest.mark.parametrize(
    "width, pins, moved",
    [(36, ["DOA0", "DOA17", "DOB3"], "AB"), (18, ["DOB0", "DOB1"], "B"), (9, ["DOA4"], "A")],
)
def test_the_register_behind_a_memory_moves_in(width, pins, moved):
    module = reading(width, pins)
    assert pack_registers(module) == {"answers": 1, "flip-flops": len(pins)}
    (ram,) = module["cells"].values()
    for port in "AB":
        inside = port in moved
        assert ram["parameters"][f"REGMODE_{port}"] == ("OUTREG" if inside else "NOREG")
        assert ram["connections"][f"OCE{port}"] == ["1" if inside else "0"]
    assert [ram["connections"][pin] for pin in pins] == [[TAKEN + i] for i in range(len(pins))]
    assert pack_registers(module) == {}


def test_each_port_of_a_narrow_memory_has_its_own_register():
    module = reading(18, ["DOA0", "DOB0"])
    module["cells"]["r0"]["connections"]["LSR"] = [7]
    assert pack_registers(module) == {"answers": 1, "flip-flops": 1}
    assert module["cells"]["ram"]["parameters"]["REGMODE_A"] == "NOREG"
    assert "r0" in module["cells"]


@pytest.mark.parametrize("options", [{"clock": OTHER_CLOCK}, {"CEMUX": "CE"}])
def test_a_memory_keeps_its_answer_from_another_kind_of_register(options):
    module = reading(36, ["DOA0", "DOB0"], **options)
    before = copy.deepcopy(module)
    assert pack_registers(module) == {} and module == before


def test_a_memory_whose_answer_others_read_keeps_it():
    module = reading(36, ["DOA0", "DOB0"])
    module["cells"]["lut"] = reader(ANSWER)
    assert pack_registers(module) == {}
