# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of an independent client: the bus drivers of cocotbext-axi, not this project's.

``ECOFORMER_JOB`` names a folder with ``config.toml``, ``parameters.safetensors`` and
``workload.npz``. The checks are in the bench; a failed one fails its test in ``results.xml``.
"""

import os
import random
import warnings
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from ecoformer.golden.integer.attention import attend
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import POLL, SHADOW_FREE, register_writes
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    REGISTERS,
    Error,
    errors_of,
    register_map,
    reset_values,
)
from ecoformer.spec.wire import keeps, pack_outputs, pack_sequence
from ecoformer.spec.workload import Workload

__all__ = ["Client"]

# cocotbext-axi uses names that cocotb 2 deprecates: setimmediatevalue, Edge, kill, Event.data.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi\.")

PERIOD_NS = 10


def pauses(rng, probability):
    """Endless random pauses."""
    while True:
        yield rng.random() < probability


class Client:
    """Clock, reset, a register master, and a source and a sink of packets.

    Parameters
    ----------
    dut : cocotb handle
    """

    def __init__(self, dut):
        folder = Path(os.environ["ECOFORMER_JOB"])
        self.dut = dut
        self.config = Config.load(folder / "config.toml")
        self.image = ParameterImage.load(folder / "parameters.safetensors", self.config)
        self.workload = Workload.load(folder / "workload.npz", self.config)
        self.rng = random.Random(1)
        dut.aresetn.value = 0
        Clock(dut.aclk, PERIOD_NS, unit="ns").start()
        reset = (dut.aclk, dut.aresetn, False)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *reset)

    async def start(self):
        """Release the reset."""
        await ClockCycles(self.dut.aclk, 5)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 3)

    def stall(self, probability):
        """Pause every channel of every port at random."""
        write, read = self.registers.write_if, self.registers.read_if
        for channel in (
            self.source, self.sink, write.aw_channel, write.w_channel, write.b_channel,
            read.ar_channel, read.r_channel,
        ):
            channel.set_pause_generator(pauses(self.rng, probability))

    async def write(self, name, value):
        """Write a register; returns the response."""
        at = REGISTERS[name].offset if isinstance(name, str) else name
        return (await self.registers.write(at, value.to_bytes(4, "little"))).resp

    async def read(self, name):
        """Value and response of a register."""
        at = REGISTERS[name].offset if isinstance(name, str) else name
        reply = await self.registers.read(at, 4)
        return int.from_bytes(reply.data, "little"), reply.resp

    async def program(self):
        """Load every set, the words of one as fast as the bus takes them."""
        waiting = []
        for word in register_writes(self.config, self.image):
            if word & POLL:
                await self._finish(waiting)
                while not (await self.read("STATUS"))[0] >> SHADOW_FREE & 1:
                    pass
            data = (word & 0xFFFFFFFF).to_bytes(4, "little")
            waiting.append(cocotb.start_soon(self.registers.write(word >> 32 & 0xFF, data)))
        await self._finish(waiting)

    async def _finish(self, waiting):
        for access in waiting:
            assert (await access).resp == AxiResp.OKAY
        waiting.clear()

    async def send(self, user, beats, kept=None):
        """Queue one packet; without ``tuser``, after selecting its set.

        ``kept`` says which bytes are data, if it is not as it should be.
        """
        if kept is None:
            kept = keeps(self.config, self.config.token_bytes, len(beats))
        frame = AxiStreamFrame(beats.tobytes(), tkeep=kept.ravel().astype(int).tolist())
        if self.config.tuser_width:
            frame.tuser = user
            await self.source.send(frame)
        elif depth := self.config.next_set_depth:
            while (await self.read("NEXT_SET_LEVEL"))[0] == depth:
                pass
            assert await self.write("NEXT_SET", user) == AxiResp.OKAY
            await self.source.send(frame)
        else:
            assert await self.write("NEXT_SET", user) == AxiResp.OKAY
            await self.source.send(frame)
            await self.source.wait()

    async def receive(self):
        """Beats of an answer, every value of ``tuser`` on them, and which bytes are data."""
        frame = await self.sink.recv(compact=False)
        shape = -1, self.config.bus_bytes
        data = np.frombuffer(bytes(frame.tdata), np.uint8).reshape(shape)
        kept = frame.tkeep or [1] * len(frame.tdata)  # without the pin every byte is data
        return data, {*frame.tuser}, np.array(kept, bool).reshape(shape)

    def expect(self, user, outputs):
        """What is received for a packet of set ``user``: an error, if ``outputs`` is None."""
        c, index = self.config, user if self.config.tuser_width else 0
        if outputs is None:
            beats = np.zeros((1, c.bus_bytes), dtype=np.uint8)
            return beats, {c.wire.m_tuser(index, True)}, np.ones((1, c.bus_bytes), bool)
        beats = pack_outputs(c, outputs)
        kept = keeps(c, c.wire.output_bytes, len(beats)) | (not c.tkeep)
        return beats, {c.wire.m_tuser(index, False)}, kept

    def packed(self, tokens, values):
        """Beats of a sequence without padding, as a DMA sends it, and which bytes are data."""
        c = self.config
        rows = pack_sequence(c, tokens, values).reshape(len(tokens), -1)[:, : c.token_bytes]
        beats = -(-rows.size // c.bus_bytes)
        memory = np.zeros(beats * c.bus_bytes, np.uint8)
        memory[: rows.size] = rows.ravel()
        shape = beats, c.bus_bytes
        return memory.reshape(shape), (np.arange(memory.size) < rows.size).reshape(shape)


def same(got, want):
    """Whether an answer is the expected one."""
    return all(np.array_equal(g, w) if isinstance(w, np.ndarray) else g == w
               for g, w in zip(got, want, strict=True))


async def started(dut):
    client = Client(dut)
    await client.start()
    return client


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.3])
async def packets_are_exact(dut, stall):
    """Good packets and bad ones in turn, and the counters they leave."""
    client = await started(dut)
    config, image = client.config, client.image
    client.stall(stall)
    await client.program()
    expected, packets, tokens = [], [], 0
    counts = {error.name: 0 for error in errors_of(config) if error is not Error.DENOMINATOR}
    for index, sequence, values in client.workload.sequences():
        beats = pack_sequence(config, sequence, values)
        outputs, _ = attend(config, image, index, sequence, values)
        packets.append((index, beats))
        expected.append(client.expect(index, outputs))
        tokens += len(outputs)
        if config.input_beats > 1:
            packets.append((index, beats[:-1]))
            expected.append(client.expect(index, None))
            counts["MISALIGNED"] += 1
        if config.tkeep and config.token_bytes % config.bus_bytes and len(sequence) > 1:
            packets.append((index, *client.packed(sequence, values)))
            expected.append(client.expect(index, None))
            counts["KEEP_MISMATCH"] += 1

    async def send():
        for packet in packets:
            await client.send(*packet)

    sending = cocotb.start_soon(send())
    for number, want in enumerate(expected):
        assert same(await client.receive(), want), f"packet {number}"
    await sending
    await ClockCycles(dut.aclk, 64)
    assert client.sink.empty(), "an unexpected answer"
    counts |= {"SEQUENCES": len(client.workload), "TOKENS": tokens}
    for name, count in counts.items():
        assert await client.read(name) == (count, AxiResp.OKAY), name
    assert (await client.read("STATUS"))[0] & 1 == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_stopped_transfer_is_aborted(dut):
    """The source stops in mid-packet; a soft reset answers it, and the next packet is exact."""
    client = await started(dut)
    config, image = client.config, client.image
    await client.program()
    index, tokens, values = max(client.workload.sequences(), key=lambda s: len(s[1]))
    beats = pack_sequence(config, tokens, values)
    for abort in (True, False):
        cocotb.start_soon(client.send(index, beats))
        if abort:
            while not client.dut.s_axis_tvalid.value:
                await ClockCycles(dut.aclk, 1)
            client.source.pause = True
            await ClockCycles(dut.aclk, 20)
            assert await client.write("CONTROL", 1) == AxiResp.OKAY
        got = await client.receive()
        if abort:
            assert same(got, client.expect(index, None))
            client.source.pause = False
        else:
            outputs, _ = attend(config, image, index, tokens, values)
            assert same(got, client.expect(index, outputs))
    assert await client.read("ABORTED") == (1, AxiResp.OKAY)
    flags, _ = await client.read("ERRORS")
    assert flags & ~(1 << Error.DENOMINATOR) == 1 << Error.ABORTED


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_address_answers(dut, stall):
    """Reset values; SLVERR for absent registers and for writes to read-only ones."""
    client = await started(dut)
    client.stall(stall)
    registers, reset = register_map(client.config), reset_values(client.config)
    by_offset = {register.offset: register for register in registers.values()}
    for address in range(0, 1 << ADDRESS_WIDTH, 4):
        register = by_offset.get(address)
        readable = register is not None and register.access.readable
        value, response = await client.read(address)
        assert response == (AxiResp.OKAY if readable else AxiResp.SLVERR), hex(address)
        assert value == (reset[register.name] if readable else 0), hex(address)
        if register is None or not register.access.writable:
            assert await client.write(address, 0xFFFFFFFF) == AxiResp.SLVERR, hex(address)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def bytes_are_written_one_by_one(dut, stall):
    """Byte strobes of every alignment."""
    client = await started(dut)
    client.stall(stall)
    register, held = REGISTERS["PARAM_ADDRESS"], 0
    for _ in range(40):
        first = client.rng.randrange(4)
        count = client.rng.randint(1, 4 - first)
        data = client.rng.randbytes(count)
        reply = await client.registers.write(register.offset + first, data)
        assert reply.resp == AxiResp.OKAY
        mask = (1 << 8 * count) - 1 << 8 * first
        held = held & ~mask | int.from_bytes(data, "little") << 8 * first
        assert await client.read(register.name) == (held, AxiResp.OKAY)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(late=["aw", "w", "b", "ar", "r", "none"])
async def many_accesses_at_once_keep_their_order(dut, late):
    """One channel slower than the others; with none, as fast as the slave can take."""
    client = await started(dut)
    at, count = REGISTERS["PARAM_ADDRESS"].offset, 32
    write, read = client.registers.write_if, client.registers.read_if
    channels = {
        "aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel, "ar": read.ar_channel,
        "r": read.r_channel,
    }
    if late != "none":
        channels[late].set_pause_generator(pauses(client.rng, 0.7))
    begin = get_sim_time("ns")
    tasks = []
    for i in range(1, count + 1):
        tasks.append(cocotb.start_soon(client.registers.write(at, i.to_bytes(4, "little"))))
        tasks.append(cocotb.start_soon(client.registers.read(at, 4)))
    replies = [await task for task in tasks]
    cycles = (get_sim_time("ns") - begin) / PERIOD_NS
    assert all(reply.resp == AxiResp.OKAY for reply in replies)
    seen = [int.from_bytes(reply.data, "little") for reply in replies[1::2]]
    assert seen == sorted(seen) and {*seen} <= {*range(count + 1)}, seen
    assert await client.read("PARAM_ADDRESS") == (count, AxiResp.OKAY)
    if late == "none":
        # A write in every cycle, a read in eight at worst: both at once take what the reads take.
        assert cycles <= 8 * count + 16, f"{count} writes and {count} reads took {cycles} cycles"
