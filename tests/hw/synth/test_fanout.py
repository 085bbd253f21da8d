# SPDX-License-Identifier: Apache-2.0
"""Flip-flops copied for their fan-out, on netlists written by hand."""

import copy
import random

import pytest

from ecoformer.hw.synth.fanout import (
    ENABLE_LIMIT,
    FEW,
    LIMIT,
    NEAR_LIMIT,
    WRITE_LIMIT,
    copy_registers,
)

CLOCK, ENABLE = 2, 3


def flip_flop(d, q):
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 "},
        "attributes": {},
        "port_directions": {"CLK": "input", "CE": "input", "DI": "input", "Q": "output"},
        "connections": {"CLK": [CLOCK], "CE": [ENABLE], "DI": [d], "Q": [q]},
    }


def table(inputs, z):
    pins = dict(zip("ABCD", inputs))
    return {
        "type": "LUT4",
        "parameters": {"INIT": "1010101010101010"},
        "attributes": {},
        "port_directions": {**dict.fromkeys(pins, "input"), "Z": "output"},
        "connections": {**{pin: [net] for pin, net in pins.items()}, "Z": [z]},
    }


def make(lanes, stages=2, read=False):
    """A chain of flip-flops whose last drives one table per lane, all outputs of the module."""
    chain = range(10, 10 + stages)
    cells = {f"stage{i}": flip_flop(9 + i, net) for i, net in enumerate(chain)}
    outputs = list(range(1000, 1000 + lanes))
    order = list(enumerate(outputs))
    random.Random(0).shuffle(order)  # the order of cells says nothing
    cells |= {f"t{z}": table([chain[-1], 500 + i % 3], z) for i, z in order}
    ports = {
        "d": {"direction": "input", "bits": [9]},
        "s": {"direction": "input", "bits": [500, 501, 502]},
        "y": {"direction": "output", "bits": outputs + [chain[-1]] * read},
    }
    names = {
        f"lane_{i}": {"bits": [z], "hide_name": 0, "attributes": {}}
        for i, z in enumerate(outputs)
    }
    return {"ports": ports, "cells": cells, "netnames": names}


def fan_out(module):
    found = {}
    for name, cell in module["cells"].items():
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                for net in nets:
                    found.setdefault(net, []).append(name)
    return found


def origin(module, net):
    """What a net carries: the input that reaches it through flip-flops, and through how many."""
    drivers = {
        cell["connections"]["Q"][0]: cell
        for cell in module["cells"].values()
        if cell["type"] == "TRELLIS_FF"
    }
    stages = 0
    while net in drivers:
        assert drivers[net]["connections"]["CE"] == [ENABLE]
        net, stages = drivers[net]["connections"]["DI"][0], stages + 1
    return net, stages


@pytest.mark.parametrize("lanes", [1, LIMIT, LIMIT + 1, 10 * LIMIT + 3, LIMIT * LIMIT])
def test_no_register_drives_more_than_the_limit_and_every_load_sees_the_same(lanes):
    module = make(lanes)
    added = copy_registers(module)
    flip_flops = [c for c in module["cells"].values() if c["type"] == "TRELLIS_FF"]
    assert len(flip_flops) == 2 + added
    assert added == -(-lanes // LIMIT) - 1  # fewest, and of the first stage none
    found = fan_out(module)
    for cell in flip_flops:
        assert 1 <= len(found[cell["connections"]["Q"][0]]) <= LIMIT
    for i in range(lanes):
        inputs = module["cells"][f"t{1000 + i}"]["connections"]
        assert origin(module, inputs["A"][0]) == (9, 2)
        assert inputs["B"] == [500 + i % 3]  # no flip-flop's, so never touched


def test_more_than_the_square_of_the_limit_copies_the_register_before():
    module = make(LIMIT * LIMIT + 1)
    assert copy_registers(module) == LIMIT + 1
    found = fan_out(module)
    assert all(
        len(found[cell["connections"]["Q"][0]]) <= LIMIT
        for cell in module["cells"].values()
        if cell["type"] == "TRELLIS_FF"
    )


def test_a_copy_serves_neighbours():
    module = make(4 * LIMIT)
    copy_registers(module)
    sources = [module["cells"][f"t{1000 + i}"]["connections"]["A"][0] for i in range(4 * LIMIT)]
    assert [len(set(sources[i : i + LIMIT])) for i in range(0, 4 * LIMIT, LIMIT)] == [1] * 4


def test_what_leaves_the_module_stays_with_the_original():
    module = make(3 * LIMIT, read=True)
    assert copy_registers(module) == 2
    assert module["cells"]["stage1"]["connections"]["Q"] == module["ports"]["y"]["bits"][-1:]


def with_enables(module, count):
    """The module with ``count`` more flip-flops that the last of its chain enables."""
    enabled = {f"e{i}": flip_flop(9, 5000 + i) for i in range(count)}
    for i, cell in enumerate(enabled.values()):
        cell["connections"]["CE"] = [11]
        module["netnames"][f"enabled_{i}"] = {"bits": [5000 + i], "hide_name": 0, "attributes": {}}
    module["cells"] |= enabled
    return [cell["connections"] for cell in enabled.values()]


def test_enables_do_not_count_for_the_limit_of_other_pins():
    module = make(2 * LIMIT)
    enabled = with_enables(module, 3 * LIMIT)
    assert copy_registers(module) == 1
    assert all(pins["CE"] == [11] for pins in enabled)


def test_a_flip_flop_enables_neighbours():
    module = make(LIMIT)
    enabled = with_enables(module, 3 * ENABLE_LIMIT)
    assert copy_registers(module) == 2
    drivers = [pins["CE"][0] for pins in enabled]
    for i in range(0, 3 * ENABLE_LIMIT, ENABLE_LIMIT):
        assert len(set(drivers[i : i + ENABLE_LIMIT])) == 1
        assert origin(module, drivers[i]) == (9, 2)
    assert len(set(drivers)) == 3
    tables = (module["cells"][f"t{1000 + i}"]["connections"]["A"] for i in range(LIMIT))
    assert all(pin == [11] for pin in tables)


def test_a_flip_flop_of_a_large_design_drives_fewer_pins(monkeypatch):
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 2)
    module = make(LIMIT)
    assert copy_registers(module) == -(-LIMIT // NEAR_LIMIT) - 1
    found = fan_out(module)
    assert all(
        len(found[cell["connections"]["Q"][0]]) <= NEAR_LIMIT
        for cell in module["cells"].values()
        if cell["type"] == "TRELLIS_FF"
    )


def test_nothing_changes_within_the_limit():
    module = make(LIMIT)
    before = copy.deepcopy(module)
    assert copy_registers(module) == 0
    assert module == before


def with_components(module, parts):
    """The tables of the module, in turn, in components ``a0``, ``a1``, …; the chain goes on."""
    cells = module["cells"]
    for i in range(parts):
        cells[f"a{i}"] = {
            "type": "$scopeinfo", "parameters": {}, "attributes": {}, "port_directions": {},
            "connections": {},
        }
    tables = [name for name in cells if name.startswith("t")]
    for name in sorted(tables):
        cells[f"a{int(name[1:]) % parts}.{name}"] = cells.pop(name)
    cells["next"] = flip_flop(11, 6000)
    return {
        name: cells[name]["connections"]["A"][0]
        for name in cells if name.startswith("a") and "." in name
    }


def test_in_a_large_design_every_component_has_a_register_of_its_own(monkeypatch):
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 2)
    module = make(12)
    assert set(with_components(module, 3).values()) == {11}
    assert copy_registers(module) == 6
    sources = {}
    for name, cell in module["cells"].items():
        if "." in name:
            sources.setdefault(name.split(".")[0], set()).add(cell["connections"]["A"][0])
    assert [len(found) for found in sources.values()] == [1] * 3
    nets = set.union(*sources.values())
    assert len(nets) == 3 and 11 not in nets  # the original goes on to the next of its chain
    assert all(origin(module, net) == (9, 2) for net in nets)
    drivers = {cell["connections"]["Q"][0]: cell for cell in module["cells"].values()
               if cell["type"] == "TRELLIS_FF"}
    before = {drivers[net]["connections"]["DI"][0] for net in nets}
    assert len(before) == 3 and 10 not in before  # and so is what comes before it
    assert module["cells"]["next"]["connections"]["DI"] == [11]


def test_what_waits_for_an_enable_has_no_copies_for_copies(monkeypatch):
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 2)
    module = make(12)
    with_components(module, 3)
    module["cells"]["stage0"]["parameters"]["CEMUX"] = "CE"
    assert copy_registers(module) == 3


def test_memories_are_written_by_registers_of_their_own(monkeypatch):
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 2)
    module = make(2)
    for i in range(3 * WRITE_LIMIT):
        net = 7000 + i
        module["cells"][f"m{i}"] = {
            "type": "TRELLIS_DPR16X4", "parameters": {}, "attributes": {},
            "port_directions": {"DI": "input", "DO": "output"},
            "connections": {"DI": [11], "DO": [net]},
        }
        module["netnames"][f"word_{i}"] = {"bits": [net], "hide_name": 0, "attributes": {}}
    assert copy_registers(module) == 2
    words = [module["cells"][f"m{i}"]["connections"]["DI"][0] for i in range(3 * WRITE_LIMIT)]
    for i in range(0, len(words), WRITE_LIMIT):
        assert len(set(words[i : i + WRITE_LIMIT])) == 1


def test_few_loads_and_smaller_designs_share_a_register(monkeypatch):
    module = make(12)
    with_components(module, 3)
    assert copy_registers(module) == 0
    monkeypatch.setattr("ecoformer.hw.synth.fanout.LARGE", 2)
    few = make(FEW)
    with_components(few, 3)
    assert copy_registers(few) == 0
