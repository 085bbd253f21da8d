"""Registers of a mapped netlist moved into the multipliers of ECP5, which have their own.

Yosys maps a multiplication to a DSP block and leaves the registers around it in logic cells. The
way to the block, the block, and the way back then share one cycle. A register that does nothing but
feed a block, or take from it, does the same inside: these netlists reset no data, and enable few.
"""

from collections import Counter

__all__ = ["pack_registers"]

MULTIPLIER = "MULT18X18D"
FLIP_FLOP = "TRELLIS_FF"
SIDES = {
    "INPUTA": [f"A{i}" for i in range(18)],
    "INPUTB": [f"B{i}" for i in range(18)],
}
PRODUCT = [f"P{i}" for i in range(36)]


def pack_registers(module):
    """Move registers into the multipliers of one flat module, in place.

    An input register may feed several multipliers: each gets its own, and the one outside goes
    when nothing else asks for it.

    Parameters
    ----------
    module : dict
        A module of a netlist that Yosys wrote as JSON.

    Returns
    -------
    Counter
        ``inputs``, ``outputs``: register words moved; ``flip-flops``: cells that are gone.
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
        for name in [n for n, cell in self.cells.items() if cell["type"] == MULTIPLIER]:
            cell = self.cells[name]
            for side, pins in SIDES.items():
                self._pack_input(cell, side, pins)
            self._pack_output(cell, taker)
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
        if not wanted or not self._same_clock(cell, names):
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

    def _pack_output(self, cell, taker):
        nets = {pin: cell["connections"][pin][0] for pin in PRODUCT if pin in cell["connections"]}
        used = {pin: net for pin, net in nets.items() if self.loads[net]}
        names = [taker.get(net) for net in used.values()]
        if not used or not self._same_clock(cell, names):
            return
        for (pin, net), name in zip(used.items(), names):
            (q,) = self.cells[name]["connections"]["Q"]
            cell["connections"][pin] = [q]
            self.source.pop(q)
            self._remove(name)
            self.loads[net] = 0
        cell["parameters"]["REG_OUTPUT_CLK"] = "CLK0"
        self.moved["outputs"] += 1

    def _same_clock(self, cell, names):
        """Whether all of ``names`` are plain registers of the clock of ``cell``, which gets it."""
        if None in names or not all(self._is_plain(self.cells[name]) for name in names):
            return False
        clocks = {self.cells[name]["connections"]["CLK"][0] for name in names}
        clocks |= set(cell["connections"].get("CLK0", ()))
        if len(clocks) != 1:
            return False
        for pin, net in (("CLK0", clocks.pop()), ("CE0", "1"), ("RST0", "0")):
            if pin not in cell["connections"]:
                cell["port_directions"][pin] = "input"
                cell["connections"][pin] = [net]
                self.loads[net] += 1
        cell["parameters"].setdefault("GSR", "DISABLED")
        return True

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
