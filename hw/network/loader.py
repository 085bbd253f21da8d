# SPDX-License-Identifier: Apache-2.0
"""Loads the parameters of a network at run time, between two packets."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.hw.lib.loading import LoadLink
from ecoformer.spec.network.packet import (
    CHECK_BYTES,
    HEADER_BYTES,
    LoadAnswer,
    parameter_bytes,
    parameter_header,
)
from ecoformer.spec.network.transformer import Transformer

__all__ = ["Gate", "LoadByte", "LoadReply", "Loader"]


class LoadByte(data.StructLayout):
    """One beat of a parameter packet; ``last`` ends it."""

    def __init__(self) -> None:
        super().__init__({"data": 8, "last": 1})


class LoadReply(data.StructLayout):
    """The answer to a parameter packet: a `LoadAnswer`."""

    def __init__(self) -> None:
        super().__init__({"data": 8})


class Loader(wiring.Component):
    """Takes one parameter packet after another while nothing else is in the network.

    The header is compared before anything is written. What follows is written as it comes, so
    parameters are spoilt until the checksum has been found to be right. A byte is taken in every
    cycle.

    Parameters
    ----------
    design : Transformer

    Members
    -------
    i : ``In(stream.Signature(LoadByte))``
    o : ``Out(stream.Signature(LoadReply))``
        The answer to each packet. No other packet is begun until it has been taken.
    load, loaded : ``Out(LoadLink)``, ``In(LoadLink)``
        Into the first memory, and out of the last.
    hold : ``Out(1)``
        No packet of images or tokens may begin.
    idle : ``In(1)``
        There is none in the network.
    whole : ``Out(1)``
        Parameters are not spoilt. It outlives a reset, as the memories do.
    """

    def __init__(self, design: Transformer):
        self.design = design
        super().__init__(
            {
                "i": In(stream.Signature(LoadByte())),
                "o": Out(stream.Signature(LoadReply())),
                "load": Out(LoadLink()),
                "loaded": In(LoadLink()),
                "hold": Out(1),
                "idle": In(1),
                "whole": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        beat, count = self.i.payload, parameter_bytes(self.design)
        # One of these at most: which part of a packet comes next.
        drains, header, parameters, check, judges, drops = states = [
            Signal(name=name)
            for name in ("drains", "header", "parameters", "check", "judges", "drops")
        ]
        busy, taken, ends, replies, fits = (
            Signal(name=name) for name in ("busy", "taken", "ends", "replies", "fits")
        )
        differs, marked = self._differs(m, taken & header, drains), Signal()
        parts = (header, HEADER_BYTES), (parameters, count), (check, CHECK_BYTES)
        place = Signal(range(max(size for _, size in parts)))  # byte of the part
        m.d.comb += [
            busy.eq(Cat(states).any()),
            self.hold.eq(busy),
            self.i.ready.eq(header | parameters | check | drops),
            taken.eq(self.i.valid & self.i.ready),
            crc.start.eq(drains),
            crc.valid.eq(taken),
            crc.data.eq(beat.data),
            ends.eq(
                taken & reduce(or_, (part & (place == size - 1) for part, size in parts))
            ),
            # The checksum's first byte goes through all memories, behind the parameters.
            self.load.start.eq(ends & header & ~differs & ~beat.last),
            self.load.valid.eq(taken & (parameters | (check & (place == 0)))),
            self.load.data.eq(beat.data),
            fits.eq(judges & crc.match_detected & marked),
            replies.eq(
                (taken & beat.last & ~(ends & check)) | (judges & ~crc.match_detected) | fits
            ),
        ]
        m.d.sync += [
            drains.eq((drains & ~self.idle) | (~busy & self.i.valid & ~self.o.valid)),
            header.eq((drains & self.idle) | (header & ~ends & ~replies)),
            parameters.eq(self.load.start | (parameters & ~ends & ~replies)),
            check.eq((parameters & ends & ~replies) | (check & ~ends & ~replies)),
            judges.eq((ends & check & beat.last) | (judges & ~replies)),
            drops.eq(
                (ends & ~beat.last & ((header & differs) | check)) | (drops & ~replies)
            ),
            # Out of the last memory come the start of a load and, behind all that is written, a
            # byte. Of the load before there may be one in front of the start.
            marked.eq(self.loaded.valid | (marked & ~self.loaded.start)),
            self.o.valid.eq(replies | (self.o.valid & ~self.o.ready)),
        ]
        with m.If(taken):
            m.d.sync += place.eq(Mux(ends, 0, place + 1))
        with m.If(drains):
            m.d.sync += [place.eq(0), self.o.payload.data.eq(LoadAnswer.LENGTH)]
        with m.If(taken & header & differs & (ends | beat.last)):
            m.d.sync += self.o.payload.data.eq(LoadAnswer.OTHER_DESIGN)
        with m.If(judges):
            m.d.sync += self.o.payload.data.eq(
                Mux(crc.match_detected, LoadAnswer.LOADED, LoadAnswer.CHECKSUM)
            )
        self._keep(m, fits)
        return m

    def _differs(self, m, compares, begins):
        """Whether a byte of the header differs so far, the one that comes included."""
        left = Signal(8 * HEADER_BYTES)  # what is still to come of it
        before, differs = Signal(), Signal()
        m.d.comb += differs.eq(before | (self.i.payload.data != left[:8]))
        with m.If(compares):
            m.d.sync += [before.eq(differs), left.eq(left[8:])]
        with m.If(begins):
            header = parameter_header(self.design)
            m.d.sync += [before.eq(0), left.eq(int.from_bytes(header, "little"))]
        return differs

    def _keep(self, m, mended):
        """Keep whether parameters are whole as they are kept: in a memory, with contents."""
        m.submodules.state = state = memory.Memory(shape=1, depth=1, init=[1], attrs=CONTENTS)
        write, read = state.write_port(), state.read_port(domain="comb")
        m.d.comb += [
            write.en.eq((self.load.start | mended) & ~ResetSignal()),
            write.data.eq(mended),
            self.whole.eq(read.data),
        ]


class Gate(wiring.Component):
    """Stops the packets that enter a network between two of them, and knows when it is empty.

    Parameters
    ----------
    most : int
        Packets that may be in the network at once.

    Members
    -------
    open : ``Out(1)``
        A beat may enter.
    taken, last : ``In(1)``
        Strobe: a beat enters, and whether it ends its packet.
    answered : ``In(1)``
        Strobe: the last beat of an answer has been taken.
    hold : ``In(1)``
        No packet may begin.
    idle : ``Out(1)``
        With ``hold``: no packet is in the network, nor will one enter.
    """

    def __init__(self, most: int):
        self.most = most
        super().__init__(
            {
                "open": Out(1),
                "taken": In(1),
                "last": In(1),
                "answered": In(1),
                "hold": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        within = Signal()  # a packet has begun to enter, and not ended
        inside = Signal(range(self.most + 1))
        m.d.comb += [
            self.open.eq(~self.hold | within),
            self.idle.eq(~self.open & (inside == 0)),
        ]
        with m.If(self.taken):
            m.d.sync += within.eq(~self.last)
        m.d.sync += inside.eq(inside + (self.taken & self.last) - self.answered)
        return m
