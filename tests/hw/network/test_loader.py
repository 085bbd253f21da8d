# SPDX-License-Identifier: Apache-2.0
"""Parameter packets, good and bad, between packets of other things."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.network.loader import Gate, Loader
from ecoformer.sim.network.loads import BAD_LOADS, bad_load
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.packet import (
    HEADER_BYTES,
    LoadAnswer,
    answer_to,
    parameter_bytes,
    parameter_packet,
    spoils,
)
from tests.hw.bench import simulate, ticks
from tests.sim.network.designs import TINY

DESIGN = replace(TINY, loadable=True)
PACKET = parameter_packet(DESIGN, random_image(DESIGN, 5))
CHAIN = 29
"""Cycles in which a byte goes through all memories."""


def run(packets, *, idle=1, stall=0.0, wait=0):
    """What becomes of packets: answers, whether parameters are whole then, and what is written.

    ``idle`` is the cycle from ``hold`` on in which nothing else is in the network, and ``wait`` the
    cycles until an answer is taken. Returns a list of (answer, whole, bytes, cycles).
    """
    dut, rng, found = Loader(DESIGN), random.Random(1), []
    written, cycles = [], [0]

    async def source(ctx):
        for packet in packets:
            for place, byte in enumerate(packet):
                while stall and rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"data": byte, "last": place == len(packet) - 1})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                if place == 0:
                    cycles[0] = 0
                ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        for _ in packets:
            await ctx.tick().until(dut.o.valid)
            took = cycles[0]
            await ticks(ctx, wait)
            assert ctx.get(dut.o.valid), "an answer stays"
            answer = ctx.get(dut.o.payload.data)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)
            found.append((LoadAnswer(answer), ctx.get(dut.whole), bytes(written), took))
            written.clear()

    async def memories(ctx):
        """All parameters, then what is behind them comes out."""
        line, left, held, holding = [(0, 0)] * CHAIN, 0, 0, False
        async for _, _, start, valid, data, hold, ready in ctx.tick().sample(
            dut.load.start, dut.load.valid, dut.load.data, dut.hold, dut.i.ready
        ):
            cycles[0] += 1
            held = held + 1 if hold else 0
            assert hold or not ready, "bytes are taken only while nothing may enter"
            ctx.set(dut.idle, held >= idle)
            if start:
                left, holding = parameter_bytes(DESIGN), True
            passes = valid and not left
            if valid and left:
                assert holding
                written.append(data)
                left -= 1
            line = [(start, passes), *line[:-1]]
            ctx.set(dut.loaded.start, line[-1][0])
            ctx.set(dut.loaded.valid, line[-1][1])

    simulate(dut, source, sink, background=[memories], cycles=60_000)
    return found


@pytest.mark.parametrize("stall, idle, wait", [(0.0, 1, 0), (0.4, 30, 7)])
def test_a_packet_is_answered_and_its_parameters_are_passed_on(stall, idle, wait):
    parameters = PACKET[HEADER_BYTES:-4]
    for answer, whole, written, took in run([PACKET] * 2, stall=stall, idle=idle, wait=wait):
        assert (answer, whole, written) == (LoadAnswer.LOADED, 1, parameters)
        if not stall:
            # The marker is the fourth last byte, and comes out of the chain later.
            assert took == len(PACKET) - 4 + CHAIN + 2


def test_bad_packets_are_answered_in_turn():
    rng, whole = np.random.default_rng(2), 1
    packets = [PACKET]
    for kind in (*BAD_LOADS, *BAD_LOADS[:3]):
        packets.append(bad_load(PACKET, kind, rng))
    packets += [PACKET, packets[1], PACKET]
    for packet, (answer, now, written, _) in zip(packets, run(packets), strict=True):
        wanted = answer_to(DESIGN, packet)
        assert answer == wanted
        if spoils(DESIGN, packet, len(packet)):
            whole = int(wanted == LoadAnswer.LOADED)
            assert written == packet[HEADER_BYTES:][: parameter_bytes(DESIGN)]
        else:
            assert not written
        assert now == whole


def test_what_is_left_of_a_packet_does_not_speak_for_the_next():
    """The checksum of one that is too long is in the memories when the next one begins."""
    late = CHAIN + 2
    _, (answer, whole, _, took) = run([PACKET + b"x", PACKET])
    assert (answer, whole, took) == (LoadAnswer.LOADED, 1, len(PACKET) - 4 + late)


def test_every_byte_of_the_header_counts():
    packets = []
    for place in range(HEADER_BYTES):
        packets.append(bytearray(PACKET[: HEADER_BYTES + 3]))
        packets[-1][place] ^= 1 << place
    for answer, whole, written, _ in run([*map(bytes, packets)]):
        assert (answer, whole, written) == (LoadAnswer.OTHER_DESIGN, 1, b"")


def test_a_gate_stops_between_packets_and_waits_for_answers():
    gate, seen = Gate(3), []

    async def bench(ctx):
        async def step(**values):
            for name, value in values.items():
                ctx.set(getattr(gate, name), value)
            seen.append((ctx.get(gate.open), ctx.get(gate.idle)))
            await ctx.tick()

        await step(taken=1, last=0)  # a packet of two beats begins
        await step(taken=0, hold=1)  # and may end
        await step(taken=1, last=1)
        await step(taken=0)
        await step(answered=1)
        await step(answered=0)
        await step(hold=0)
        await step(taken=1, last=1, hold=0)
        await step(taken=0, hold=1)
        assert seen == [
            (1, 0), (1, 0), (1, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 0), (0, 0),
        ]

    simulate(gate, bench)
