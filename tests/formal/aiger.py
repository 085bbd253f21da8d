# SPDX-License-Identifier: Apache-2.0
"""And-Inverter graphs: read from Yosys, cut to one question, and replayed."""


__all__ = ["Graph", "table"]


class Graph:
    """An And-Inverter graph whose latches start at zero.

    Literals are numbered as the binary form wants: inputs, latches, and-gates in order.

    Parameters
    ----------
    text : str
        ASCII AIGER file with a symbol table.
    """

    def __init__(self, text):
        lines = iter(text.splitlines())
        _, _, inputs, latches, outputs, ands, *extra = next(lines).split()
        counts = (int(inputs), int(latches), int(outputs), *map(int, extra), int(ands))
        groups = [[tuple(map(int, next(lines).split())) for _ in range(n)] for n in counts]
        self.inputs = [literal for (literal,) in groups[0]]
        self.latches = [(row[0], row[1]) for row in groups[1]]
        self.outputs = [literal for (literal,) in groups[2]]
        self.constraints = [literal for (literal,) in groups[4]] if len(extra) > 1 else []
        self.ands = groups[-1]
        self.names = {}  # every name of input ("i", place), output ("o", place), …
        for line in lines:
            if line == "c":
                break
            place, *names = line.split()
            self.names[place[0], int(place[1:])] = names

    def named(self, kind, name):
        """Literal of the input (``"i"``) or output (``"o"``) with this name."""
        literals = self.inputs if kind == "i" else self.outputs
        return next(lit for i, lit in enumerate(literals) if name in self.names.get((kind, i), ()))

    def query(self, output, constraints=()):
        """Binary AIGER file that asks for ``output`` alone, under further constraints."""
        constraints = [*self.constraints, *constraints]
        total = len(self.inputs) + len(self.latches) + len(self.ands)
        head = [
            f"aig {total} {len(self.inputs)} {len(self.latches)} 1 {len(self.ands)} 0 "
            f"{len(constraints)}",
            *(str(following) for _, following in self.latches),
            *map(str, (output, *constraints)),
        ]
        gates = bytearray()
        for result, *operands in self.ands:
            high, low = sorted(operands, reverse=True)
            for delta in (result - high, high - low):
                while delta > 127:
                    gates.append(delta & 127 | 128)
                    delta >>= 7
                gates.append(delta)
        return "\n".join(head).encode() + b"\n" + bytes(gates)

    def replay(self, stimulus):
        """Names and bits of all inputs and outputs, cycle by cycle.

        Parameters
        ----------
        stimulus : iterable of sequences of int
            Bits of the inputs, a sequence per cycle.
        """
        state = {latch: 0 for latch, _ in self.latches}
        for bits in stimulus:
            value = {0: 0, **state}
            value.update(zip(self.inputs, bits, strict=True))

            def read(literal, value=value):
                return value[literal & ~1] ^ (literal & 1)

            for result, a, b in self.ands:
                value[result] = read(a) & read(b)
            seen = {}
            for kind, literals in (("i", self.inputs), ("o", self.outputs)):
                for i, literal in enumerate(literals):
                    for name in self.names.get((kind, i), ()):
                        seen[name] = read(literal)
            yield seen
            state = {latch: read(following) for latch, following in self.latches}


def table(cycles, hide):
    """Text of a trace: a row per signal, a column per cycle, in hexadecimal.

    Parameters
    ----------
    cycles : list of dict
        Bits by name, as ``signal`` or ``signal[bit]``.
    hide : function of a signal's name
    """
    signals = {}
    for time, bits in enumerate(cycles):
        for name, bit in bits.items():
            stem, _, place = name.partition("[")
            if hide(stem):
                continue
            row = signals.setdefault(stem, [0] * len(cycles))
            row[time] |= bit << int(place.rstrip("]") or 0)
    shown = {name: [f"{v:x}" for v in row] for name, row in signals.items()}
    width = max((len(v) for row in shown.values() for v in row), default=1)
    stem = max(map(len, shown), default=0)
    rows = {"cycle": [str(t) for t in range(len(cycles))], **dict(sorted(shown.items()))}
    width = max(width, len(rows["cycle"][-1]) if cycles else 1)
    return "\n".join(
        f"{name:{max(stem, 5)}} " + " ".join(f"{v:>{width}}" for v in row)
        for name, row in rows.items()
    )
