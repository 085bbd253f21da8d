# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of two masters around an engine: both stream at once, each checks its answers.

``ECOFORMER_JOB`` names a folder with ``config.toml`` and ``parameters.safetensors``.
"""

import os
import random
import warnings
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
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
from ecoformer.spec.registers import REGISTERS
from ecoformer.spec.wire import pack_outputs, pack_sequence
from tests.sim.fabric import MASTERS

# cocotbext-axi uses names that cocotb 2 deprecates: setimmediatevalue, Edge, kill, Event.data.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi\.")

PERIODS_PS = {"bus": 10_000, "engine": 7_300}
PACKETS = 16


class Master:
    """One of the masters: packets for sets that are its own, or in a context that is.

    Parameters
    ----------
    dut : cocotb handle
    number : int
    config : Config
    image : ParameterImage
    """

    def __init__(self, dut, number, config, image):
        self.number, self.config, self.image = number, config, image
        self.rng = np.random.default_rng(number)
        reset = dut.bus_clk, dut.bus_rst
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, f"m{number}_s_axis"), *reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m{number}_m_axis"), *reset)
        chance = random.Random(number)
        for channel in (self.source, self.sink):
            channel.set_pause_generator(chance.random() < 0.3 for _ in iter(int, 1))
        self.bad = 0

    async def run(self):
        """Send every packet; each answer must be exact, or the error that it deserves."""
        expected = [self._send() for _ in range(PACKETS)]
        for number, want in enumerate(expected):
            frame = await self.sink.recv(compact=False)
            got = bytes(frame.tdata), {*frame.tuser}
            assert got == want, f"master {self.number}, packet {number}: {got}, not {want}"

    def _send(self):
        c, rng = self.config, self.rng
        index = MASTERS * int(rng.integers(0, c.parameter_sets // MASTERS)) + self.number
        length = int(rng.integers(1, c.max_tokens + 1))
        tokens = rng.integers(-128, 128, (length, c.head_dim))
        values = rng.integers(-128, 128, (length, c.value_dim))
        beats = pack_sequence(c, tokens, values)
        outputs = attend(c, self.image, index, tokens, values)[0]
        answer, wire = pack_outputs(c, outputs).tobytes(), c.wire
        users = {wire.m_tuser(index, False)}
        if rng.random() < 0.3:  # tlast within a token
            self.bad += 1
            beats = beats[:-1]
            # A causal token is answered as it comes, the others once the packet is whole.
            good = (length - 1) * wire.output_beats * c.bus_bytes * wire.begin_bits
            answer = answer[:good] + bytes(c.bus_bytes)
            users = {wire.m_tuser(index, False)} if good else set()
            users.add(wire.m_tuser(index, True))
        frame = AxiStreamFrame(beats.tobytes())
        frame.tuser = index | wire.begin_bits << c.tuser_width  # every packet begins its context
        frame.tid = self.number
        self.source.send_nowait(frame)
        return answer, users


async def program(registers, config, image):
    for word in register_writes(config, image):
        while word & POLL and not (
            (await registers.read_dword(REGISTERS["STATUS"].offset)) >> SHADOW_FREE & 1
        ):
            pass
        data = (word & 0xFFFFFFFF).to_bytes(4, "little")
        assert (await registers.write(word >> 32 & 0xFF, data)).resp == AxiResp.OKAY


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_master_gets_its_own_answers(dut):
    folder = Path(os.environ["ECOFORMER_JOB"])
    config = Config.load(folder / "config.toml")
    image = ParameterImage.load(folder / "parameters.safetensors", config)
    for name, period in PERIODS_PS.items():
        getattr(dut, f"{name}_rst").value = 1
        Clock(getattr(dut, f"{name}_clk"), period, unit="ps").start()
    bus = AxiLiteBus.from_prefix(dut, "s_axil")
    registers = AxiLiteMaster(bus, dut.engine_clk, dut.engine_rst)
    masters = [Master(dut, number, config, image) for number in range(MASTERS)]
    await ClockCycles(dut.bus_clk, 8)
    for name in PERIODS_PS:
        getattr(dut, f"{name}_rst").value = 0
    await ClockCycles(dut.bus_clk, 8)
    await program(registers, config, image)
    running = [cocotb.start_soon(master.run()) for master in masters]
    for task in running:
        await task
    await ClockCycles(dut.bus_clk, 64)
    assert all(master.sink.empty() for master in masters), "an unexpected answer"
    bad = sum(master.bad for master in masters)
    counted = [
        await registers.read_dword(REGISTERS[name].offset) for name in ("MISALIGNED", "SEQUENCES")
    ]
    assert bad and counted == [bad, MASTERS * PACKETS - bad]
