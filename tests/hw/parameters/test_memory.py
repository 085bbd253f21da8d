# SPDX-License-Identifier: Apache-2.0
import random
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring

from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.hw.parameters.slots import SlotTable
from ecoformer.hw.parameters.write_port import WriteDecoder
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap, Region
from tests.hw.bench import simulate

REGIONS = [
    Region(2, "projection", rows=5, lanes=7, lane_bits=8),
    Region(1, "bias", rows=1, lanes=1, lane_bits=16),
    Region(4, "scalars", rows=1, lanes=2, lane_bits=32),
    Region(0, "anchors", rows=8, lanes=4, lane_bits=8),
]


def row_writes(region, row, elements):
    packed = sum((e & (1 << region.lane_bits) - 1) << i * region.lane_bits
                 for i, e in enumerate(elements))
    for word in range(region.words):
        yield region.index << 28 | row << 12 | word, packed >> 32 * word & 0xFFFFFFFF


class DecodedMemory(wiring.Component):
    """A memory behind the decoder of an engine that has all of ``REGIONS``."""

    def __init__(self, region, slots):
        self.memory = ParameterMemory(region, Slots(slots))
        layout = SimpleNamespace(regions={region.name: region for region in REGIONS}, codes=5)
        self.decoder = WriteDecoder(layout, slots)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self.memory
        m.submodules.decoder = self.decoder
        wiring.connect(m, self.decoder.o, self.memory.write)
        return m


async def load(ctx, decoder, words, slot):
    ctx.set(decoder.slot, slot)
    for address, word in words:
        ctx.set(decoder.i.enable, 1)
        ctx.set(decoder.i.region, address >> 28)
        ctx.set(decoder.i.row, address >> 12 & 0xFFFF)
        ctx.set(decoder.i.word, address & 0xFFF)
        ctx.set(decoder.i.data, word)
        await ctx.tick()
    ctx.set(decoder.i.enable, 0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_memory_holds_what_was_written_and_nothing_else(region, seed):
    slots, rng = 3, random.Random(seed)
    pair, limit = DecodedMemory(region, slots), 1 << region.lane_bits - 1
    dut, decoder = pair.memory, pair.decoder
    held = {
        (slot, row): [rng.choice((-limit, limit - 1, rng.randint(-limit, limit - 1)))
                      for _ in range(region.lanes)]
        for slot in range(slots) for row in range(region.rows)
    }
    places = list(held)
    rng.shuffle(places)

    async def check(ctx):
        await ctx.tick().repeat(2)  # a word is written two cycles late
        for (slot, row), elements in held.items():
            ctx.set(dut.slot, slot)
            ctx.set(dut.row, row)
            await ctx.tick().repeat(dut.LATENCY)
            assert [ctx.get(dut.elements[i]) for i in range(region.lanes)] == elements

    async def bench(ctx):
        for slot, row in places:
            await load(ctx, decoder, row_writes(region, row, held[slot, row]), slot)
        await check(ctx)
        # Other regions, rows and words beyond the end: ignored.
        other = (region.index + 1) % 16
        for slot in range(slots):
            await load(ctx, decoder, [
                (other << 28, 0xDEADBEEF),
                (region.index << 28 | region.rows << 12, 0xDEADBEEF),
                (region.index << 28 | (region.rows + 16) << 12, 0xDEADBEEF),
                (region.index << 28 | region.words, 0xDEADBEEF),
            ], slot)
        await check(ctx)
        ctx.set(decoder.i.enable, 0)
        ctx.set(decoder.i.region, region.index)
        ctx.set(decoder.i.data, 0xDEADBEEF)
        await ctx.tick().repeat(3)
        await check(ctx)

    simulate(pair, bench)


class Model:
    """What the slot table promises."""

    def __init__(self, sets):
        self.sets, self.slots = sets, {}
        self.in_flight = []  # slots of the packets that began and did not end, None if unknown

    def check(self, slot_of, shadow, ready):
        assert len(set(self.slots.values())) == len(self.slots), "two sets in one slot"
        if ready:
            assert shadow not in self.slots.values(), "the shadow holds a committed set"
            assert shadow not in self.in_flight, "a slot in use may be written"
        for index, slot in self.slots.items():
            assert slot_of[index] == slot


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sets", [1, 2, 3, 8])
def test_a_slot_in_use_is_never_the_shadow(sets, seed):
    user_width = (sets - 1).bit_length() + 1  # some numbers name no set
    dut, model, rng = SlotTable(sets, user_width), Model(sets), random.Random(seed)
    seen = {"reload in flight": 0, "refused": 0, "ready again": 0}

    async def bench(ctx):
        blocked = flew = False
        for _ in range(600):
            user = rng.randrange(1 << user_width)
            begin = rng.random() < 0.2 and len(model.in_flight) < 6
            finish = bool(model.in_flight) and rng.random() < 0.2
            commit, wanted = rng.random() < 0.15, rng.choice((rng.randrange(sets), sets, 1 << 31))
            wanted = rng.randrange(sets) if rng.random() < 0.8 else wanted
            for port, value in (
                (dut.user, user), (dut.begin, begin), (dut.finish, finish),
                (dut.commit, commit), (dut.commit_set, wanted),
            ):
                ctx.set(port, value)
            ready, shadow = ctx.get(dut.ready), ctx.get(dut.shadow)
            assert ctx.get(dut.busy) == flew
            flew = bool(model.in_flight)
            assert ctx.get(dut.known) == (user in model.slots)
            slot = ctx.get(dut.slot)
            model.check({user: slot} | {i: s for i, s in model.slots.items() if i != user},
                        shadow, ready)
            if not model.in_flight:
                seen["ready again"] += blocked and ready
            blocked = not ready
            await ctx.tick()
            if begin:
                model.in_flight.append(slot if user in model.slots else None)
            if finish:
                model.in_flight.pop(0)
            if commit and ready and wanted < sets:
                seen["reload in flight"] += wanted in model.slots and bool(model.in_flight)
                model.slots[wanted] = shadow
            elif commit:
                seen["refused"] += 1
        # Once nothing is in flight, the shadow is free four cycles after the last COMMIT.
        ctx.set(dut.begin, 0)
        ctx.set(dut.commit, 0)
        while model.in_flight:
            ctx.set(dut.finish, 1)
            await ctx.tick()
            model.in_flight.pop(0)
        ctx.set(dut.finish, 0)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.ready) and not ctx.get(dut.busy)

    simulate(dut, bench)
    assert len(model.slots) == sets and all(seen.values()), seen


def test_nothing_is_known_before_its_commit():
    dut = SlotTable(3, 2)

    async def bench(ctx):
        for user in range(4):
            ctx.set(dut.user, user)
            assert not ctx.get(dut.known)
        ctx.set(dut.commit_set, 1)
        ctx.set(dut.commit, 1)
        await ctx.tick()
        ctx.set(dut.commit, 0)
        known = []
        for user in range(4):
            ctx.set(dut.user, user)
            known.append(ctx.get(dut.known))
        assert known == [0, 1, 0, 0]

    simulate(dut, bench)


def test_as_many_packets_as_it_is_made_for_keep_it_busy():
    dut = SlotTable(1, 1, packets=1 << 13)

    async def bench(ctx):
        ctx.set(dut.begin, 1)
        await ctx.tick().repeat(1 << 12)  # where a narrower count is back at 0
        ctx.set(dut.begin, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.busy)

    simulate(dut, bench)


def test_loading_new_sets_never_waits():
    dut = SlotTable(4, 2)

    async def bench(ctx):
        ctx.set(dut.begin, 1)  # a packet that never ends
        await ctx.tick()
        ctx.set(dut.begin, 0)
        shadows = []
        for index in range(4):
            assert ctx.get(dut.ready)
            shadows.append(ctx.get(dut.shadow))
            ctx.set(dut.commit_set, index)
            ctx.set(dut.commit, 1)
            await ctx.tick()
            ctx.set(dut.commit, 0)
        assert len(set(shadows)) == 4

    simulate(dut, bench)


def test_a_reload_waits_for_the_packets_before_it_alone():
    """One of two packets in flight began before the COMMIT; its end frees the shadow."""
    dut = SlotTable(2, 1)

    async def pulse(ctx, port):
        ctx.set(port, 1)
        await ctx.tick()
        ctx.set(port, 0)

    async def bench(ctx):
        await pulse(ctx, dut.commit)
        await pulse(ctx, dut.begin)
        old = ctx.get(dut.slot)
        await pulse(ctx, dut.commit)  # set 0 again
        assert not ctx.get(dut.ready)
        assert ctx.get(dut.shadow) == old != ctx.get(dut.slot)
        await pulse(ctx, dut.begin)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.ready)
        await pulse(ctx, dut.finish)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.ready) and ctx.get(dut.busy)

    simulate(dut, bench)


@pytest.mark.parametrize("config", [
    Config(head_dim=7, value_dim=3, code_bits=5, anchors=6, cycles_per_token=16),
    Config(head_dim=8, value_dim=8, hash="linear", queries="separate", cycles_per_token=4),
], ids=["rbf", "separate"])
def test_contents_are_what_a_host_would_have_written(config):
    images = [random_image(config, np.random.default_rng(seed), sets=3) for seed in (1, 2)]
    layout, slots = MemoryMap(config), Slots.holding(config, images, 2)
    for slot, image in enumerate(images):
        written = {}
        for address, word in layout.load_words(image, 2):
            place = address >> 28, address >> 12 & 0xFFFF
            written[place] = written.get(place, 0) | word << 32 * (address & 0xFFF)
        found = {
            (layout.regions[name].index, row): bits
            for name, of_slots in slots.contents.items() for row, bits in enumerate(of_slots[slot])
        }
        assert found == written
    assert slots.count == 1 + config.parameter_sets
    own = {name: rows for name, rows in slots.contents.items() if name.startswith("query_")}
    assert slots.side("query_").contents == {name[6:]: rows for name, rows in own.items()}


def test_memory_holds_its_lanes_of_the_first_slots():
    region = REGIONS[0]
    rows = [
        [[(3 * row + lane + 50 * slot) % 128 - 64 for lane in range(7)] for row in range(5)]
        for slot in range(2)
    ]
    packed = [[region.packed(row) for row in of_slot] for of_slot in rows]
    dut = ParameterMemory(region, Slots(3, {region.name: packed}), range(2, 7))

    async def bench(ctx):
        for slot, row in product(range(2), range(5)):
            ctx.set(dut.slot, slot)
            ctx.set(dut.row, row)
            await ctx.tick().repeat(dut.LATENCY)
            assert [*ctx.get(dut.elements)] == rows[slot][row][2:7]

    simulate(dut, bench)
