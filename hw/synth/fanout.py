"""Flip-flops of a mapped netlist copied where one would have to reach too many places.

A signal that steers every lane of an array reaches thousands of cells, and the way to the farthest
of them, not logic, then bounds the clock. Each copy of its register serves neighbours only. Copies
in turn load what is before the register, which is copied as well if it is a register: so a chain of
two reaches LIMIT² cells, and RTL has as many registers as its arrays are large.
"""

import re

__all__ = ["copy_registers"]

FLIP_FLOP = "TRELLIS_FF"
SHARED = ("CLK", "CE", "LSR")
"""Pins that the flip-flops of a slice share, and a tile has few of."""
LIMIT = 64
"""Cell pins that one flip-flop may drive; 64 are the bits of some four lanes."""
NEAR_LIMIT = 12
"""The same in a large design, where the lanes that one register reaches lie far apart."""
LARGE = 32768
"""Flip-flops of a large design; it fills two fifths of the largest device."""
ENABLE_LIMIT = 512
"""Enables that one flip-flop may drive. With a net for every few of them placement finds no end: it
must bring those of a slice together."""


def copy_registers(module):
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
    limit = NEAR_LIMIT if flip_flops >= LARGE else LIMIT
    # Copies for enables load what is before them, so they come first.
    return _copy_for(module, lambda pin: pin == "CE", ENABLE_LIMIT) + _copy_for(
        module, lambda pin: pin not in SHARED, limit
    )


def _copy_for(module, counts, limit):
    """As :func:`copy_registers`, for the pins that ``counts`` is true of."""
    cells, names = module["cells"], _net_names(module)
    loads = {}  # (cell, pin, place) by the net that drives them
    drivers = {}  # flip-flop by the net that it drives
    for name, cell in cells.items():
        if cell["type"] == FLIP_FLOP:
            drivers[cell["connections"]["Q"][0]] = name
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] == "input" and counts(pin):
                for place, net in enumerate(nets):
                    loads.setdefault(net, []).append((name, pin, place))
    free = 1 + max((net for net in _nets(module) if isinstance(net, int)), default=1)
    copies = 0
    waiting = [net for net in drivers if len(loads.get(net, ())) > limit]
    while waiting:
        net = waiting.pop()
        found = loads[net]
        if len(found) <= limit:
            continue
        found.sort(key=lambda load: _order(cells[load[0]], names))
        count = -(-len(found) // limit)
        size = -(-len(found) // count)
        loads[net] = found[:size]
        original = cells[drivers[net]]
        for number in range(1, count):
            copy, name = _copy(original, free), f"{drivers[net]}${free}"
            cells[name], drivers[free] = copy, name
            loads[free] = found[number * size : (number + 1) * size]
            for reader, pin, place in loads[free]:
                cells[reader]["connections"][pin][place] = free
            for pin, nets in copy["connections"].items():
                if pin != "Q" and counts(pin):
                    for place, source in enumerate(nets):
                        loads.setdefault(source, []).append((name, pin, place))
                        if source in drivers and len(loads[source]) > limit:
                            waiting.append(source)
            free += 1
        copies += count - 1
    return copies


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


def _order(cell, names):
    """Neighbours in an array have numbered names: a cell is where what it drives is."""
    nets = [
        net
        for pin, found in cell["connections"].items()
        if cell["port_directions"][pin] == "output"
        for net in found
    ]
    return min((names[net] for net in nets if net in names), default=())


def _natural(name):
    """A key that sorts the numbers in names as numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
