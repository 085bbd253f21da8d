# SPDX-License-Identifier: Apache-2.0
"""Logic into carry cells: netlists written by hand or drawn, judged by what they compute."""

import copy
import random
from itertools import product

import pytest

from ecoformer.hw.synth.carries import open_pins, pack_carries

ADD = "1001011010101010"  # A + (B ^ C) with D high, as Yosys maps it
FIRST, SIGN = 2, 3


def table(inputs, z, function=None, *, init=None, **attributes):
    """A LUT4 of nets ``inputs``; unused pins are low."""
    if init is None:
        rows = [[index >> place & 1 for place in range(len(inputs))] for index in range(16)]
        init = "".join(str(int(function(*row))) for row in reversed(rows))
    pins = dict(zip("ABCD", [*inputs, *4 * ["0"]]))
    return cell("LUT4", {"INIT": init}, pins, {"Z": z}, attributes)


def carry(a, b, s, cin, cout, *, c=("0", "0"), d=("1", "1"), init=(ADD, ADD)):
    """A CCU2C; what is None has no net."""
    ins = {"CIN": cin}
    for half in (0, 1):
        ins |= dict(zip((f"{pin}{half}" for pin in "ABCD"), (a[half], b[half], c[half], d[half])))
    outs = {"S0": s[0], "S1": s[1], "COUT": cout}
    parameters = {"INIT0": init[0], "INIT1": init[1], "INJECT1_0": "NO", "INJECT1_1": "NO"}
    return cell("CCU2C", parameters, ins, outs, {})


def cell(kind, parameters, ins, outs, attributes):
    nets = {pin: [net] for pin, net in (ins | outs).items() if net is not None}
    return {
        "type": kind, "parameters": parameters, "attributes": attributes,
        "port_directions": {pin: "output" if pin in outs else "input" for pin in nets},
        "connections": nets,
    }


def module(inputs, outputs, **cells):
    return {
        "ports": {
            "i": {"direction": "input", "bits": list(inputs)},
            "o": {"direction": "output", "bits": list(outputs)},
        },
        "cells": cells,
    }


def compute(netlist, values):
    """Values of the outputs; a net that nobody drives is None, which no output may depend on."""
    known = {"0": 0, "1": 1, "x": None} | dict(zip(netlist["ports"]["i"]["bits"], values))
    driver = {
        net: (c, pin)
        for c in netlist["cells"].values()
        for pin, nets in c["connections"].items()
        if c["port_directions"][pin] == "output"
        for net in nets
    }

    def pin(c, name):
        return net(c["connections"][name][0]) if name in c["connections"] else None

    def bit(init, places):
        if None in places:
            return None
        return int(init[15 - sum(value << i for i, value in enumerate(places))])

    def half(c, h, cin):
        init = c["parameters"][f"INIT{h}"]
        places = [pin(c, f"{p}{h}") for p in "ABCD"]
        p, g = bit(init, places), bit(init, [*places[:2], 0, 0])
        total = None if None in (p, cin) else p ^ cin
        return total, {None: None, 0: g, 1: cin}[p]

    def net(name):
        if name not in known:
            c, out = driver[name]
            if c["type"] == "LUT4":
                known[name] = bit(c["parameters"]["INIT"], [pin(c, p) for p in "ABCD"])
            else:
                low, between = half(c, 0, pin(c, "CIN"))
                high, last = half(c, 1, between)
                known[name] = {"S0": low, "S1": high, "COUT": last}[out]
        return known[name]

    return [net(name) for name in netlist["ports"]["o"]["bits"]]


def check(before, **moved):
    """Pack a copy of ``before``; it computes the same, and what was moved is as said."""
    after = copy.deepcopy(before)
    assert pack_carries(after) == moved
    for values in product((0, 1), repeat=len(before["ports"]["i"]["bits"])):
        expected = compute(before, values)
        assert None not in expected
        assert compute(after, values) == expected, values
    return after


def lane(flip=lambda v, s: v ^ s, **attributes):
    """Two bits of (a & ~first) + (v ^ sign) + sign with a carry in from outside."""
    a, v, masked, flipped, s = (10, 11), (20, 21), (30, 31), (40, 41), (50, 51)
    return module(
        [FIRST, SIGN, *a, *v], s,
        **{f"mask{i}": table([a[i], FIRST], masked[i], lambda a, f: a & ~f) for i in (0, 1)},
        **{f"flip{i}": table([v[i], SIGN], flipped[i], flip, **attributes) for i in (0, 1)},
        add=carry(masked, flipped, s, SIGN, 60),
    )


def test_a_lane_takes_a_table_per_bit():
    after = check(lane(), **{"tables": 4, "feed-outs": 1})
    assert list(after["cells"]) == ["add"]


def crossed(flip=lambda v, s: v ^ s, **attributes):
    """`lane` as Yosys leaves it at times: the masked bit is the carry in, the sign an operand."""
    a, v, s = (10, 11), (20, 21), (50, 51)
    low = "1100" + "0000" * 2 + "0010"  # P = B, G = A & ~B, with C and D high
    return module(
        [FIRST, SIGN, *a, *v], s,
        mask0=table([a[0], FIRST], 30, lambda a, f: a & ~f, **attributes),
        mask1=table([a[1], FIRST], 31, lambda a, f: a & ~f),
        flip1=table([v[1], SIGN], 41, flip),
        add=carry((SIGN, 31), (v[0], 41), s, 30, 60, c=("1", "0"), d=("1", "1"), init=(low, ADD)),
    )


def test_a_table_before_a_carry_in_changes_places_with_a_net():
    after = check(crossed(), **{"tables": 3, "feed-outs": 1})
    assert list(after["cells"]) == ["add"]
    assert after["cells"]["add"]["connections"]["CIN"] == [SIGN]


def test_a_table_before_a_carry_in_stays_where_it_must():
    kept = check(crossed(keep=1), **{"tables": 2, "feed-outs": 1})
    assert set(kept["cells"]) == {"add", "mask0"}
    wide = crossed()
    wide["ports"]["i"]["bits"] += [70, 71]
    wide["cells"]["mask0"] = table([10, FIRST, 70, 71], 30, lambda a, f, x, y: a & ~f & x | y)
    wide = check(wide, **{"tables": 2, "feed-outs": 1})
    assert set(wide["cells"]) == {"add", "mask0"}
    read = crossed()
    read["ports"]["o"]["bits"] += [30]
    read = check(read, **{"tables": 2, "feed-outs": 1})
    assert set(read["cells"]) == {"add", "mask0"}


def test_another_function_is_another_result():
    """The judge tells right from wrong."""
    after = copy.deepcopy(lane(lambda v, s: v | s))
    pack_carries(after)
    rows = list(product((0, 1), repeat=6))
    assert [compute(after, row) for row in rows] != [compute(lane(), row) for row in rows]


def test_kept_and_shared_tables_stay():
    after = check(lane(keep="1"), **{"tables": 2, "feed-outs": 1})
    assert {"flip0", "flip1"} < set(after["cells"])
    for reader in ("o", "cell"):
        shared = lane()
        if reader == "o":
            shared["ports"]["o"]["bits"].append(30)
        else:
            shared["cells"]["other"] = table([30, FIRST], 99, lambda a, b: a | b)
            shared["ports"]["o"]["bits"].append(99)
        assert "mask0" in check(shared, **{"tables": 3, "feed-outs": 1})["cells"]


def test_a_table_moves_into_all_its_carry_cells_or_none():
    both = lane()
    both["cells"]["second"] = carry((30, "0"), (FIRST, "1"), (70, 71), "0", None)
    both["ports"]["o"]["bits"] += [70, 71]
    assert "mask0" not in check(both, **{"tables": 4, "feed-outs": 1})["cells"]
    full = lane()
    full["ports"]["i"]["bits"] += [80, 81, 82]
    full["cells"]["second"] = carry(
        (30, "0"), (80, "1"), (70, 71), "0", None, c=(81, "0"), d=(82, "1"),
        init=("0110100110011010", ADD),
    )
    full["ports"]["o"]["bits"] += [70, 71]
    assert "mask0" in check(full, **{"tables": 3, "feed-outs": 1})["cells"]


def test_one_digit_of_a_division():
    """choice(start, pair, rest) - divisor: four nets, and the carry depends on the divisor."""
    start, divisor, pair, rest, chosen = 2, (10, 11), (20, 21), (30, 31), (40, 41)
    check(
        module(
            [start, *divisor, *pair, *rest], [50, 51, 52],
            **{
                f"choose{i}": table(
                    [start, pair[i], rest[i]], chosen[i], lambda s, p, r: p if s else r
                )
                for i in (0, 1)
            },
            low=carry(chosen, divisor, (50, 51), "1", 60, c=("1", "1")),
            high=carry("00", "11", (52, None), 60, None, c=("0", "0")),
        ),
        **{"tables": 2, "feed-ins": 1},
    )


@pytest.mark.parametrize("seed", range(150))
def test_any_tables_before_any_carry_cell(seed):
    rng = random.Random(seed)
    inputs = [*range(10, 10 + rng.randint(2, 6))]
    tables = {}
    for i in range(rng.randint(1, 5)):
        nets = rng.sample([*inputs, *(100 + j for j in range(i))], rng.randint(1, 2))
        init = "".join(rng.choice("01") for _ in range(16))
        tables[f"table{i}"] = table(nets, 100 + i, init=init)
    nets = [*inputs, *(100 + i for i in range(len(tables))), "0", "1"]
    any_init = ["".join(rng.choice("01") for _ in range(16)) for _ in range(2)]
    init = [rng.choice((ADD, init)) for init in any_init]
    pins = [[rng.choice(nets) for _ in range(2)] for _ in range(4)]
    chain = carry(
        pins[0], pins[1], (200, 201), rng.choice(nets), 202, c=pins[2], d=pins[3], init=init
    )
    before = module(inputs, [200, 201, 202], **tables, add=chain)
    after = copy.deepcopy(before)
    pack_carries(after)
    for values in product((0, 1), repeat=len(inputs)):
        assert compute(after, values) == compute(before, values)


def adder(bits, cin, *, out=None):
    """a + b + cin of ``bits`` bits; with ``out`` the last carry is an output as well."""
    a, b, s = range(10, 10 + bits), range(30, 30 + bits), range(50, 50 + bits)
    chain, cells = cin, {}
    for i in range(0, bits, 2):
        two = i + 1 < bits
        nets = [(x[i], x[i + 1] if two else "0") for x in (a, b)]
        last = i + 2 >= bits
        cout = out if last else 80 + i
        sums = (s[i], s[i + 1] if two else 79)
        cells[f"add{i}"] = carry(*nets, sums, chain, cout if cout else 90)
        chain = cout
    inputs = [*a, *b, *([cin] if isinstance(cin, int) else [])]
    return module(inputs, [*s, *([out] if out else [])], **cells)


@pytest.mark.parametrize("cin", ["0", "1", 2])
@pytest.mark.parametrize("bits", [1, 3, 5])
def test_an_odd_chain_makes_its_carry_in_itself(bits, cin):
    after = check(adder(bits, cin), **{"feed-outs": 1, "feed-ins": 1})
    assert "CIN" not in after["cells"]["add0"]["connections"]


@pytest.mark.parametrize("cin", ["0", 2])
@pytest.mark.parametrize("bits", [2, 4])
def test_a_full_chain_has_no_room_for_its_carry_in(bits, cin):
    after = check(adder(bits, cin), **{"feed-outs": 1})
    assert after["cells"]["add0"]["connections"]["CIN"] == [cin]


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_carry_out_that_is_read_stays_where_it_is(bits):
    check(adder(bits, 2, out=95))
    before = adder(bits, 2, out=95)
    before["ports"]["o"]["bits"][-1] = 96
    before["cells"]["reader"] = table([95, 2], 96, lambda carry, other: carry & other)
    check(before)


def test_a_chain_whose_carry_is_read_on_the_way_stays():
    before = adder(3, 2)
    before["ports"]["o"]["bits"].append(80)
    check(before, **{"feed-outs": 1})


def test_place_and_route_sees_every_pin():
    after = check(adder(1, "0"), **{"feed-outs": 1, "feed-ins": 1})
    open_pins(after)
    (cell,) = after["cells"].values()
    assert cell["connections"]["CIN"] == cell["connections"]["COUT"] == ["x"]
    assert (cell["port_directions"]["CIN"], cell["port_directions"]["COUT"]) == ("input", "output")
