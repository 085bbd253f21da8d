# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Frames out of a stream of bytes, and into one; `spec.frames` says what they look like."""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from ecoformer.spec.frames import ESCAPE, FLIP, MAGIC, OVERHEAD, Fault, Kind

__all__ = ["Answer", "FrameReceiver", "FrameSender", "Request", "payload_memory"]

HEADER, CHECK = 4, OVERHEAD - 4
"""Bytes before and behind the payload, beside MAGIC."""


def payload_memory(capacity: int) -> memory.Memory:
    """Memory of a payload, read a cycle after its address; it is never read while it is written.

    It takes half of a cycle to answer, so a register comes next, wherever it is read.
    """
    return memory.Memory(shape=8, depth=capacity, init=[], attrs={"no_rw_check": 1})


class Request(data.StructLayout):
    """A good frame whose payload waits in memory."""

    def __init__(self) -> None:
        super().__init__({"kind": 8, "tag": 8, "length": 16, "check": 32})


class Answer(data.StructLayout):
    """A frame to send; that of an ERROR is the payload itself, any other's is in memory."""

    def __init__(self) -> None:
        super().__init__({"kind": 8, "tag": 8, "length": 16, "fault": 16, "detail": 16})


class FrameReceiver(wiring.Component):
    """Takes a byte per cycle, and checks a whole frame before it offers it.

    No byte is taken while a frame is offered, because its payload would be overwritten.

    Parameters
    ----------
    capacity : int
        Longest payload, in bytes.

    Members
    -------
    i : ``In(stream.Signature(8))``
    o : ``Out(stream.Signature(Request))``
    address : ``In``, byte : ``Out(8)``
        The payload, two cycles after its address.
    fault, faulty : ``Out``
        A `Fault`, and the strobe that it happened.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(Request())),
            "address": In(range(capacity)),
            "byte": Out(8),
            "fault": Out(16),
            "faulty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.payload = payload = payload_memory(self.capacity)
        write, read = payload.write_port(), payload.read_port()
        request = self.o.payload
        inside, escaped, reported, checking = Signal(), Signal(), Signal(), Signal()
        # Bytes of the frame so far: the header counts up to HEADER, then the rest counts down.
        header = Signal(range(HEADER + 1))
        left = Signal(17)
        place = Signal(range(self.capacity + 1))
        taken, magic, symbol, byte = Signal(), Signal(), Signal(), Signal(8)
        m.d.comb += [
            self.i.ready.eq(~checking & ~self.o.valid),
            taken.eq(self.i.valid & self.i.ready),
            magic.eq(self.i.payload == MAGIC),
            byte.eq(self.i.payload ^ Mux(escaped, FLIP, 0)),
            symbol.eq(taken & inside & ~magic & ((self.i.payload != ESCAPE) | escaped)),
            crc.start.eq(taken & magic),
            crc.valid.eq(symbol),
            crc.data.eq(byte),
            write.addr.eq(place),
            write.data.eq(byte),
            write.en.eq(symbol & (header == HEADER) & (left > CHECK)),
            read.addr.eq(self.address),
        ]
        m.d.sync += [self.byte.eq(read.data), self.faulty.eq(0)]

        def report(fault):
            m.d.sync += [self.fault.eq(fault), self.faulty.eq(1)]

        with m.If(taken & magic):
            m.d.sync += [
                inside.eq(1), escaped.eq(0), reported.eq(0), header.eq(0), place.eq(0),
            ]
            with m.If(inside & (header != 0)):  # any number of MAGIC may precede a frame
                report(Fault.CUT)
        with m.Elif(taken & ~inside & ~reported):
            m.d.sync += reported.eq(1)
            report(Fault.GARBAGE)
        with m.Elif(taken & inside):
            m.d.sync += escaped.eq(~symbol)
        with m.If(symbol):
            with m.If(header != HEADER):
                fields = Cat(request.kind, request.tag, request.length)
                m.d.sync += [
                    header.eq(header + 1),
                    fields.eq(Cat(fields[8:], byte)),
                    left.eq(Cat(fields[24:], byte) + CHECK),
                ]
                with m.If((header == HEADER - 1) & (Cat(fields[24:], byte) > self.capacity)):
                    m.d.sync += [inside.eq(0), reported.eq(1)]  # what follows is the same fault
                    report(Fault.LENGTH)
            with m.Else():
                m.d.sync += [
                    place.eq(place + 1),
                    left.eq(left - 1),
                    request.check.eq(Cat(request.check[8:], byte)),
                ]
                with m.If(left == 1):
                    m.d.sync += [inside.eq(0), checking.eq(1)]
        with m.If(checking):
            m.d.sync += [checking.eq(0), self.o.valid.eq(crc.match_detected)]
            with m.If(~crc.match_detected):
                report(Fault.CHECK)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class FrameSender(wiring.Component):
    """Sends a frame, at most a byte every five cycles.

    Parameters
    ----------
    capacity : int
        Longest payload, in bytes.

    Members
    -------
    i : ``In(stream.Signature(Answer))``
        Ready while no frame is being sent.
    address : ``Out``, byte : ``In(8)``
        The payload, a cycle after its address.
    o : ``Out(stream.Signature(8))``
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        super().__init__({
            "i": In(stream.Signature(Answer())),
            "address": Out(range(capacity)),
            "byte": In(8),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        answer, is_error = Signal(Answer()), Signal()
        place = Signal(range(self.capacity + OVERHEAD + 1))  # bytes of the frame that are sent
        in_header, in_payload = Signal(), Signal()
        byte, chosen, special = Signal(8), Signal(8), Signal()
        fetched = Signal(8)
        body = Signal(17)  # bytes before the CRC
        m.d.comb += [
            is_error.eq(answer.kind == Kind.ERROR),
            body.eq(answer.length + HEADER),
            in_header.eq(place < HEADER),
            in_payload.eq(place < body),
            self.address.eq(place - HEADER),
            special.eq((byte == MAGIC) | (byte == ESCAPE)),
            crc.data.eq(byte),
        ]
        code = Cat(answer.fault, answer.detail)
        with m.If(in_header):
            m.d.comb += chosen.eq(_byte(Cat(answer.kind, answer.tag, answer.length), place))
        with m.Elif(~in_payload):
            m.d.comb += chosen.eq(_byte(crc.crc, (place - body)[:2]))
        with m.Elif(is_error):
            m.d.comb += chosen.eq(_byte(code, place))  # HEADER is four bytes as well
        with m.Else():
            m.d.comb += chosen.eq(fetched)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), crc.start.eq(1)]
                m.d.sync += [answer.eq(self.i.payload), place.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MAGIC"
            with m.State("MAGIC"):
                m.d.comb += [self.o.payload.eq(MAGIC), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):  # the memory takes the address
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += fetched.eq(self.byte)
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += byte.eq(chosen)
                m.next = "ESCAPE"
            with m.State("ESCAPE"):
                m.d.comb += [self.o.payload.eq(ESCAPE), self.o.valid.eq(special)]
                with m.If(self.o.ready | ~special):
                    m.d.comb += crc.valid.eq(in_payload)
                    m.d.sync += place.eq(place + 1)
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [self.o.payload.eq(byte ^ Mux(special, FLIP, 0)), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "FETCH"
                    with m.If(place == body + CHECK):
                        m.next = "IDLE"
        return m


def _byte(value: ValueLike, place: Value) -> Value:
    """Byte number ``place`` of a value of four bytes."""
    return value.word_select(place[:2], 8)
