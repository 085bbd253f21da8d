# SPDX-License-Identifier: Apache-2.0
"""Flip-flops of a mapped netlist copied where one would have to reach too many places.

A signal that steers every lane of an array reaches thousands of cells, and the way to the farthest
of them, not logic, then bounds the clock. Each copy of its register serves neighbours only. Copies
in turn load what is before the register, which is copied as well if it is a register: so a chain of
two reaches LIMIT² cells, and RTL has as many registers as its arrays are large. In a large design
every component has copies of its own besides, so that none ties together what lies apart.
"""

import re

__all__ = ["copy_registers"]

FLIP_FLOP = "TRELLIS_FF"
SHARED = ("CLK", "CE", "LSR")
"""Pins that the flip-flops of a slice share, and a tile has few of."""
DATA = ("DI", "M")
"""What a flip-flop takes."""
LIMIT = 64
"""Cell pins that one flip-flop may drive; 64 are the bits of some four lanes."""
NEAR_LIMIT = 32
"""The same in a large design, where the lanes that one register reaches lie far apart."""
LARGE = 32768
"""Flip-flops of a large design; it fills two fifths of the largest device."""
SMALL_MEMORY = "TRELLIS_DPR16X4"
WRITE_LIMIT = 8
"""Pins of small memories that one flip-flop may write by in a large design. What is written to all
of them alike holds none of them together, so they lie where their words are read."""
SCOPE = "$scopeinfo"
FEW = 8
"""Loads that are not worth a register for each of their components."""
ENABLE_LIMIT = 512
"""Enables that one flip-flop may drive. With a net for every few of them placement finds no end: it
must bring those of a slice together."""


def copy_registers(module: dict) -> int:
    """Copy flip-flops of one flat module until none drives more pins than its limit, in place.

    What leaves the module, which is no cell's pin, and resets and clocks stay with the original and
    do not count.

    Parameters
    ----------
    module : dict
        A module of a netlist that Yosys wrote as JSON.

    Returns
    -------
    int
        Copies.
    """
    flip_flops = sum(cell["type"] == FLIP_FLOP for cell in module["cells"].values())
    large = flip_flops >= LARGE
    limit = NEAR_LIMIT if large else LIMIT
    copies = 0
    # Copies for enables load what is before them, so they come first.
    for counts, most in ((_enables, ENABLE_LIMIT), (_carries, limit)):
        if large:
            copies += _copy_apart(module, counts)
        copies += _copy_for(module, counts, most)
    if large:
        copies += _copy_for(module, _writes, WRITE_LIMIT)
    return copies


def _enables(cell, pin):
    return pin == "CE"


def _carries(cell, pin):
    return pin not in SHARED


def _writes(cell, pin):
    return cell["type"] == SMALL_MEMORY and pin in ("DI", "WAD", "WRE")


class _Copying:
    """Registers of a module with what they load, so that a load can be given a copy.

    Parameters
    ----------
    module : dict
    counts : callable
        ``counts(cell, pin)``: whether a pin is a load.
    """

    def __init__(self, module, counts):
        self.cells, self.counts = module["cells"], counts
        self.names = _net_names(module)
        self.loads = {}  # (cell, pin, place) by the net that drives them
        self.drivers = {}  # flip-flop by the net that it drives
        self.copies = 0
        for name, cell in self.cells.items():
            if cell["type"] == FLIP_FLOP:
                self.drivers[cell["connections"]["Q"][0]] = name
            for pin, nets in cell["connections"].items():
                if cell["port_directions"][pin] == "input" and counts(cell, pin):
                    for place, net in enumerate(nets):
                        self.loads.setdefault(net, []).append((name, pin, place))
        self.free = 1 + max((net for net in _nets(module) if isinstance(net, int)), default=1)

    def order(self, load):
        """Neighbours in an array have numbered names: a cell is where what it drives is."""
        cell = self.cells[load[0]]
        nets = [
            net
            for pin, found in cell["connections"].items()
            if cell["port_directions"][pin] == "output"
            for net in found
        ]
        return min((self.names[net] for net in nets if net in self.names), default=())

    def move(self, net, group):
        """Give some of the loads of ``net`` a copy of its register; returns what loads are new."""
        name = f"{self.drivers[net]}${self.free}"
        copy = _copy(self.cells[self.drivers[net]], self.free)
        self.cells[name], self.drivers[self.free] = copy, name
        self.names[self.free] = self.order(group[0])
        moved = set(group)
        self.loads[net] = [load for load in self.loads[net] if load not in moved]
        self.loads[self.free] = list(group)
        for reader, pin, place in group:
            self.cells[reader]["connections"][pin][place] = self.free
        sources = []
        for pin, nets in copy["connections"].items():
            if pin != "Q" and self.counts(copy, pin):
                for place, source in enumerate(nets):
                    self.loads.setdefault(source, []).append((name, pin, place))
                    sources.append(source)
        self.free += 1
        self.copies += 1
        return sources


def _copy_for(module, counts, limit):
    """As :func:`copy_registers`, for the pins that ``counts`` is true of."""
    work = _Copying(module, counts)
    waiting = [net for net in work.drivers if len(work.loads.get(net, ())) > limit]
    while waiting:
        net = waiting.pop()
        found = sorted(work.loads[net], key=work.order)
        count = -(-len(found) // limit)
        size = -(-len(found) // count)
        for number in range(1, count):
            for source in work.move(net, found[number * size : (number + 1) * size]):
                if source in work.drivers and len(work.loads[source]) > limit:
                    waiting.append(source)
    return work.copies


def _copy_apart(module, counts):
    """Give every component a copy of a register of its own that steers several, in place.

    Components take what they are given a register each, but synthesis finds those with the same
    content and keeps one, wherever its loads lie. The same goes for the register before it, and so
    on: a chain becomes one for each component, besides the one that goes on.
    """
    scopes = {name for name, cell in module["cells"].items() if cell["type"] == SCOPE}
    work = _Copying(module, counts)
    owner = {}  # component by a copy that was made for it

    def component(cell):
        parts = cell.split(".")
        while parts and ".".join(parts) not in scopes:
            parts.pop()
        return ".".join(parts)

    waiting = list(work.drivers)
    while waiting:
        net = waiting.pop()
        found = {}
        for load in work.loads.get(net, ()):
            cell, pin, _ = load
            if cell in owner:
                found.setdefault(owner[cell], []).append(load)
            elif pin not in DATA:  # what goes on in a register goes on from the original
                found.setdefault(component(cell), []).append(load)
        steered = sum(map(len, found.values()))
        for_copies = any(load[0] in owner for group in found.values() for load in group)
        if len(found) < 2 or (steered <= FEW and not for_copies):
            continue
        name = work.drivers[net]
        if for_copies and work.cells[name]["parameters"].get("CEMUX", "").strip() != "1":
            continue  # it waits for something, which has no copies
        if steered == len(work.loads[net]):  # nothing else is left to the original
            found.pop(component(name), None) or found.popitem()
        for place, group in found.items():
            copied = work.free
            sources = work.move(net, group)
            owner[work.drivers[copied]] = place
            waiting += [source for source in sources if source in work.drivers]
    return work.copies


def _nets(module):
    return (
        net
        for cell in module["cells"].values()
        for nets in cell["connections"].values()
        for net in nets
    )


def _copy(cell, net):
    connections = {pin: list(nets) for pin, nets in cell["connections"].items()}
    parts = {name: dict(part) for name, part in cell.items() if isinstance(part, dict)}
    return {**cell, **parts, "connections": {**connections, "Q": [net]}}


def _net_names(module):
    """Name and place of every net; of several, one that the source gave."""
    found = {}
    for name, wire in sorted(
        module["netnames"].items(), key=lambda item: (-item[1]["hide_name"], item[0])
    ):
        for place, net in enumerate(wire["bits"]):
            found[net] = (*_natural(name), place)
    return found


def _natural(name):
    """A key that sorts the numbers in names as numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
