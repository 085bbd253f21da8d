# SPDX-License-Identifier: Apache-2.0
"""The driver that docs/integration.md describes, against the contract and against an engine."""

from dataclasses import asdict

import numpy as np
import pytest
from amaranth.sim import Simulator

from ecoformer.golden.integer.attention import attend
from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.engine.top import Top
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config
from ecoformer.spec.programming import POLL, register_writes
from ecoformer.spec.registers import REGISTERS, errors_of
from ecoformer.spec.wire import pack_outputs, pack_packet, pack_sequence
from tests.docs import driver

SMALL = dict(head_dim=5, value_dim=3, code_bits=6, anchors=7, max_tokens=4, parameter_sets=2,
             cycles_per_token=4, bus_bytes=3, tuser_width=1)
SHAPES = {
    "paper": Config(parameter_sets=2),
    "small": Config(token_width=6, value_width=5, **SMALL),
    "wide rows": Config(head_dim=96, value_dim=2, code_bits=100, anchors=64, cycles_per_token=64,
                        parameter_sets=1),
    "serial": Config(cycles_per_token=1024, bus_bytes=1, parameter_sets=1),
    "pow2": Config(weights="pow2", **SMALL),
    "linear, ternary": Config(hash="linear", weights="ternary", **SMALL),
    "linear, int8": Config(hash="linear", output_width=9, **SMALL),
    "hadamard": Config(hash="hadamard", **SMALL),
    "hadamard, many bits": Config(hash="hadamard", **SMALL | {"code_bits": 29}),
    "hadamard, a long token": Config(hash="hadamard", **SMALL | {"head_dim": 9, "bus_bytes": 4}),
    "codes": Config(hash="codes", **SMALL),
    "softmax": Config(hash="none", dataflow="softmax", **SMALL),
    "separate queries": Config(queries="separate", **SMALL | {"bus_bytes": 5}),
    "separate queries, linear": Config(queries="separate", hash="linear", weights="pow2"),
    "separate queries, codes": Config(queries="separate", hash="codes", **SMALL),
    "separate queries, softmax": Config(
        queries="separate", hash="none", dataflow="softmax", **SMALL | {"bus_bytes": 5}
    ),
    "queries of their own": Config(queries="cross", **SMALL | {"bus_bytes": 5}),
    "queries of their own, codes": Config(queries="cross", hash="codes", **SMALL),
}


def described(config):
    return {name: getattr(value, "value", value) for name, value in asdict(config).items()}


def arrays(image, index):
    return {name: array[index].tolist() for name, array in image.arrays().items()}


@pytest.mark.parametrize("name", SHAPES)
def test_the_page_gives_every_byte_and_every_register_write(name):
    config = SHAPES[name]
    c, rng = described(config), np.random.default_rng(3)
    image = random_image(config, rng)
    for index, tokens, values, *asked in random_workload(config, rng, 4, lengths=3).sequences():
        for queries in asked:
            packed = pack_packet(config.wire.inlets[1], queries, np.zeros((len(queries), 0)))
            assert driver.pack_queries(c, queries.tolist()) == [
                int.from_bytes(bytes(beat), "little") for beat in packed
            ]
        beats = [int.from_bytes(bytes(beat), "little")
                 for beat in pack_sequence(config, tokens, values)]
        assert driver.pack(c, tokens.tolist(), values.tolist()) == beats
        outputs, _ = attend(config, image, index, tokens, values, *asked)
        beats = [int.from_bytes(bytes(beat), "little") for beat in pack_outputs(config, outputs)]
        assert driver.unpack(c, beats) == outputs.tolist()
    want = {}
    for write in register_writes(config, image):
        address, data = write >> 32 & 0xFF, write & 0xFFFFFFFF
        want.setdefault(address, []).append(data)
        assert not write & POLL or address == driver.PARAM_ADDRESS
    assert stored(want_pairs(config, image)) == stored(
        pair
        for index in range(image.sets)
        for pair in (*driver.parameter_writes(c, arrays(image, index)), (driver.COMMIT, index))
    )


def want_pairs(config, image):
    return ((write >> 32 & 0xFF, write & 0xFFFFFFFF) for write in register_writes(config, image))


def stored(writes):
    """What the parameter memories hold at every COMMIT."""
    memory, commits, address = {}, [], None
    for register, data in writes:
        if register == driver.PARAM_ADDRESS:
            address = data
        elif register == driver.PARAM_DATA:
            memory[address] = data
            address += 1
        else:
            commits.append((data, memory))
            memory = {}
    return commits


class Bench:
    """An engine in Amaranth's simulator, and the pins as a driver sees them."""

    def __init__(self, config, play):
        self.config, self.top = config, Top(config)
        self.answers, self.beats = [], []
        self.rng = np.random.default_rng(11)
        c = described(config)
        x, v = (
            [(1 << c[f"{what}_width"]) - 1] * c[f"{size}_dim"]
            for what, size in (("token", "head"), ("value", "value"))
        )
        self.used = driver.pack(c, [x], [v])  # bits of a token's beats that count

        async def testbench(ctx):
            self.ctx = ctx
            ctx.set(self.top.aresetn, 0)
            await self.tick()
            ctx.set(self.top.aresetn, 1)
            ctx.set(self.top.s_axil_bready, 1)
            ctx.set(self.top.s_axil_rready, 1)
            await play(self)

        simulator = Simulator(self.top)
        simulator.add_testbench(testbench)
        simulator.run()

    async def tick(self):
        top, ctx = self.top, self.ctx
        ctx.set(top.m_axis_tready, int(self.rng.integers(4)) > 0)
        if ctx.get(top.m_axis_tvalid & top.m_axis_tready):
            self.beats.append(ctx.get(top.m_axis_tdata))
            if ctx.get(top.m_axis_tlast):
                self.answers.append((ctx.get(top.m_axis_tuser), self.beats))
                self.beats = []
        for level in (1, 0):
            ctx.set(top.aclk, level)
            await ctx.delay(5e-9)

    async def write(self, address, data, strobes=15):
        top, ctx = self.top, self.ctx
        for name, value in (("awaddr", address), ("awvalid", 1), ("wdata", data), ("wvalid", 1),
                            ("wstrb", strobes)):
            ctx.set(getattr(top, f"s_axil_{name}"), value)
        while not ctx.get(top.s_axil_awready & top.s_axil_wready):
            await self.tick()
        await self.tick()
        ctx.set(top.s_axil_awvalid, 0)
        ctx.set(top.s_axil_wvalid, 0)
        assert ctx.get(top.s_axil_bvalid)
        return ctx.get(top.s_axil_bresp)

    async def read(self, address):
        top, ctx = self.top, self.ctx
        ctx.set(top.s_axil_araddr, address)
        ctx.set(top.s_axil_arvalid, 1)
        while not ctx.get(top.s_axil_arready):
            await self.tick()
        await self.tick()
        ctx.set(top.s_axil_arvalid, 0)
        cycles = 1
        while not ctx.get(top.s_axil_rvalid):
            await self.tick()
            cycles += 1
        assert 7 <= cycles <= 10
        return ctx.get(top.s_axil_rdata) if not ctx.get(top.s_axil_rresp) else None

    async def load(self, index, p):
        while not await self.read(driver.STATUS) & driver.SHADOW_FREE:
            pass
        for address, data in driver.parameter_writes(described(self.config), p):
            assert await self.write(address, data) == 0
        assert await self.write(driver.COMMIT, index) == 0

    async def send(self, beats, user, *, last=True):
        top, ctx = self.top, self.ctx
        for i, beat in enumerate(beats):
            noise = int(self.rng.integers(1 << 8 * self.config.bus_bytes))
            ctx.set(top.s_axis_tdata, beat ^ noise & ~self.used[i % len(self.used)])
            ctx.set(top.s_axis_tvalid, 1)
            ctx.set(top.s_axis_tuser, user if i == 0 else user ^ 1)
            ctx.set(top.s_axis_tlast, last and i == len(beats) - 1)
            while not ctx.get(top.s_axis_tready):
                await self.tick()
            await self.tick()
        ctx.set(top.s_axis_tvalid, 0)

    async def wait(self, packets):
        while len(self.answers) < packets:
            await self.tick()


def test_the_page_drives_an_engine():
    config = SHAPES["small"]
    c, rng = described(config), np.random.default_rng(5)
    image, other = random_image(config, rng), random_image(config, rng)
    sequences = list(random_workload(config, rng, 4, lengths=3).sequences())
    packets = [driver.pack(c, x.tolist(), v.tolist()) for _, x, v in sequences]
    each = len(packets[0]) // 3  # beats of a token

    def exact(answer, which, index, sequence):
        want, _ = attend(config, which, index, *sequence[1:])
        return answer == (index, pack(want))

    def pack(outputs):
        return [int.from_bytes(bytes(beat), "little") for beat in pack_outputs(config, outputs)]

    async def play(bench):
        assert await bench.read(driver.ID) == 0x45434F46
        assert await bench.read(0x08) == int(manifest(config)["fingerprint"][:8], 16)
        await bench.load(0, arrays(image, 0))
        await bench.send(packets[0], 1)  # nothing was committed to set 1
        await bench.load(1, arrays(image, 1))
        await bench.send(packets[0], 0)
        await bench.send(packets[1], 1)
        await bench.send(packets[1][:-1], 1)
        await bench.send(packets[0] + packets[1], 0)  # six tokens, of which four are allowed
        await bench.send(packets[2], 0)
        await bench.load(0, arrays(other, 0))  # while packets for set 0 are in flight
        await bench.send(packets[3], 0)
        await bench.wait(7)
        answers = bench.answers
        errors = [i for i, (user, _) in enumerate(answers) if user >> 1]
        assert errors == [0, 3, 4]
        assert all(answers[i][1] == [0] for i in errors)
        assert [user & 1 for user, _ in answers] == [1, 0, 1, 1, 0, 0, 0]
        for at, which, index, number in ((1, image, 0, 0), (2, image, 1, 1), (5, image, 0, 2),
                                         (6, other, 0, 3)):
            assert exact(answers[at], which, index, sequences[number])

        assert await bench.read(driver.ERRORS) & 7 == 0b111
        assert not bench.ctx.get(bench.top.irq)
        await bench.write(driver.IRQ_ENABLE, 0b001)
        assert bench.ctx.get(bench.top.irq)
        await bench.write(driver.ERRORS, 0b001)
        assert not bench.ctx.get(bench.top.irq)
        assert await bench.read(driver.ERRORS) & 7 == 0b110

        await bench.send(packets[0][: each + 1], 0, last=False)  # a transfer that stops
        await bench.write(driver.CONTROL, driver.SOFT_RESET)
        await bench.send([0], 0)  # the tail that never came
        await bench.send(packets[2], 1)
        await bench.wait(9)
        assert answers[7] == (0b10, [0])
        assert exact(answers[8], image, 1, sequences[2])
        counts = {e.name: await bench.read(REGISTERS[e.name].offset) for e in errors_of(config)}
        assert {**counts, "DENOMINATOR": 0} == {
            "MISALIGNED": 1, "TOO_LONG": 1, "UNKNOWN_SET": 1, "ABORTED": 1, "DENOMINATOR": 0,
        }
        assert await bench.read(REGISTERS["SEQUENCES"].offset) == 5

        assert await bench.write(driver.ID, 1) == 2
        assert await bench.write(driver.COMMIT, 2) == 2
        assert await bench.write(driver.CONTROL, 1, strobes=1) == 2
        assert await bench.read(driver.COMMIT) is None
        assert await bench.read(0xFC) is None

    Bench(config, play)
