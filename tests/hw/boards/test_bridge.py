# SPDX-License-Identifier: Apache-2.0
"""The host link byte by byte: every kind of request, every refusal, and repetitions."""

import random

import pytest

from ecoformer.hw.boards.bridge import RESET_CYCLES, Bridge
from ecoformer.hw.lib.axi_lite import OKAY, SLVERR
from ecoformer.spec.config import Config
from ecoformer.spec.frames import (
    CHUNK_HEADER,
    Chunk,
    Fault,
    Flag,
    Frame,
    FrameReader,
    Kind,
    LinkRegister,
    encode,
)
from tests.hw.bench import idle, simulate, ticks, watch

FRAME_BYTES, CLOCK_HZ, BAUD = 64, 80_000_000, 1_000_000
CONFIGS = {
    "wide": Config(bus_bytes=8, tuser_width=8),
    "odd": Config(
        head_dim=5, value_dim=3, code_bits=6, anchors=7, max_tokens=4, parameter_sets=2,
        cycles_per_token=8, bus_bytes=3, tuser_width=1,
    ),
    "narrow, NEXT_SET": Config(
        head_dim=5, value_dim=3, code_bits=6, anchors=7, max_tokens=4, parameter_sets=2,
        cycles_per_token=16, bus_bytes=1, tuser_width=0,
    ),
}
READ_ONLY, ROUNDS = 0x08, 16


class Host:
    """The bridge, a host on its link, and at its other end registers that remember."""

    def __init__(self, config, play, *, seed=0, stall=0.0):
        self.config, self.stall, self.rng = config, stall, random.Random(seed)
        self.bridge = Bridge(
            config.host_streams, clock_hz=CLOCK_HZ, baud=BAUD, frame_bytes=FRAME_BYTES
        )
        self.writes, self.memory, self.reader, self.frames = [], {}, FrameReader(), []
        self.beats, self.taking, resets = [], True, []

        async def testbench(ctx):
            self.ctx = ctx
            await play(self)

        simulate(
            self.bridge, testbench, cycles=400_000,
            background=[self._registers, self._listen, self._tokens,
                        watch(resets, self.bridge.reset)],
        )
        self.resets = len(resets)
        assert not self.reader.faults

    async def send(self, raw):
        for byte in raw:
            await idle(self.ctx, self.rng, self.stall)
            self.ctx.set(self.bridge.i.payload, byte)
            self.ctx.set(self.bridge.i.valid, 1)
            await self.ctx.tick().until(self.bridge.i.ready)
            self.ctx.set(self.bridge.i.valid, 0)

    async def answers(self, count=1):
        """The next frames that come."""
        while len(self.frames) < count:
            await self.ctx.tick()
        found, self.frames = self.frames[:count], self.frames[count:]
        return found if count > 1 else found[0]

    async def ask(self, kind, payload=b"", tag=0):
        await self.send(encode(Frame(kind, tag, payload)))
        return await self.answers()

    async def give(self, beats):
        """Results: (data, last, user, error) of every beat."""
        o = self.bridge.results
        for data, last, user, error in beats:
            self.ctx.set(o.payload, {"data": data, "last": last, "user": user, "error": error})
            self.ctx.set(o.valid, 1)
            await self.ctx.tick().until(o.ready)
            self.ctx.set(o.valid, 0)

    async def _listen(self, ctx):
        o = self.bridge.o
        while True:
            ctx.set(o.ready, self.rng.random() >= self.stall)
            _, _, taken, byte = await ctx.tick().sample(o.valid & o.ready, o.payload)
            if taken:
                self.frames += self.reader.feed(bytes((byte,)))

    async def _tokens(self, ctx):
        o = self.bridge.tokens
        while True:
            ctx.set(o.ready, self.taking and self.rng.random() >= self.stall)
            _, _, taken, beat = await ctx.tick().sample(o.valid & o.ready, o.payload)
            if taken:
                self.beats.append((beat.data, beat.last, beat.user))

    async def _registers(self, ctx):
        bus = self.bridge.registers
        while True:
            await ctx.tick()
            for valid in (bus.bvalid, bus.rvalid):
                ctx.set(valid, 0)
            if ctx.get(bus.awvalid):
                assert ctx.get(bus.wvalid) and ctx.get(bus.wstrb) == 15
                address, data = ctx.get(bus.awaddr), ctx.get(bus.wdata)
                await self._accept(ctx, bus.awready)
                await self._accept(ctx, bus.wready)
                refused = address == READ_ONLY
                if not refused:
                    self.writes.append((address, data))
                    self.memory[address] = data
                ctx.set(bus.bresp, SLVERR if refused else OKAY)
                ctx.set(bus.bvalid, 1)
            elif ctx.get(bus.arvalid):
                address = ctx.get(bus.araddr)
                await self._accept(ctx, bus.arready)
                ctx.set(bus.rresp, OKAY if address in self.memory else SLVERR)
                ctx.set(bus.rdata, self.memory.get(address, 0xBAD))
                ctx.set(bus.rvalid, 1)

    async def _accept(self, ctx, ready):
        await ticks(ctx, self.rng.randrange(3))
        ctx.set(ready, 1)
        await ctx.tick()
        ctx.set(ready, 0)


def words(*numbers):
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def error(fault, detail=0, tag=0):
    return Frame(Kind.ERROR, tag, fault.to_bytes(2, "little") + detail.to_bytes(2, "little"))


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
def test_registers_are_written_and_read(stall):
    async def play(host):
        data = [0x7E7D7E7D, 0, 0xFFFFFFFF, 0x12345678]
        writes = words(*(w for i, d in enumerate(data) for w in (4 * i, d)))
        assert await host.ask(Kind.WRITE, writes.replace(words(8), words(0x20)), 1) == Frame(1, 1)
        got = await host.ask(Kind.READ, words(0, 4, 12), 2)
        assert got == Frame(Kind.READ, 2, words(data[0], data[1], data[3]))
        assert host.writes == [(0, data[0]), (4, data[1]), (0x20, data[2]), (12, data[3])]

    Host(CONFIGS["wide"], play, stall=stall)


def test_the_boards_own_registers():
    async def play(host):
        own = [LinkRegister.FRAME_BYTES, LinkRegister.CLOCK_HZ, LinkRegister.BAUD]
        assert await host.ask(Kind.READ, words(*own)) == Frame(
            2, 0, words(FRAME_BYTES, CLOCK_HZ, BAUD)
        )
        await host.send(b"?")
        assert await host.answers() == error(Fault.GARBAGE, 1)
        counts = words(LinkRegister.GOOD, LinkRegister.BAD)
        assert await host.ask(Kind.READ, counts, 1) == Frame(2, 1, words(1, 1))
        refused = await host.ask(Kind.WRITE, words(LinkRegister.BAUD, 1), 2)
        assert refused == error(Fault.REFUSED, 0, 2)
        assert await host.ask(Kind.READ, words(0x8888), 3) == error(Fault.REFUSED, 0, 3)
        # beyond the engine's addresses, which must not be taken modulo their number
        host.memory[0] = 7
        assert await host.ask(Kind.READ, words(0x100), 4) == error(Fault.REFUSED, 0, 4)

    assert Host(CONFIGS["wide"], play).resets == 0


def test_a_refused_access_ends_its_request():
    async def play(host):
        assert await host.ask(
            Kind.WRITE, words(4, 1, READ_ONLY, 2, 12, 3), 1
        ) == error(Fault.REFUSED, 1, 1)
        assert host.writes == [(4, 1)]
        assert await host.ask(Kind.READ, words(4, 4, 0x44, 4), 2) == error(Fault.REFUSED, 2, 2)

    Host(CONFIGS["wide"], play)


@pytest.mark.parametrize(
    "kind, payload",
    [
        (Kind.WRITE, b""), (Kind.WRITE, bytes(12)), (Kind.WRITE, bytes(9)), (Kind.READ, b""),
        (Kind.READ, bytes(6)), (Kind.PACKET_IN, bytes(CHUNK_HEADER)), (Kind.PACKET_IN, b""),
        (Kind.PACKET_OUT, b"x"),
    ],
)
def test_a_payload_that_does_not_suit_its_kind(kind, payload):
    async def play(host):
        assert await host.ask(kind, payload, 9) == error(Fault.SIZE, 0, 9)
        for tag, other in enumerate((0, Kind.ERROR, 77)):
            assert await host.ask(other, payload, tag) == error(Fault.KIND, 0, tag)

    assert not Host(CONFIGS["wide"], play).writes


def test_a_repeated_request_is_answered_again_and_carried_out_once():
    async def play(host):
        write = words(4, 1, 4, 2)
        for _ in range(3):
            assert await host.ask(Kind.WRITE, write, 5) == Frame(Kind.WRITE, 5)
        assert len(host.writes) == 2
        assert await host.ask(Kind.WRITE, write, 6) == Frame(Kind.WRITE, 6)
        assert len(host.writes) == 4, "another tag is another request"
        assert await host.ask(Kind.WRITE, words(4, 3), 6) == Frame(Kind.WRITE, 6)
        assert len(host.writes) == 5, "other content is another request, whatever its tag"
        read = await host.ask(Kind.READ, words(4), 7)
        host.memory[4] = 99
        await host.send(b"!")  # a report between must not cost the answer
        assert (await host.answers()).kind == Kind.ERROR
        assert await host.ask(Kind.READ, words(4), 7) == read == Frame(Kind.READ, 7, words(3))
        assert await host.ask(Kind.READ, words(4), 8) == Frame(Kind.READ, 8, words(99))

    Host(CONFIGS["wide"], play)


def packet(config, rng, beats):
    return [rng.randrange(1 << 8 * config.bus_bytes) for _ in range(beats)]


def as_bytes(config, beats):
    return b"".join(beat.to_bytes(config.bus_bytes, "little") for beat in beats)


@pytest.mark.parametrize(
    "name, stall", [("wide", 0.5), ("odd", 0.0), ("odd", 0.5), ("narrow, NEXT_SET", 0.0)]
)
def test_packets_go_in_by_chunks(name, stall):
    config, rng = CONFIGS[name], random.Random(3)
    most = (FRAME_BYTES - CHUNK_HEADER) // config.bus_bytes
    user = (1 << config.tuser_width) - 1
    beats = packet(config, rng, 2 * most + 1)

    async def play(host):
        for tag, start in enumerate(range(0, len(beats), most)):
            some = beats[start : start + most]
            flags = Flag.LAST if start + most >= len(beats) else Flag(0)
            chunk = Chunk(user, flags, as_bytes(config, some)).payload()
            for _ in range(2):  # the second time it is not taken again
                assert await host.ask(Kind.PACKET_IN, chunk, tag) == Frame(Kind.PACKET_IN, tag)
        await ticks(host.ctx, 200)

    host = Host(config, play, stall=stall)
    lasts = [0] * (len(beats) - 1) + [1]
    assert host.beats == [(beat, last, user) for beat, last in zip(beats, lasts)]


def test_missing_bytes_of_a_chunk_are_zero():
    async def play(host):
        await host.ask(Kind.PACKET_IN, Chunk(1, Flag.LAST, b"\xff" * 4).payload())
        await ticks(host.ctx, 50)

    assert Host(CONFIGS["odd"], play).beats == [(0xFFFFFF, 0, 1), (0x0000FF, 1, 1)]


def test_a_busy_board_refuses_a_chunk_and_does_everything_else():
    config = CONFIGS["odd"]

    async def play(host):
        host.taking = False
        first, second = (Chunk(0, Flag.LAST, bytes((i,)) * 6).payload() for i in (1, 2))
        assert (await host.ask(Kind.PACKET_IN, first, 1)).kind == Kind.PACKET_IN
        assert await host.ask(Kind.PACKET_IN, second, 2) == error(Fault.BUSY, 0, 2)
        assert await host.ask(Kind.WRITE, words(0, 5), 3) == Frame(Kind.WRITE, 3)
        host.taking = True
        await ticks(host.ctx, 20)
        assert (await host.ask(Kind.PACKET_IN, second, 4)).kind == Kind.PACKET_IN
        await ticks(host.ctx, 20)

    assert [beat for beat, *_ in Host(config, play).beats] == [0x010101] * 2 + [0x020202] * 2


@pytest.mark.parametrize(
    "name, stall", [("wide", 0.0), ("odd", 0.0), ("odd", 0.5), ("narrow, NEXT_SET", 0.5)]
)
def test_results_come_out_by_chunks(name, stall):
    config, rng = CONFIGS[name], random.Random(4)
    most = (FRAME_BYTES - CHUNK_HEADER) // config.bus_bytes
    sent = [packet(config, rng, count) for count in (1, most, most + 1, 2)]
    users = [rng.randrange(1 << config.tuser_width) for _ in sent]
    errors = [1, 0, 0, 1]

    async def play(host):
        assert await host.ask(Kind.PACKET_OUT, b"", 200) == Frame(Kind.PACKET_OUT, 200)
        giving = [
            (beat, i == len(beats) - 1, user, error)
            for beats, user, error in zip(sent, users, errors)
            for i, beat in enumerate(beats)
        ]
        got, data, tag = [], b"", 0
        while len(got) < len(sent):
            # as many as there is room for, so that this bench need not be two
            room = host.ctx.get(host.bridge.results.ready)
            while giving and room:
                await host.give([giving.pop(0)])
                await host.ctx.tick()
                room = host.ctx.get(host.bridge.results.ready)
            tag += 1
            answer = await host.ask(Kind.PACKET_OUT, b"", tag % 256)
            again = await host.ask(Kind.PACKET_OUT, b"", tag % 256)
            assert answer == again and len(answer.payload) <= FRAME_BYTES
            if answer.payload:
                chunk = Chunk.of(answer.payload)
                data += chunk.data
                if chunk.flags & Flag.LAST:
                    got.append((chunk.user, bool(chunk.flags & Flag.ERROR), data))
                    data = b""
        assert got == [
            (user, bool(error), as_bytes(config, beats))
            for beats, user, error in zip(sent, users, errors)
        ]

    Host(config, play, stall=stall)


def test_reset_resets_the_engine_and_forgets_packets():
    config = CONFIGS["odd"]

    async def play(host):
        host.taking = False
        await host.ask(Kind.PACKET_IN, Chunk(0, Flag.LAST, bytes(6)).payload(), 1)
        await host.give([(5, 1, 0, 0)])
        assert await host.ask(Kind.WRITE, words(LinkRegister.RESET, 1), 2) == Frame(1, 2)
        await ticks(host.ctx, RESET_CYCLES)
        host.taking = True
        assert await host.ask(Kind.PACKET_OUT, b"", 3) == Frame(Kind.PACKET_OUT, 3)
        taken = await host.ask(Kind.PACKET_IN, Chunk(0, Flag.LAST, b"\1").payload(), 4)
        assert taken.kind == Kind.PACKET_IN
        await ticks(host.ctx, 20)

    host = Host(config, play)
    assert host.beats == [(1, 1, 0)] and host.resets == RESET_CYCLES


@pytest.mark.parametrize("seed", range(2))
def test_after_any_noise_the_next_request_is_answered(seed):
    """Ends in time, whatever comes; and every piece of noise is reported."""
    async def play(host):
        host.memory[4] = 0xABCD
        for tag in range(ROUNDS):
            raw = bytearray(encode(Frame(Kind.WRITE, tag, words(4, tag))))
            match host.rng.randrange(4):
                case 0:
                    raw[host.rng.randrange(len(raw))] ^= 1 << host.rng.randrange(8)
                case 1:
                    del raw[host.rng.randrange(1, len(raw)) :]
                case 2:
                    raw[:0] = host.rng.randbytes(9).replace(b"\x7e", b"")
                case 3:
                    del raw[0]
            await host.send(raw)
            await host.send(encode(Frame(Kind.READ, 200, words(4))))
            while (answer := await host.answers()).tag != 200 or answer.kind == Kind.ERROR:
                noticed.append(answer.kind == Kind.ERROR)
            assert answer.payload == words(host.memory[4])
            await host.ask(Kind.READ, words(4), 201)  # or the next one would be a repetition

    noticed = []
    host = Host(CONFIGS["wide"], play, seed=seed)
    assert sum(noticed) >= ROUNDS * 3 // 4, "most of it was reported"
    assert all(access[0] == 4 and access[1] < ROUNDS for access in host.writes)


def test_frame_bytes_must_hold_a_beat():
    rule = r"^frame_bytes must be a multiple of 4 in 16…32768, not "
    for size in (12, 17, 1 << 16):
        with pytest.raises(ValueError, match=rule + str(size)):
            Bridge(Config(bus_bytes=8).host_streams, clock_hz=1, baud=1, frame_bytes=size)
