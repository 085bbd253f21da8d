# SPDX-License-Identifier: Apache-2.0
"""Registers of a mapped netlist moved into the blocks of ECP5, which have their own.

Yosys maps a multiplication to a DSP block and a memory to a block RAM, and leaves the registers
around them in logic cells. The way to the block, the block, and the way back then share one cycle.
A register that does nothing but feed a multiplier, or take from a block, does the same inside:
these netlists reset no data, and enable few.
"""

from collections import Counter

__all__ = ["pack_registers"]

MULTIPLIER = "MULT18X18D"
MEMORY = "DP16KD"
FLIP_FLOP = "TRELLIS_FF"
SIDES = {
    "INPUTA": [f"A{i}" for i in range(18)],
    "INPUTB": [f"B{i}" for i in range(18)],
}
PRODUCT = [f"P{i}" for i in range(36)]
WIDE = 36
"""Data width of a memory whose two ports are one for writing and one for reading."""


def pack_registers(module: dict) -> Counter:
    """Move registers into the multipliers and memories of one flat module, in place.

    An input register may feed several multipliers: each gets its own copy, and the original
    is removed if it has no other loads.

    Parameters
    ----------
    module : dict
        A module of a netlist that Yosys wrote as JSON.

    Returns
    -------
    Counter
        ``inputs``, ``outputs``, ``answers``: register words moved before and behind multipliers,
        and behind memories; ``flip-flops``: cells that are gone.
    """
    return _Packing(module).run()


class _Packing:
    def __init__(self, module):
        self.cells = module["cells"]
        self.moved = Counter()
        self.source = {}  # flip-flop by the net that it drives
        self.loads = Counter()  # cell pins and module ports that a net drives
        for port in module["ports"].values():
            self.loads.update(port["bits"])
        for name, cell in self.cells.items():
            if cell["type"] == FLIP_FLOP:
                (net,) = cell["connections"]["Q"]
                self.source[net] = name
            for pin, nets in cell["connections"].items():
                if cell["port_directions"][pin] != "output":
                    self.loads.update(nets)

    def run(self):
        taker = self._takers()
        for cell in list(self.cells.values()):
            if cell["type"] == MULTIPLIER:
                for side, pins in SIDES.items():
                    self._pack_input(cell, side, pins)
                self._pack_product(cell, taker)
            elif cell["type"] == MEMORY:
                self._pack_answers(cell, taker)
        return self.moved

    def _takers(self):
        """Flip-flop by the net that is its data, where nothing else takes that net."""
        return {
            cell["connections"]["DI"][0]: name
            for name, cell in self.cells.items()
            if cell["type"] == FLIP_FLOP and self.loads[cell["connections"]["DI"][0]] == 1
        }

    def _pack_input(self, cell, side, pins):
        nets = {pin: cell["connections"][pin][0] for pin in pins}
        wanted = {pin: net for pin, net in nets.items() if isinstance(net, int)}
        names = [self.source.get(net) for net in wanted.values()]
        if not wanted or self._has(cell, f"REG_{side}_CLK") or not self._same_clock(cell, names):
            return
        for pin, net in wanted.items():
            flip_flop = self.cells[self.source[net]]
            data = flip_flop["connections"]["DI"]
            cell["connections"][pin] = list(data)
            self.loads.update(data)
            self.loads[net] -= 1
        for net in set(wanted.values()):
            if self.loads[net] == 0:
                self._remove(self.source.pop(net))
        cell["parameters"][f"REG_{side}_CLK"] = "CLK0"
        self.moved["inputs"] += 1

    def _pack_product(self, cell, taker):
        names = self._takers_of(cell, PRODUCT, taker)
        if not names or self._has(cell, "REG_OUTPUT_CLK"):
            return
        if not self._same_clock(cell, names.values()):
            return
        self._take_over(cell, names)
        cell["parameters"]["REG_OUTPUT_CLK"] = "CLK0"
        self.moved["outputs"] += 1

    def _pack_answers(self, cell, taker):
        wide = int(cell["parameters"]["DATA_WIDTH_B"], 2) == WIDE
        # Of a wide memory port B reads, and the data pins of both are its answer.
        for ports, clock in ((("AB", "B"),) if wide else (("A", "A"), ("B", "B"))):
            pins = [f"DO{port}{i}" for port in ports for i in range(18)]
            names = self._takers_of(cell, pins, taker)
            clocked = cell["connections"].get(f"CLK{clock}", [None])[0]
            if not names or self._has(cell, f"REGMODE_{ports[-1]}"):
                continue
            if not self._are_plain(names.values(), clocked):
                continue
            self._take_over(cell, names)
            for port in ports:
                cell["parameters"][f"REGMODE_{port}"] = "OUTREG"
                cell["connections"][f"OCE{port}"] = ["1"]
            self.moved["answers"] += 1

    def _has(self, cell, register):
        return cell["parameters"].get(register, "NONE") not in ("NONE", "NOREG")

    def _takers_of(self, cell, pins, taker):
        """Flip-flop by pin, None where it is not one that takes all; nothing of unused pins."""
        nets = {pin: cell["connections"][pin][0] for pin in pins if pin in cell["connections"]}
        return {pin: taker.get(net) for pin, net in nets.items() if self.loads[net]}

    def _take_over(self, cell, names):
        """Let the pins drive what the flip-flops behind them drove."""
        for pin, name in names.items():
            (net,) = cell["connections"][pin]
            (q,) = self.cells[name]["connections"]["Q"]
            cell["connections"][pin] = [q]
            self.source.pop(q)
            self._remove(name)
            self.loads[net] = 0

    def _same_clock(self, cell, names):
        """Whether all of ``names`` are plain registers of the clock of ``cell``, which gets it."""
        (clock,) = cell["connections"].get("CLK0", [None])
        if clock is None and None not in names:
            (clock,) = self.cells[next(iter(names))]["connections"]["CLK"]
        if not self._are_plain(names, clock):
            return False
        for pin, net in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
            if pin not in cell["connections"]:
                cell["port_directions"][pin] = "input"
                cell["connections"][pin] = [net]
                self.loads[net] += 1
        cell["parameters"].setdefault("GSR", "DISABLED")
        return True

    def _are_plain(self, names, clock):
        return None not in names and all(
            self._is_plain(self.cells[name])
            and self.cells[name]["connections"]["CLK"] == [clock]
            for name in names
        )

    def _is_plain(self, cell):
        """No enable, no reset, rising edge, and nobody wants to keep it where it is."""
        parameters = {name: value.strip() for name, value in cell["parameters"].items()}
        return (
            parameters["CEMUX"] == "1"
            and parameters["CLKMUX"] == "CLK"
            and cell["connections"]["LSR"] == ["0"]
            and "keep" not in cell["attributes"]
        )

    def _remove(self, name):
        self.loads.subtract(self.cells[name]["connections"]["DI"])
        self.loads.subtract(self.cells[name]["connections"]["CLK"])
        del self.cells[name]
        self.moved["flip-flops"] += 1
