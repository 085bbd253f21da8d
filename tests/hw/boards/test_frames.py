# SPDX-License-Identifier: Apache-2.0
"""Frames in hardware are those of `spec.frames`, whatever is on the line."""

import random
from collections import Counter

import pytest

from ecoformer.hw.boards.frames import FrameReceiver, FrameSender
from ecoformer.spec.frames import ESCAPE, MAGIC, Fault, Frame, FrameReader, Kind, encode
from tests.hw.bench import get, idle, put, simulate, ticks, watch

CAPACITY = 24


def noise(rng):
    """Good frames, and everything that can happen to one."""
    frame = Frame(rng.randrange(1, 6), rng.randrange(256), payload(rng))
    raw = bytearray(encode(frame))
    match rng.randrange(7):
        case 0:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        case 1:
            del raw[rng.randrange(1, len(raw)) :]
        case 2:
            del raw[rng.randrange(len(raw))]
        case 3:
            raw += rng.randbytes(rng.randrange(5))
        case 4:
            raw = bytearray(rng.choices((MAGIC, ESCAPE, 0, 1, 2), k=9))
    return bytes(raw)


def payload(rng):
    return bytes(rng.choices((0, MAGIC, ESCAPE, 0x5E, 255), k=rng.randrange(CAPACITY + 1)))


def reference(data):
    """What must be found: frames and faults; too long ones end the matter at their length."""
    reader, faults, frames = FrameReader(), Counter(), []
    for part in (b"%c%s" % (MAGIC, p) for p in data.split(bytes((MAGIC,)))[1:]):
        frames += reader.feed(part)
        if reader._body is not None and len(reader._body) >= 4:
            if int.from_bytes(reader._body[2:4], "little") > CAPACITY:
                reader._body, reader._reported = None, True
                faults[Fault.LENGTH] += 1
    return frames, faults + Counter(reader.faults)


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("seed", range(4))
def test_the_receiver_finds_what_the_definition_finds(stall, seed):
    rng = random.Random(seed)
    sent = bytes((MAGIC,)) + b"".join(noise(rng) for _ in range(60)) + encode(Frame(1, 2, b"end"))
    dut, found, faults = FrameReceiver(CAPACITY), [], []
    frames, counted = reference(sent)
    assert len(frames) > 10 and len(counted) == 4

    async def source(ctx):
        for byte in sent:
            await idle(ctx, rng, stall)
            await put(ctx, dut.i, byte)
        await ticks(ctx, 20)

    async def sink(ctx):
        for _ in frames:
            await idle(ctx, rng, stall)
            await ctx.tick().until(dut.o.valid)
            request = ctx.get(dut.o.payload)
            data = []
            for place in range(request.length):
                ctx.set(dut.address, place)
                await ticks(ctx, 2)
                data.append(ctx.get(dut.byte))
            found.append(Frame(request.kind, request.tag, bytes(data)))
            await get(ctx, dut.o)

    simulate(dut, source, sink, background=[watch(faults, dut.faulty, dut.fault)])
    assert found == frames
    assert Counter(Fault(fault) for _, fault in faults) == counted


def test_a_good_frame_has_the_check_of_the_definition():
    raw = encode(Frame(Kind.READ, 9, b"abcd"))
    dut, seen = FrameReceiver(CAPACITY), []

    async def source(ctx):
        for byte in raw:
            await put(ctx, dut.i, byte)
        seen.append((await get(ctx, dut.o)).check)

    simulate(dut, source)
    assert seen == [int.from_bytes(raw[-4:], "little")] and MAGIC not in raw[1:]


@pytest.mark.parametrize("stall", [0.0, 0.7], ids=["full-rate", "stalls"])
def test_the_sender_sends_what_the_definition_encodes(stall):
    rng = random.Random(5)
    answers = [Frame(kind, rng.randrange(256), payload(rng)) for kind in (1, 2, 3, 4) * 4]
    answers.insert(3, Frame(Kind.ERROR, MAGIC, bytes((Fault.BUSY, 0, ESCAPE, MAGIC))))
    dut, sent, expected = FrameSender(CAPACITY), bytearray(), b"".join(map(encode, answers))
    memory = [b""]

    async def source(ctx):
        for frame in answers:
            memory[0] = frame.payload
            code = [int.from_bytes(frame.payload[i : i + 2], "little") for i in (0, 2)]
            await put(ctx, dut.i, {
                "kind": frame.kind, "tag": frame.tag, "length": len(frame.payload),
                "fault": code[0], "detail": code[1],
            })
            await ctx.tick().until(dut.i.ready)

    async def payload_memory(ctx):
        while True:
            _, _, address = await ctx.tick().sample(dut.address)
            data = memory[0] if memory[0][:1] != bytes((Fault.BUSY,)) else b""
            ctx.set(dut.byte, data[address] if address < len(data) else rng.randrange(256))

    async def sink(ctx):
        for _ in expected:
            await idle(ctx, rng, stall)
            sent.append(await get(ctx, dut.o))

    simulate(dut, source, sink, background=[payload_memory])
    assert sent == expected
