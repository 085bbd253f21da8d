# SPDX-License-Identifier: Apache-2.0
"""Companions: the fields of a token that bypass the hash unit and wait for its code."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.spec.config import Config

__all__ = ["CompanionMemory", "CompanionQueues", "companions_class"]


class CompanionMemory(wiring.Component):
    """Queue of companions in a memory.

    The hash unit admits only as many tokens as fit and returns a code for each, so nothing is
    checked. The memory is read ahead, into a register: a code comes at least two cycles after its
    companion.

    Parameters
    ----------
    layout : StructLayout
        Of a companion.
    depth : int

    Members
    -------
    companion : ``In(layout)``, push : ``In(1)``
    oldest : ``Out(layout)``, pop : ``In(1)``
    """

    def __init__(self, layout: data.StructLayout, depth: int):
        self.layout = layout
        self.depth = depth
        super().__init__(
            {"companion": In(layout), "push": In(1), "oldest": Out(layout), "pop": In(1)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self.depth
        m.submodules.entries = entries = memory.Memory(
            shape=unsigned(self.layout.size), depth=depth, init=[], attrs={"no_rw_check": 1}
        )
        write = entries.write_port()
        read = entries.read_port()
        head = Signal(range(depth))
        tail = Signal(range(depth))
        following = Signal.like(tail)
        m.d.comb += [
            write.addr.eq(head),
            write.data.eq(self.companion),
            write.en.eq(self.push),
            following.eq(Mux(self.pop, Mux(tail == depth - 1, 0, tail + 1), tail)),
            read.addr.eq(following),
            self.oldest.as_value().eq(read.data),
        ]
        with m.If(self.push):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        m.d.sync += tail.eq(following)
        return m


class CompanionQueues(CompanionMemory):
    """`CompanionMemory` for a token every cycle.

    Fields that decide about the next token come from a register, the many values from block RAM.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        kinds = {name: SyncFIFOBuffered for name in self.layout.members} | {"v": DeepBuffer}
        for kind in (DeepBuffer, SyncFIFOBuffered):
            names = [name for name in self.layout.members if kinds[name] is kind]
            if not names:
                continue
            part = data.StructLayout({name: self.layout.members[name] for name in names})
            m.submodules[kind.__name__.lower()] = buffer = kind(width=part.size, depth=self.depth)
            entry, oldest = Signal(part), data.View(part, buffer.r_stream.payload)
            m.d.comb += [
                buffer.w_stream.payload.eq(entry),
                buffer.w_stream.valid.eq(self.push),
                buffer.r_stream.ready.eq(self.pop),
                *(entry[name].eq(self.companion[name]) for name in names),
                *(self.oldest[name].eq(oldest[name]) for name in names),
            ]
        return m


def companions_class(config: Config) -> type[CompanionMemory]:
    """The queue of companions of the engine."""
    return CompanionQueues if config.is_full_rate else CompanionMemory
