# SPDX-License-Identifier: Apache-2.0
"""Logic of a mapped netlist moved into the carry cells of ECP5, which have room for it.

A half of a CCU2C adds with a look-up table of four inputs, P(A, B, C, D): its sum is P ^ carry in,
and its carry out is carry in where P = 1, else G(A, B) = P(A, B, 0, 0). Yosys fills it with an
operand on A and one on B, and leaves a mask, a choice or a sign before them in cells of their own.
What fits is moved in: ``(a & ~first) + (v ^ sign)`` then takes one table per bit. Chains are tidied
as well, because place and route adds a cell before a chain whose carry comes in from outside, were
it a constant, and one behind a chain whose carry out has a net, were it read by nobody.
"""

from collections import Counter
from functools import cache
from itertools import permutations, product

__all__ = ["open_pins", "pack_carries"]

CARRY = "CCU2C"
TABLE = "LUT4"
PINS = "ABCD"
INPUTS = {pin + half for pin in PINS for half in "01"}
HIGH = "1"
"""What place and route takes an unconnected pin of a table to be."""


def pack_carries(module: dict) -> Counter:
    """Move tables into carry cells of one flat module and tidy its chains, in place.

    Parameters
    ----------
    module : dict
        A module of a netlist that Yosys wrote as JSON.

    Returns
    -------
    Counter
        ``tables``: LUT4 cells that are gone; ``feed-ins``, ``feed-outs``: cells that place and
        route need not add.
    """
    return _Packing(module).run()


def open_pins(module: dict) -> None:
    """Restore the chain pins that `pack_carries` removed, unconnected, as nextpnr requires."""
    for cell in module["cells"].values():
        if cell["type"] == CARRY:
            for pin, direction in (("CIN", "input"), ("COUT", "output")):
                if pin not in cell["connections"]:
                    cell["connections"][pin] = ["x"]
                    cell["port_directions"][pin] = direction


class _Packing:
    def __init__(self, module):
        self.cells = module["cells"]
        self.moved = Counter()
        self.driver = {}  # name of the table that drives a net
        self.loads = {}  # by net, as keys: (cell, pin) pairs, and None for a port of the module
        for port in module["ports"].values():
            for net in port["bits"]:
                self.loads.setdefault(net, {})[None] = True
        for name, cell in self.cells.items():
            if cell["type"] == TABLE:
                self.driver[cell["connections"]["Z"][0]] = name
            for pin, nets in cell["connections"].items():
                if cell["port_directions"][pin] == "input":
                    for net in nets:
                        self.loads.setdefault(net, {})[name, pin] = True

    def run(self):
        # A table may be fed by one that fits only once the first is in: until nothing moves.
        waiting = list(self.driver)
        while waiting:
            moved = [net for net in waiting if net in self.driver and self._move(net)]
            waiting = [net for net in waiting if net in self.driver] if moved else []
        for cell in self.cells.values():
            if cell["type"] == CARRY:
                self._cut_feed_out(cell)
        for name in self._chain_starts():
            self._swap_feed_in(name)
            self._fill_feed_in(name)
        return self.moved

    # -- tables ------------------------------------------------------------------------------------

    def _move(self, net):
        """Move the table that drives ``net`` into everything that reads it, if it fits there."""
        name = self.driver[net]
        if "keep" in self.cells[name]["attributes"]:
            return False
        loads = self.loads.get(net)
        if not loads or not all(load and self._is_input(*load) for load in loads):
            return False
        filled = {}
        for cell, half in {(cell, pin[-1]) for cell, pin in loads}:
            found = self._absorbed(self.cells[cell], half, net, self.cells[name])
            if found is None:
                return False
            filled[cell, half] = found
        for (cell, half), (nets, init) in filled.items():
            self._set_half(cell, half, nets, init)
        for pin in PINS:
            self._unload(self.cells[name]["connections"][pin][0], name, pin)
        del self.cells[name], self.driver[net]
        self.moved["tables"] += 1
        return True

    def _is_input(self, name, pin):
        return self.cells[name]["type"] == CARRY and pin in INPUTS

    def _absorbed(self, cell, half, net, table):
        """Nets of the pins and INIT of a half with ``table`` in the place of ``net``, or None."""
        pins = [cell["connections"][pin + half][0] for pin in PINS]
        inner = [table["connections"][pin][0] for pin in PINS]
        nets = []
        for other in [pin for pin in pins if pin != net] + inner:
            if isinstance(other, int) and other not in nets:
                nets.append(other)
        if len(nets) > len(PINS):
            return None
        init, table_init = _bits(cell, f"INIT{half}"), _bits(table, "INIT")
        rows = []
        for values in product((0, 1), repeat=len(nets)):
            known = dict(zip(nets, values))
            known[net] = table_init[_index([_value(other, known) for other in inner])]
            index = _index([_value(pin, known) for pin in pins])
            rows.append((init[index], init[index & 3]))
        found = _fit(tuple(rows), len(nets))
        if found is None:
            return None
        order, bits = found
        return [nets[i] if i < len(nets) else HIGH for i in order], bits

    def _set_half(self, name, half, nets, init):
        cell = self.cells[name]
        for pin, net in zip(PINS, nets):
            self._unload(cell["connections"][pin + half][0], name, pin + half)
            cell["connections"][pin + half] = [net]
            self.loads.setdefault(net, {})[name, pin + half] = True
        cell["parameters"][f"INIT{half}"] = "".join(map(str, reversed(init)))

    def _unload(self, net, name, pin):
        del self.loads[net][name, pin]

    # -- chains ------------------------------------------------------------------------------------

    def _read(self, cell, pin):
        nets = cell["connections"].get(pin, ())
        return any(self.loads.get(net) for net in nets)

    def _cut_feed_out(self, cell):
        if "COUT" in cell["connections"] and not self._read(cell, "COUT"):
            del cell["connections"]["COUT"], cell["port_directions"]["COUT"]
            self.moved["feed-outs"] += 1

    def _chain_starts(self):
        inside = {
            cell["connections"]["COUT"][0]
            for cell in self.cells.values()
            if cell["type"] == CARRY and "COUT" in cell["connections"]
        }
        return [
            name
            for name, cell in self.cells.items()
            if cell["type"] == CARRY and cell["connections"]["CIN"][0] not in inside
        ]

    def _swap_feed_in(self, start):
        """Let what a half has on a pin be its carry in, and the table that made that move in.

        The first column of a chain adds three bits, which Yosys may take in any order: best is one
        that needs no table as the carry in.
        """
        cell = self.cells[start]
        carry = cell["connections"]["CIN"][0]
        name = self.driver.get(carry)
        if name is None or [*self.loads[carry]] != [(start, "CIN")]:
            return
        table = self.cells[name]
        if "keep" in table["attributes"] or cell["parameters"].get("INJECT1_0", "NO") != "NO":
            return
        pins = [cell["connections"][pin + "0"][0] for pin in PINS]
        inner = [table["connections"][pin][0] for pin in PINS]
        nets = list(dict.fromkeys(net for net in pins + inner if isinstance(net, int)))
        if len(nets) > len(PINS):
            return
        init, table_init = _bits(cell, "INIT0"), _bits(table, "INIT")
        for entering in dict.fromkeys(net for net in pins if isinstance(net, int)):
            rows = []
            for values in product((0, 1), repeat=len(nets)):
                known = dict(zip(nets, values))
                was = table_init[_index([_value(net, known) for net in inner])]
                index = _index([_value(pin, known) for pin in pins])
                leaves = was if init[index] else init[index & 3]
                passes = init[index] ^ was ^ known[entering]
                if passes and leaves != known[entering]:
                    break
                rows.append((passes, leaves))
            else:
                if (found := _fit(tuple(rows), len(nets))) is not None:
                    break
        else:
            return
        order, bits = found
        self._set_half(start, "0", [nets[i] if i < len(nets) else HIGH for i in order], bits)
        for pin in PINS:
            self._unload(table["connections"][pin][0], name, pin)
        del self.cells[name], self.driver[carry], self.loads[carry]
        cell["connections"]["CIN"] = [entering]
        self.loads[entering][start, "CIN"] = True
        self.moved["tables"] += 1

    def _fill_feed_in(self, start):
        """Shift a chain with a spare half at its end by one bit, and make its carry in the first.

        A half with P = 0 sends G = A on, whatever comes in.
        """
        names = [start]
        while "COUT" in self.cells[names[-1]]["connections"]:
            net = self.cells[names[-1]]["connections"]["COUT"][0]
            following = [load for load in self.loads[net] if load is not None]
            if len(following) != len(self.loads[net]) or len(following) != 1:
                return
            ((name, pin),) = following
            if pin != "CIN":
                return
            names.append(name)
        halves = [(name, half) for name in names for half in "01"]
        spare, spare_half = halves[-1]
        if self._read(self.cells[spare], f"S{spare_half}"):
            return
        if any(self.cells[n]["parameters"].get(f"INJECT1_{h}", "NO") != "NO" for n, h in halves):
            return
        first = self.cells[start]
        carry = first["connections"]["CIN"][0]
        for (name, half), (source, source_half) in zip(halves[:0:-1], halves[-2::-1]):
            cell = self.cells[source]
            nets = [cell["connections"][pin + source_half][0] for pin in PINS]
            self._set_half(name, half, nets, _bits(cell, f"INIT{source_half}"))
            self._set_sum(name, half, cell["connections"].pop(f"S{source_half}", None))
        self._set_half(start, "0", [carry, HIGH, HIGH, HIGH], [0, 1, 0, 1, *12 * [0]])
        self._unload(carry, start, "CIN")
        del first["connections"]["CIN"], first["port_directions"]["CIN"]
        self.moved["feed-ins"] += 1

    def _set_sum(self, name, half, nets):
        cell = self.cells[name]
        cell["connections"].pop(f"S{half}", None)
        if nets is not None:
            cell["connections"][f"S{half}"] = nets
            cell["port_directions"][f"S{half}"] = "output"


@cache
def _fit(rows, count):
    """How a function of ``count`` nets goes into a half: which net on which pin, and INIT.

    ``rows``: (P, G) of every row of values. None where no order of the pins has G on A and B.
    """
    values = list(product((0, 1), repeat=count))
    for order in permutations(range(len(PINS))):
        bits, generated = {}, {}
        if all(
            bits.setdefault(_index([_pin(i, row) for i in order]), p) == p
            and (p or generated.setdefault(_index([_pin(i, row) for i in order[:2]]), g) == g)
            for row, (p, g) in zip(values, rows)
        ) and all(bits.setdefault(index, g) == g for index, g in generated.items()):
            return order, [bits.get(index, 0) for index in range(16)]
    return None


def _pin(number, row):
    """Value on a pin that has net ``number``, or none."""
    return row[number] if number < len(row) else 1


def _value(net, known):
    return known[net] if isinstance(net, int) else int(net == "1")


def _index(values):
    return sum(value << place for place, value in enumerate(values))


def _bits(cell, name):
    """INIT of a table, bit 0 first."""
    return [int(bit) for bit in reversed(cell["parameters"][name])]
