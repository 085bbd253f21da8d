# SPDX-License-Identifier: Apache-2.0
"""Memories of parameters that a stream of bytes loads, one memory after another."""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.contents import CONTENTS

__all__ = ["ByteCounter", "LoadChain", "LoadLink", "RowLoader", "load_ports"]


class LoadLink(wiring.Signature):
    """Bytes on their way through all memories, none of which is held back.

    Each memory keeps the first bytes that come, as many as it has, and passes on the others.

    Members
    -------
    start : ``Out(1)``
        Strobe: a load begins with the byte behind it.
    valid : ``Out(1)``, data : ``Out(8)``
    """

    def __init__(self) -> None:
        super().__init__({"start": Out(1), "valid": Out(1), "data": Out(8)})


def load_ports(loads: bool) -> dict[str, wiring.Member]:
    """Ports of a component with memories that are loaded: the bytes as they come and go on."""
    return {"load": In(LoadLink()), "loaded": Out(LoadLink())} if loads else {}


class ByteCounter(wiring.Component):
    """Knows which bytes of a load are its own, and passes on the rest, a cycle later.

    Subclasses say where its own bytes go, and which is the last.

    Members
    -------
    load : ``In(LoadLink)``, loaded : ``Out(LoadLink)``
    """

    def __init__(self, members: dict[str, wiring.Member]):
        super().__init__({**load_ports(True), **members})

    def elaborate(self, platform) -> Module:
        m = Module()
        wants, mine, last = Signal(), Signal(), Signal()
        m.d.comb += [
            # A register may say anything before reset, which what is kept must outlive.
            mine.eq(self.load.valid & wants & ~ResetSignal()),
            last.eq(self.place(m, mine)),
        ]
        m.d.sync += [
            wants.eq(self.load.start | (wants & ~(mine & last))),
            self.loaded.start.eq(self.load.start),
            self.loaded.valid.eq(self.load.valid & ~wants),
            self.loaded.data.eq(self.load.data),
        ]
        return m

    def place(self, m: Module, mine: Value) -> Value:
        """Keep a byte in each cycle of ``mine``, from the first one after ``load.start``.

        Returns whether it is the last.
        """
        raise NotImplementedError


class RowLoader(ByteCounter):
    """Writes the rows of a memory in their order, byte by byte.

    Parameters
    ----------
    rows : int
    row_bytes : int

    Members
    -------
    row : ``Out``, enable : ``Out(row_bytes)``, byte : ``Out(8)``
        What is to be written at the end of the cycle: a byte of a row.
    """

    def __init__(self, rows: int, row_bytes: int):
        self.rows = rows
        super().__init__(
            {"row": Out(range(rows)), "enable": Out(row_bytes), "byte": Out(8)}
        )

    def place(self, m: Module, mine: Value) -> Value:
        turn = Signal(len(self.enable), init=1)
        with m.If(self.load.start):
            m.d.sync += [turn.eq(1), self.row.eq(0)]
        with m.Elif(mine):
            m.d.sync += [turn.eq(turn.rotate_left(1)), self.row.eq(self.row + turn[-1])]
        m.d.comb += [
            self.enable.eq(turn & mine.replicate(len(turn))),
            self.byte.eq(self.load.data),
        ]
        return turn[-1] & (self.row == self.rows - 1)


class LoadChain:
    """The memories of a component, in the order in which they are loaded.

    Parameters
    ----------
    m : Module
    component : Component
        With `load_ports`; without them its memories hold what they do from the start.
    """

    def __init__(self, m: Module, component: wiring.Component):
        self.m = m
        self.component = component
        self.loads = "load" in component.signature.members
        self._source = flipped(component.load) if self.loads else None

    def memory(self, name: str, bits: int, rows: Sequence[int]) -> memory.Memory:
        """Add a memory of ``rows``, each in the lowest ``bits`` of what can be read."""
        width, attrs = bits, CONTENTS
        if self.loads:
            width = -(-bits // 8) * 8
            attrs = CONTENTS | {"no_rw_check": 1}  # nothing that is read meanwhile counts
        self.m.submodules[name] = kept = memory.Memory(
            shape=unsigned(width), depth=len(rows), init=rows, attrs=attrs
        )
        if self.loads:
            write = kept.write_port(granularity=8)
            loader = self._loader(name, len(rows), len(write.en))
            self.m.d.comb += [
                write.addr.eq(loader.row),
                write.en.eq(loader.enable),
                write.data.eq(loader.byte.replicate(len(write.en))),
            ]
        return kept

    def number(
        self, name: str, bits: int, values: Sequence[int], which: ValueLike | None = None
    ) -> Value:
        """Add a number of so many bits: if it is loaded, or there are several, a memory.

        ``which`` of them, a cycle later.
        """
        if not self.loads and which is None:
            return C(values[0])
        read = self.memory(name, bits, values).read_port()
        if which is not None:
            self.m.d.comb += read.addr.eq(which)
        return read.data[:bits]

    def through(self, *components: wiring.Component, same: bool = False) -> None:
        """Pass the bytes on through ``components``, or, if they hold the ``same``, to all."""
        if not self.loads:
            return
        source = self._source
        for component in components:
            connect(self.m, source if same else self._source, component.load)
            self._source = component.loaded

    def end(self) -> None:
        """Pass on what none of them has kept."""
        if self.loads:
            connect(self.m, self._source, flipped(self.component.loaded))

    def _loader(self, name, rows, row_bytes):
        loader = RowLoader(rows, row_bytes)
        self.m.submodules[f"{name}_loader"] = loader
        self.through(loader)
        return loader
