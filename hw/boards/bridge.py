# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The host link: requests in frames become register accesses and packets of a design."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.boards.frames import Answer, FrameReceiver, FrameSender, payload_memory
from ecoformer.hw.boards.registers import RegisterMaster
from ecoformer.hw.lib.axi_lite import AxiLite
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.spec.frames import CHUNK_HEADER, CODE_BYTES, Fault, Flag, Kind
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.registers import ADDRESS_WIDTH

__all__ = ["Bridge", "HostBeat", "RESET_CYCLES"]

RESET_CYCLES = 16
"""Cycles for which a host's RESET holds the design; one would be enough."""
WORD, PAIR = 4, 8
"""Bytes of an offset, and of an offset with its data."""


class HostBeat(data.StructLayout):
    """One beat of so many bytes; ``error`` is that of a result."""

    def __init__(self, size: int, user_bits: int):
        super().__init__({"data": 8 * size, "user": user_bits, "last": 1, "error": 1})


class Bridge(wiring.Component):
    """Answers one request at a time, and each exactly once.

    A request with the tag and the CRC of the last one is not carried out again: its answer is sent
    again, which still lies in memory. So a host repeats a request until it has the answer, whatever
    the line loses. Faults are reported when no frame is being sent, several of a kind at once.

    A packet comes and goes in chunks, each of which is buffered whole. No request ever waits for
    the design's streams, so the host can always read registers, fetch results or reset.

    Parameters
    ----------
    streams : HostStreams
        What a beat is, either way.
    clock_hz, baud : int
        What the board's registers say.
    frame_bytes : int
        Longest payload; a multiple of 4 with room for a beat of either stream.

    Members
    -------
    i, o : ``In(stream.Signature(8))``, ``Out(stream.Signature(8))``
        The byte link.
    registers : ``Out(AxiLite)``
    tokens, results : ``Out(stream.Signature(HostBeat))``, ``In(stream.Signature(HostBeat))``
    reset : ``Out(1)``
        Level: the design is to be reset.
    """

    def __init__(self, streams: HostStreams, *, clock_hz: int, baud: int, frame_bytes: int):
        least = CHUNK_HEADER + max(streams.input_bytes, streams.output_bytes)
        if not least <= frame_bytes <= 1 << 15 or frame_bytes % WORD:
            raise ValueError(
                f"frame_bytes must be a multiple of {WORD} in {least}…{1 << 15}, not {frame_bytes}"
            )
        self.streams, self.frame_bytes = streams, frame_bytes
        self.token_beat = HostBeat(streams.input_bytes, streams.all_user_bits)
        self.result_beat = HostBeat(streams.output_bytes, streams.all_user_bits)
        self.master = RegisterMaster(clock_hz, baud, frame_bytes)
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "registers": Out(AxiLite(ADDRESS_WIDTH)),
            "tokens": Out(stream.Signature(self.token_beat)),
            "results": In(stream.Signature(self.result_beat)),
            "reset": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.receiver = self.receiver = FrameReceiver(self.frame_bytes)
        m.submodules.sender = self.sender = FrameSender(self.frame_bytes)
        m.submodules.master = self.master
        m.submodules.payload = payload = payload_memory(self.frame_bytes)
        self.writing, reading = payload.write_port(), payload.read_port()
        connect(m, flipped(self.i), self.receiver.i)
        connect(m, self.sender.o, flipped(self.o))
        connect(m, self.master.bus, flipped(self.registers))
        m.d.comb += [reading.addr.eq(self.sender.address), self.sender.byte.eq(reading.data)]

        self.answer = Signal(Answer())
        self.place = Signal(range(self.frame_bytes + 1))  # byte of a payload, either way
        self.gathered = Signal(8 * PAIR, reset_less=True)  # the last bytes of the request
        self.index = Signal(16)  # accesses that are done
        resetting = Signal(range(RESET_CYCLES + 1))
        m.d.sync += self.reset.eq(resetting != 0)
        with m.If(self.master.reset):
            m.d.sync += resetting.eq(RESET_CYCLES)
        with m.Elif(resetting != 0):
            m.d.sync += resetting.eq(resetting - 1)
        self._buffer_packets(m)
        self._collect_faults(m)
        self._carry_out(m)
        return m

    def _buffer_packets(self, m):
        """Buffers of a chunk each, between the requests and the streams."""
        self.is_taken = Signal()  # the design has taken the last chunk
        self.incoming = DeepBuffer(
            width=self.token_beat.size, depth=self.frame_bytes // self.streams.input_bytes
        )
        self.outgoing = DeepBuffer(
            width=self.result_beat.size, depth=self.frame_bytes // self.streams.output_bytes
        )
        m.submodules.incoming = ResetInserter(self.reset)(self.incoming)
        m.submodules.outgoing = ResetInserter(self.reset)(self.outgoing)
        # A memory takes half of a cycle to answer: register its beat before the design's logic.
        beat = Signal(self.token_beat, reset_less=True)
        m.d.comb += [
            self.tokens.payload.eq(beat),
            self.incoming.r_stream.ready.eq(~self.tokens.valid | self.tokens.ready),
            self.outgoing.w_stream.payload.eq(self.results.payload),
            self.outgoing.w_stream.valid.eq(self.results.valid),
            self.results.ready.eq(self.outgoing.w_stream.ready),
            self.is_taken.eq((self.incoming.level == 0) & ~self.tokens.valid),
        ]
        with m.If(self.incoming.r_stream.ready):
            m.d.sync += [
                self.tokens.valid.eq(self.incoming.r_stream.valid),
                beat.eq(self.incoming.r_stream.payload),
            ]
        with m.If(self.reset):
            m.d.sync += self.tokens.valid.eq(0)

    def _collect_faults(self, m):
        """Keep the latest fault until it is reported, with the number of its kind since then."""
        receiver, master = self.receiver, self.master
        self.fault, self.faults = Signal(16), Signal(16)
        self.reported = Signal()
        with m.If(self.reported):
            m.d.sync += self.faults.eq(0)
        with m.If(receiver.faulty):
            same = (receiver.fault == self.fault) & ~self.reported
            m.d.sync += [
                self.fault.eq(receiver.fault),
                self.faults.eq(Mux(same, self.faults, 0) + 1),
                master.bad.eq(master.bad + 1),
            ]
        with m.If(receiver.o.valid & receiver.o.ready):
            m.d.sync += master.good.eq(master.good + 1)

    def _carry_out(self, m):
        receiver, sender, master = self.receiver, self.sender, self.master
        request, answer = receiver.o.payload, self.answer
        last = Signal(40)  # tag and CRC of the request that the answer is for
        answered, repeated = Signal(), Signal()
        writes = Signal()
        m.d.sync += [
            repeated.eq(answered & (last == Cat(request.tag, request.check))),
            writes.eq(request.kind == Kind.WRITE),
        ]
        m.d.comb += [
            sender.i.payload.eq(answer),
            receiver.address.eq(self.place),
            master.write.eq(writes),
            master.offset.eq(Mux(writes, self.gathered[:32], self.gathered[32:])),
            master.data.eq(self.gathered[32:]),
        ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(sender.i.ready & (self.faults != 0)):
                    m.d.comb += [
                        sender.i.payload.kind.eq(Kind.ERROR),
                        sender.i.payload.tag.eq(0),
                        sender.i.payload.length.eq(CODE_BYTES),
                        sender.i.payload.fault.eq(self.fault),
                        sender.i.payload.detail.eq(self.faults),
                        sender.i.valid.eq(1),
                        self.reported.eq(1),
                    ]
                with m.Elif(sender.i.ready & receiver.o.valid):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [
                    last.eq(Cat(request.tag, request.check)), answered.eq(1),
                    self.place.eq(0), self.index.eq(0),
                ]
                with m.If(repeated):
                    m.next = "ANSWER"
                with m.Else():
                    m.d.sync += [
                        answer.kind.eq(request.kind), answer.tag.eq(request.tag),
                        answer.length.eq(0),
                    ]
                    self._begin(m)
            self._access(m)
            self._take_chunk(m)
            self._give_chunk(m)
            with m.State("ANSWER"):
                m.d.comb += [sender.i.valid.eq(1), receiver.o.ready.eq(1)]
                m.next = "IDLE"

    def _refuse(self, m, fault, detail=0):
        """Answer with an error."""
        answer = self.answer
        m.d.sync += [
            answer.kind.eq(Kind.ERROR), answer.length.eq(CODE_BYTES), answer.fault.eq(fault),
            answer.detail.eq(detail),
        ]
        m.next = "ANSWER"

    def _begin(self, m):
        """Refuse a request that cannot be carried out, or begin with it."""
        request = self.receiver.o.payload
        length = request.length
        with m.Switch(request.kind):
            for kind, unit in ((Kind.WRITE, PAIR), (Kind.READ, WORD)):
                with m.Case(kind):
                    m.next = "FETCH"
                    with m.If((length % unit != 0) | (length == 0)):
                        self._refuse(m, Fault.SIZE)
            with m.Case(Kind.PACKET_IN):
                m.next = "TAKE"
                with m.If(length <= CHUNK_HEADER):
                    self._refuse(m, Fault.SIZE)
                with m.Elif(~self.is_taken):
                    self._refuse(m, Fault.BUSY)
            with m.Case(Kind.PACKET_OUT):
                m.d.sync += self.place.eq(CHUNK_HEADER)
                m.next = "BEAT"
                with m.If(length != 0):
                    self._refuse(m, Fault.SIZE)
            with m.Default():
                self._refuse(m, Fault.KIND)

    def _access(self, m):
        """WRITE and READ: gather an access, carry it out, and store what was read."""
        request, master = self.receiver.o.payload, self.master
        value, bytes_left = Signal(32), Signal(range(WORD + 1))
        store = Signal.like(self.place)
        with m.State("FETCH"):
            m.next = "FETCHED"
        with m.State("FETCHED"):
            m.d.sync += self.place.eq(self.place + 1)
            m.next = "GATHER"
        with m.State("GATHER"):
            m.d.sync += self.gathered.eq(Cat(self.gathered[8:], self.receiver.byte))
            m.next = "FETCH"
            unit = Mux(master.write, PAIR - 1, WORD - 1)
            with m.If((self.place & unit) == 0):
                m.next = "START"
        with m.State("START"):
            m.d.comb += master.start.eq(1)
            m.next = "WAIT"
        with m.State("WAIT"):
            with m.If(master.done):
                m.d.sync += [value.eq(master.value), bytes_left.eq(WORD)]
                m.d.sync += self.index.eq(self.index + 1)
                with m.If(master.refused):
                    self._refuse(m, Fault.REFUSED, self.index)
                with m.Elif(~master.write):
                    m.next = "STORE"
                with m.Else():
                    m.next = "FETCH"
                    with m.If(self.place == request.length):
                        m.next = "ANSWER"
        with m.State("STORE"):
            m.d.comb += [store.eq(self.place - bytes_left)]
            self._write_payload(m, store, value[:8])
            m.d.sync += [value.eq(value >> 8), bytes_left.eq(bytes_left - 1)]
            with m.If(bytes_left == 1):
                m.next = "FETCH"
                with m.If(self.place == request.length):
                    m.d.sync += self.answer.length.eq(request.length)
                    m.next = "ANSWER"

    def _take_chunk(self, m):
        """PACKET_IN: the header, then byte by byte into beats."""
        request, stored = self.receiver.o.payload, self.incoming.w_stream
        size = self.streams.input_bytes
        beat, chunk = Signal(self.token_beat), Signal(8 * CHUNK_HEADER)
        count = Signal(range(size))
        moved, at_end = Signal.like(beat.data), Signal()
        m.d.comb += [
            *(
                moved.word_select(place, 8).eq(
                    Mux(count == place, self.receiver.byte, beat.data.word_select(place, 8))
                )
                for place in range(size)
            ),
            stored.payload.eq(Cat(moved, chunk[: self.streams.all_user_bits],
                                  chunk[32] & at_end, 0)),
        ]
        m.d.sync += at_end.eq(self.place + 1 == request.length)  # a cycle before PUT
        with m.State("TAKE"):
            m.next = "TAKEN"
        with m.State("TAKEN"):
            m.d.sync += self.place.eq(self.place + 1)
            m.next = "PUT"
        with m.State("PUT"):
            m.next = "TAKE"
            with m.If(self.place <= CHUNK_HEADER):
                m.d.sync += [chunk.eq(Cat(chunk[8:], self.receiver.byte)), count.eq(0),
                             beat.data.eq(0)]
            with m.Else():
                m.d.sync += [beat.data.eq(moved), count.eq(count + 1)]
                with m.If((count == size - 1) | at_end):
                    m.d.comb += stored.valid.eq(1)  # there is room: the buffer was empty
                    m.d.sync += [beat.data.eq(0), count.eq(0)]
                with m.If(at_end):
                    m.next = "ANSWER"

    def _give_chunk(self, m):
        """PACKET_OUT: the beats of one packet that are there, then the header before them."""
        stored = self.outgoing.r_stream
        size = self.streams.output_bytes
        beat, count = Signal(self.result_beat), Signal(range(size))
        room = self.place <= self.frame_bytes - size
        ended, header = Signal(), Signal(8 * CHUNK_HEADER)
        user = Cat(beat.user, C(0, 32 - len(beat.user)))
        flags = Mux(beat.last, Flag.LAST, 0) | Mux(beat.error, Flag.ERROR, 0)
        with m.State("BEAT"):
            with m.If(stored.valid & room & ~ended):
                m.d.comb += stored.ready.eq(1)
                m.d.sync += [beat.eq(stored.payload), count.eq(0)]
                m.next = "BYTES"
            with m.Else():
                m.d.sync += [ended.eq(0), header.eq(Cat(user, flags))]
                m.next = "ANSWER"
                with m.If(self.place != CHUNK_HEADER):
                    m.d.sync += [self.answer.length.eq(self.place), self.place.eq(0)]
                    m.next = "HEADER"
        with m.State("BYTES"):
            self._write_payload(m, self.place, beat.data[:8])
            m.d.sync += [
                beat.data.eq(beat.data >> 8), self.place.eq(self.place + 1), count.eq(count + 1),
            ]
            with m.If(count == size - 1):
                m.d.sync += ended.eq(beat.last)
                m.next = "BEAT"
        with m.State("HEADER"):
            self._write_payload(m, self.place, header[:8])
            m.d.sync += [header.eq(header >> 8), self.place.eq(self.place + 1)]
            with m.If(self.place == CHUNK_HEADER - 1):
                m.next = "ANSWER"

    def _write_payload(self, m, place, byte):
        m.d.comb += [
            self.writing.addr.eq(place), self.writing.data.eq(byte), self.writing.en.eq(1)
        ]
