# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import pytest
from amaranth import *

from ecoformer.hw.engine.engine import Engine
from ecoformer.hw.engine.register_file import RegisterFile, register_file
from ecoformer.spec.config import Config
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    REGISTERS,
    Access,
    Error,
    constants,
    errors_of,
    register_map,
)
from tests.hw.bench import simulate, ticks, watch

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=6, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4, tuser_width=0, mask="causal", contexts=3, tkeep=True,
)
"""An engine with every register but ENGINES, PAIR_MISMATCH and those of a queue."""
OKAY, SLVERR = 0, 2
STORED = {"IRQ_ENABLE", "NEXT_SET", "PARAM_ADDRESS"}
COUNTERS = [name for name, r in register_map(CONFIG).items() if r.access is Access.COUNTER]
ERRORS = errors_of(CONFIG)
EVENTS = ["TOKENS", "SEQUENCES", "BUSY", "STARVED", "BLOCKED"]


def registers():
    return RegisterFile(CONFIG, Engine(CONFIG).events.shape())


def stored(name, value):
    """What a STORED register reads after ``value`` was written."""
    return value & register_map(CONFIG)[name].mask


def offset(name):
    return REGISTERS[name].offset


async def write(ctx, bus, name, value, strobes=0xF):
    """Response of one write; ``name`` is a register or a byte address."""
    ctx.set(bus.awaddr, offset(name) if isinstance(name, str) else name)
    ctx.set(bus.wdata, value)
    ctx.set(bus.wstrb, strobes)
    ctx.set(bus.awvalid, 1)
    ctx.set(bus.wvalid, 1)
    ctx.set(bus.bready, 1)
    await ctx.tick().until(bus.awready & bus.wready)
    ctx.set(bus.awvalid, 0)
    ctx.set(bus.wvalid, 0)
    (response,) = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
    ctx.set(bus.bready, 0)
    return response


async def read(ctx, bus, name):
    """Data and response of one read."""
    ctx.set(bus.araddr, offset(name) if isinstance(name, str) else name)
    ctx.set(bus.arvalid, 1)
    ctx.set(bus.rready, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)
    data, response = await ctx.tick().sample(bus.rdata, bus.rresp).until(bus.rvalid)
    ctx.set(bus.rready, 0)
    return data, response


async def value(ctx, bus, name):
    data, response = await read(ctx, bus, name)
    assert response == OKAY, name
    return data


async def event(ctx, dut, name, cycles=1):
    """Raise an event strobe for some cycles: an ``Error`` or the name of a counter."""
    port = dut.events.errors[name] if isinstance(name, Error) else dut.events[name]
    ctx.set(port, 1)
    await ticks(ctx, cycles)
    ctx.set(port, 0)


def test_constants_and_reset_values():
    dut = registers()

    async def bench(ctx):
        for name, want in constants(CONFIG).items():
            assert await value(ctx, dut.bus, name) == want, name
        for name in [*STORED, "ERRORS", "STATUS", *COUNTERS]:
            assert await value(ctx, dut.bus, name) == 0, name

    simulate(dut, bench)


def test_every_address_answers_okay_or_slverr():
    dut = registers()
    present = register_map(CONFIG).values()
    readable = {r.offset for r in present if r.access is not Access.STROBE}
    writable = {
        r.offset for r in present
        if r.access in (Access.STORED, Access.FLAGS, Access.STROBE)
    }

    async def bench(ctx):
        ctx.set(dut.shadow_ready, 1)
        for address in range(0, 1 << ADDRESS_WIDTH, 4):
            data, response = await read(ctx, dut.bus, address)
            assert response == (OKAY if address in readable else SLVERR), hex(address)
            assert response == OKAY or data == 0
            response = await write(ctx, dut.bus, address, 0)
            assert response == (OKAY if address in writable else SLVERR), hex(address)
        for name, want in constants(CONFIG).items():
            assert await value(ctx, dut.bus, name) == want, "a refused write acted"

    simulate(dut, bench)


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("name", sorted(STORED))
def test_byte_strobes_of_stored_registers(name, seed):
    dut, rng = registers(), random.Random(seed)

    async def bench(ctx):
        held = 0
        for strobes in [*range(16), *(rng.randrange(16) for _ in range(16))]:
            data = rng.randrange(1 << 32)
            mask = sum(0xFF << 8 * i for i in range(4) if strobes >> i & 1)
            assert await write(ctx, dut.bus, name, data, strobes) == OKAY
            held = held & ~mask | data & mask
            assert await value(ctx, dut.bus, name) == stored(name, held), bin(strobes)

    simulate(dut, bench)


def test_status():
    dut = registers()

    async def bench(ctx):
        for busy in (0, 1):
            for ready in (0, 1):
                ctx.set(dut.busy, busy)
                ctx.set(dut.shadow_ready, ready)
                assert await value(ctx, dut.bus, "STATUS") == busy | ready << 1

    simulate(dut, bench)


def test_flags_stick_until_a_one_is_written():
    dut = registers()

    async def bench(ctx):
        for error in ERRORS:
            await event(ctx, dut, error)
        every = sum(1 << error for error in ERRORS)
        assert await value(ctx, dut.bus, "ERRORS") == every
        assert await write(ctx, dut.bus, "ERRORS", 0) == OKAY
        assert await value(ctx, dut.bus, "ERRORS") == every
        await write(ctx, dut.bus, "ERRORS", 1 << Error.TOO_LONG)
        assert await value(ctx, dut.bus, "ERRORS") == every ^ 1 << Error.TOO_LONG
        await write(ctx, dut.bus, "ERRORS", every, strobes=0b1110)
        assert await value(ctx, dut.bus, "ERRORS") == every ^ 1 << Error.TOO_LONG
        await write(ctx, dut.bus, "ERRORS", every, strobes=0b0001)
        assert await value(ctx, dut.bus, "ERRORS") == 0

    simulate(dut, bench)


def test_a_flag_raised_while_it_is_cleared_stays():
    dut = registers()

    async def bench(ctx):
        bus = dut.bus
        await event(ctx, dut, Error.MISALIGNED)
        ctx.set(bus.awaddr, offset("ERRORS"))
        ctx.set(bus.wdata, 0xFFFFFFFF)
        ctx.set(bus.wstrb, 0xF)
        ctx.set(bus.awvalid, 1)
        ctx.set(bus.wvalid, 1)
        ctx.set(bus.bready, 1)
        assert ctx.get(bus.awready & bus.wready)
        await event(ctx, dut, Error.MISALIGNED)  # in the one cycle in which the write acts
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await ctx.tick()
        assert await value(ctx, bus, "ERRORS") == 1 << Error.MISALIGNED

    simulate(dut, bench)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.name)
def test_irq_follows_enabled_flags(error):
    dut = registers()

    async def bench(ctx):
        others = 0xFFFFFFFF ^ 1 << error
        await write(ctx, dut.bus, "IRQ_ENABLE", others)
        await event(ctx, dut, error)
        assert not ctx.get(dut.irq)
        await write(ctx, dut.bus, "IRQ_ENABLE", 1 << error)
        assert ctx.get(dut.irq)
        await write(ctx, dut.bus, "ERRORS", 1 << error)
        assert not ctx.get(dut.irq)
        await event(ctx, dut, error)
        assert ctx.get(dut.irq)

    simulate(dut, bench)


def test_counters_count_their_own_event():
    dut = registers()
    sources = {**{error.name: error for error in ERRORS}, **{name: name for name in EVENTS}}
    assert sorted(sources) == sorted(COUNTERS)

    async def bench(ctx):
        for i, source in enumerate(sources.values()):
            await event(ctx, dut, source, cycles=3 + i)
            await ctx.tick()
        for i, name in enumerate(sources):
            assert await value(ctx, dut.bus, name) == 3 + i, name
            assert await write(ctx, dut.bus, name, 0) == SLVERR
            assert await value(ctx, dut.bus, name) == 3 + i, name

    simulate(dut, bench)


def test_parameter_words_go_to_the_shadow():
    dut, words = registers(), []

    async def bench(ctx):
        ctx.set(dut.shadow_ready, 1)
        await write(ctx, dut.bus, "PARAM_ADDRESS", 3 << 28 | 0xABCD << 12 | 0xFFE)
        for data in (0x11111111, 0x22222222, 0xFFFFFFFF):
            assert await write(ctx, dut.bus, "PARAM_DATA", data) == OKAY
        # The word wraps without a carry into the row.
        assert await value(ctx, dut.bus, "PARAM_ADDRESS") == 3 << 28 | 0xABCD << 12 | 1

    w = dut.write
    simulate(
        dut, bench, background=[watch(words, w.enable, w.region, w.row, w.word, w.data)]
    )
    assert [word[1:] for word in words] == [
        (3, 0xABCD, 0xFFE, 0x11111111),
        (3, 0xABCD, 0xFFF, 0x22222222),
        (3, 0xABCD, 0x000, 0xFFFFFFFF),
    ]


def test_strobes_that_are_refused_do_nothing():
    dut, words, commits, resets = registers(), [], [], []

    async def bench(ctx):
        for name in ("PARAM_DATA", "COMMIT"):
            ctx.set(dut.shadow_ready, 0)
            assert await write(ctx, dut.bus, name, 0) == SLVERR
            ctx.set(dut.shadow_ready, 1)
            for strobes in range(15):
                assert await write(ctx, dut.bus, name, 0, strobes) == SLVERR
        for strobes in range(15):
            assert await write(ctx, dut.bus, "CONTROL", 1, strobes) == SLVERR
        for missing in (3, 4, 1 << 31):
            assert await write(ctx, dut.bus, "COMMIT", missing) == SLVERR
        assert await value(ctx, dut.bus, "PARAM_ADDRESS") == 0
        assert not words and not commits and not resets
        for index in range(3):
            assert await write(ctx, dut.bus, "COMMIT", index) == OKAY

    simulate(
        dut, bench,
        background=[
            watch(words, dut.write.enable), watch(commits, dut.commit, dut.commit_set),
            watch(resets, dut.soft_reset),
        ],
    )
    assert not words and [index for _, index in commits] == [0, 1, 2]


@pytest.mark.parametrize("first, second", [("aw", "w"), ("w", "aw")])
def test_address_and_data_are_taken_in_either_order(first, second):
    """Also from a master that does not offer the second before the first is taken."""
    dut, commits = registers(), []
    bus = dut.bus

    async def bench(ctx):
        ctx.set(dut.shadow_ready, 1)
        ctx.set(bus.awaddr, offset("COMMIT"))
        ctx.set(bus.wdata, 2)
        ctx.set(bus.wstrb, 0xF)
        for channel in (first, second):
            valid, ready = (getattr(bus, channel + pin) for pin in ("valid", "ready"))
            ctx.set(valid, 1)
            assert ctx.get(ready)
            await ctx.tick()
            ctx.set(valid, 0)
            if channel == first:
                ctx.set(bus.awaddr, 0)  # what was taken is kept
                ctx.set(bus.wdata, 0 if channel == "w" else 2)
                for _ in range(4):
                    assert not ctx.get(ready) and not ctx.get(bus.bvalid)
                    await ctx.tick()
                ctx.set(bus.awaddr, offset("COMMIT") if channel == "w" else 0)
        assert ctx.get(bus.bvalid) and ctx.get(bus.bresp) == OKAY
        await ctx.tick()

    simulate(dut, bench, background=[watch(commits, dut.commit, dut.commit_set)])
    assert [index for _, index in commits] == [2]


def test_a_response_waits_for_the_master():
    """While it waits, it holds; one write more is taken, and nothing of it acts."""
    dut, commits = registers(), []
    bus = dut.bus

    async def bench(ctx):
        ctx.set(dut.shadow_ready, 1)
        ctx.set(bus.awaddr, offset("ID"))
        ctx.set(bus.awvalid, 1)
        ctx.set(bus.wvalid, 1)
        ctx.set(bus.araddr, offset("ID"))
        ctx.set(bus.arvalid, 1)
        await ctx.tick()
        ctx.set(bus.awaddr, offset("COMMIT"))
        ctx.set(bus.wstrb, 0xF)
        ctx.set(bus.araddr, offset("PARAMETER_SETS"))
        while not ctx.get(bus.rvalid):
            assert not ctx.get(bus.arready)
            await ctx.tick()
        ctx.set(bus.awaddr, offset("ID"))  # the third
        for _ in range(5):
            assert ctx.get(bus.bvalid) and ctx.get(bus.bresp) == SLVERR
            assert ctx.get(bus.rvalid) and ctx.get(bus.rresp) == OKAY
            assert ctx.get(bus.rdata) == constants(CONFIG)["ID"]
            assert not ctx.get(bus.awready | bus.wready | bus.arready)
            await ctx.tick()
        assert not commits
        ctx.set(bus.bready, 1)
        ctx.set(bus.rready, 1)
        assert not ctx.get(bus.awready | bus.wready | bus.arready), "from registers"
        await ctx.tick()
        assert ctx.get(bus.bvalid) and ctx.get(bus.bresp) == OKAY
        assert ctx.get(bus.awready & bus.wready & bus.arready)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        ctx.set(bus.arvalid, 0)
        assert ctx.get(bus.bvalid) and ctx.get(bus.bresp) == SLVERR
        await ctx.tick().until(bus.rvalid)
        assert ctx.get(bus.rdata) == 3
        await ctx.tick()
        assert not ctx.get(bus.bvalid | bus.rvalid)

    simulate(dut, bench, background=[watch(commits, dut.commit)])
    assert len(commits) == 1


def test_soft_reset_is_a_strobe_of_one_cycle():
    dut, resets = registers(), []

    async def bench(ctx):
        for data in (0, 1, 0xFFFFFFFE, 0xFFFFFFFF):
            assert await write(ctx, dut.bus, "CONTROL", data) == OKAY
            await ticks(ctx, 3)

    simulate(dut, bench, background=[watch(resets, dut.soft_reset)])
    assert len(resets) == 2


def test_sets_wait_in_order_and_are_refused_when_there_is_no_room():
    config = replace(CONFIG, next_set_depth=3)
    dut = register_file(config, Engine(config).events.shape())

    async def take(ctx):
        assert ctx.get(dut.selected)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        return ctx.get(dut.next_set)

    async def refused(ctx, count):
        flag = 1 << Error.SET_REFUSED
        assert await value(ctx, dut.bus, "SET_REFUSED") == count
        assert await value(ctx, dut.bus, "ERRORS") == (flag if count else 0)

    async def bench(ctx):
        assert not ctx.get(dut.selected)
        assert await read(ctx, dut.bus, "NEXT_SET") == (0, SLVERR)
        await refused(ctx, 0)
        for count, partial in enumerate((0b0111, 0b1110, 0), start=1):
            assert await write(ctx, dut.bus, "NEXT_SET", 1, partial) == SLVERR
            await refused(ctx, count)
        assert await write(ctx, dut.bus, "IRQ_ENABLE", 1 << Error.SET_REFUSED) == OKAY
        assert ctx.get(dut.irq)
        assert await write(ctx, dut.bus, "ERRORS", 1 << Error.SET_REFUSED) == OKAY
        assert not ctx.get(dut.irq)
        for round in range(4):  # more sets than there are places, in all
            numbers = [0x80000001 + round, 2, 0x7FFFFFFF]
            for level, number in enumerate(numbers):
                assert await value(ctx, dut.bus, "NEXT_SET_LEVEL") == level
                assert await write(ctx, dut.bus, "NEXT_SET", number) == OKAY
            assert await write(ctx, dut.bus, "NEXT_SET", 9) == SLVERR
            await refused(ctx, 4 + round)
            assert await value(ctx, dut.bus, "NEXT_SET_LEVEL") == 3
            for number in numbers[: 3 - round]:
                assert ctx.get(dut.selected) and ctx.get(dut.next_set) == number
                await take(ctx)
                await ticks(ctx, 2)
            assert ctx.get(dut.selected) == (round > 0)
            assert await write(ctx, dut.bus, "CONTROL", 1) == OKAY
            assert await value(ctx, dut.bus, "NEXT_SET_LEVEL") == round
            assert await write(ctx, dut.bus, "CONTROL", 2) == OKAY
            assert not ctx.get(dut.selected)
            assert await value(ctx, dut.bus, "NEXT_SET_LEVEL") == 0

    simulate(dut, bench)


def test_next_set_exists_only_without_tuser():
    dut = RegisterFile(
        replace(CONFIG, tuser_width=2), Engine(replace(CONFIG, tuser_width=2)).events.shape()
    )

    async def bench(ctx):
        assert await read(ctx, dut.bus, "NEXT_SET") == (0, SLVERR)
        assert await write(ctx, dut.bus, "NEXT_SET", 1) == SLVERR
        assert ctx.get(dut.next_set) == 0

    simulate(dut, bench)


def test_a_write_in_every_cycle_and_a_read_now_and_then_which_sees_it():
    dut, count, answers, taken = registers(), 40, [], []
    bus = dut.bus

    async def bench(ctx):
        ctx.set(bus.awaddr, offset("NEXT_SET"))
        ctx.set(bus.araddr, offset("NEXT_SET"))
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            ctx.set(getattr(bus, name), 1)
        ctx.set(bus.wstrb, 0xF)
        for i in range(count):
            ctx.set(bus.wdata, i + 100)
            assert ctx.get(bus.awready & bus.wready)
            if ctx.get(bus.arready):
                taken.append(i)
            await ctx.tick()
        for name in ("awvalid", "wvalid", "arvalid"):
            ctx.set(getattr(bus, name), 0)
        await ticks(ctx, 10)

    simulate(dut, bench, background=[watch(answers, bus.rvalid, bus.rdata, bus.rresp)])
    assert len(taken) == len(answers) > count // 9
    for i, (_, data, response) in zip(taken, answers):
        assert response == OKAY and i + 100 <= data <= i + 109


def test_a_word_is_taken_in_every_cycle():
    dut, words = registers(), []
    bus = dut.bus

    async def bench(ctx):
        ctx.set(dut.shadow_ready, 1)
        ctx.set(bus.awaddr, offset("PARAM_DATA"))
        ctx.set(bus.wstrb, 0xF)
        ctx.set(bus.bready, 1)
        ctx.set(bus.awvalid, 1)
        ctx.set(bus.wvalid, 1)
        for i in range(20):
            ctx.set(bus.wdata, i)
            await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await ctx.tick()

    simulate(dut, bench, background=[watch(words, dut.write.enable, dut.write.word)])
    assert [word for _, word in words] == list(range(20))
    assert words[-1][0] - words[0][0] == 19
