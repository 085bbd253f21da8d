# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Memories that a stream of bytes loads, one after another."""

import random

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.table import Table
from tests.hw.bench import simulate, ticks

SHAPES = {"first": (5, 8), "wide": (3, 27), "single": (1, 30), "bits": (8, 3)}
"""Rows, and bits of a row."""
NUMBER = 19
"""Bits of a number between them."""


class Kept(wiring.Component):
    """Memories, a number and two copies of a table; what they hold is on ports."""

    def __init__(self, loads=True):
        self.tables = [Table(range(16), 4, loads) for _ in range(2)]
        members = {
            name: Out(bits) for name, (_, bits) in SHAPES.items()
        } | {"number": Out(NUMBER), "table_0": Out(4), "table_1": Out(4)}
        super().__init__({**members, **load_ports(loads), "address": wiring.In(4)})

    def elaborate(self, platform):
        m = Module()
        chain = LoadChain(m, self)
        for place, (name, (rows, bits)) in enumerate(SHAPES.items()):
            read = chain.memory(name, bits, initial(rows, bits)).read_port()
            m.d.comb += [
                read.addr.eq(self.address), getattr(self, name).eq(read.data[:bits]),
            ]
            if place == 1:
                m.d.comb += self.number.eq(chain.number("number", NUMBER, [77]))
        for number, table in enumerate(self.tables):
            m.submodules[f"table_{number}"] = table
            m.d.comb += [
                table.index.eq(self.address), getattr(self, f"table_{number}").eq(table.value),
            ]
        chain.through(*self.tables, same=True)
        chain.end()
        return m


def initial(rows, bits):
    return [(7 * row + 3) % (1 << bits) for row in range(rows)]


def contents():
    """What everything holds before a load."""
    held = {name: initial(*shape) for name, shape in SHAPES.items()}
    tables = {f"table_{number}": [*range(16)] for number in range(2)}
    return held | {"number": [77]} | tables


def drawn(rng):
    """Other contents, and the bytes that load them, of which padding may say anything."""
    held, packet = {}, b""
    order = ["first", "wide", "number", "single", "bits", "table"]
    shapes = SHAPES | {"number": (1, NUMBER), "table": (16, 4)}
    for name in order:
        rows, bits = shapes[name]
        held[name] = [rng.randrange(1 << bits) for _ in range(rows)]
        for row in held[name]:
            size = -(-bits // 8)
            padding = rng.randrange(1 << 8 * size - bits) << bits
            packet += (row | padding).to_bytes(size, "little")
    table = held.pop("table")
    return held | {"table_0": table, "table_1": table}, packet


async def begin(ctx, dut):
    ctx.set(dut.load.start, 1)
    await ctx.tick()
    ctx.set(dut.load.start, 0)


async def feed(ctx, dut, packet, rng=None):
    for byte in packet:
        while rng and rng.random() < 0.4:
            await ctx.tick()
        ctx.set(dut.load.data, byte)
        ctx.set(dut.load.valid, 1)
        await ctx.tick()
        ctx.set(dut.load.valid, 0)
        ctx.set(dut.load.data, 0xAA)


async def holds(ctx, dut, want):
    """Check all rows of everything; a table's register is one cycle more."""
    await ticks(ctx, 12)
    for address in range(16):
        ctx.set(dut.address, address)
        await ticks(ctx, 3)
        for name, rows in want.items():
            if address < len(rows) and (len(rows) > 1 or address == 0):
                assert ctx.get(getattr(dut, name)) == rows[address], (name, address)


@pytest.mark.parametrize("gaps", [False, True])
def test_what_is_loaded_is_held(gaps):
    dut, rng = Kept(), random.Random(3)
    past = []

    async def bench(ctx):
        await holds(ctx, dut, contents())
        for _ in range(3):
            want, packet = drawn(rng)
            await begin(ctx, dut)
            await feed(ctx, dut, packet, rng if gaps else None)
            await holds(ctx, dut, want)
            assert not past
        # What no memory wants comes out of the last one, and changes none.
        await feed(ctx, dut, b"\x17\x2a")
        await holds(ctx, dut, want)
        assert past == [0x17, 0x2A]
        # A load that is broken off, and another.
        await begin(ctx, dut)
        await feed(ctx, dut, drawn(rng)[1][:13])
        want, packet = drawn(rng)
        await begin(ctx, dut)
        await feed(ctx, dut, packet)
        await holds(ctx, dut, want)

    async def listen(ctx):
        async for _, _, valid, byte in ctx.tick().sample(dut.loaded.valid, dut.loaded.data):
            if valid:
                past.append(byte)

    simulate(dut, bench, background=[listen])


def test_nothing_is_written_in_reset():
    """Registers may say anything before it."""
    reset = Signal()
    dut = Kept()
    m = Module()
    m.domains.sync = sync = ClockDomain()
    m.d.comb += sync.rst.eq(reset)
    m.submodules.dut = dut

    async def bench(ctx):
        want, packet = drawn(random.Random(4))
        await begin(ctx, dut)
        await feed(ctx, dut, packet)
        await holds(ctx, dut, want)
        await begin(ctx, dut)
        ctx.set(reset, 1)
        await feed(ctx, dut, b"\x55" * 3)
        ctx.set(reset, 0)
        await feed(ctx, dut, b"\x66" * 3)
        await holds(ctx, dut, want)

    simulate(m, bench)


def test_without_loads_there_are_no_ports():
    dut = Kept(loads=False)
    assert "load" not in dut.signature.members

    async def bench(ctx):
        await holds(ctx, dut, contents())

    simulate(dut, bench)
