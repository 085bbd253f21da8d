# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of the register port: answers, handshakes and side effects of every register.

``ECOFORMER_JOB`` names a folder with ``config.toml`` and ``parameters.safetensors``. The checks are
in the bench; a failed one fails its test in ``results.xml``.
"""

import os
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from ecoformer.sim.drivers import RegisterError, RegisterPort, StreamSource
from ecoformer.sim.tb_engine import program, reset, shadow_free
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import POLL, SHADOW_FREE, STATUS, register_writes
from ecoformer.spec.registers import REGISTERS, Access, Error, constants, register_map

__all__ = ["DELAYS"]

DELAYS = [(0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 3), (2, 0, 2), (0, 2, 1)]
"""Cycles before address, data and acceptance of the response, in every order that matters."""


def _job():
    folder = Path(os.environ["ECOFORMER_JOB"])
    config = Config.load(folder / "config.toml")
    return config, ParameterImage.load(folder / "parameters.safetensors", config)


async def _start(dut):
    port = RegisterPort(dut)
    await reset(dut, port)
    return port


async def _refused(access):
    try:
        await access
    except RegisterError:
        return True
    return False


@cocotb.test()
async def constants_tell_the_configuration(dut):
    """Every constant register, with every delay of the read channel."""
    config, _ = _job()
    port = await _start(dut)
    for delay in (0, 1, 4):
        for name, value in constants(config).items():
            got = await port.read(REGISTERS[name].offset, delay=delay)
            assert got == value, f"{name} reads {got:#x}, not {value:#x}"


@cocotb.test()
async def constants_and_counters_ignore_writes(dut):
    """What is read-only stays as it is and still answers."""
    config, _ = _job()
    port = await _start(dut)
    for register in register_map(config).values():
        if register.access in (Access.CONSTANT, Access.COUNTER, Access.STATUS):
            before = await port.read(register.offset)
            await _refused(port.write(register.offset, before ^ 0xFFFFFFFF))
            assert await port.read(register.offset) == before, register.name


@cocotb.test()
async def stored_registers_keep_what_is_written(dut):
    """Every order of address and data; every byte."""
    port = await _start(dut)
    flags = (1 << len(Error)) - 1
    for delays in DELAYS:
        for value in (0x12345678, 0xFFFFFFFF, 0):
            await port.write(REGISTERS["PARAM_ADDRESS"].offset, value, delays=delays)
            got = await port.read(REGISTERS["PARAM_ADDRESS"].offset)
            assert got == value, f"PARAM_ADDRESS reads {got:#x}, not {value:#x} ({delays})"
            await port.write(REGISTERS["IRQ_ENABLE"].offset, value, delays=delays)
            got = await port.read(REGISTERS["IRQ_ENABLE"].offset)
            assert got & flags == value & flags, f"IRQ_ENABLE reads {got:#x} ({delays})"


@cocotb.test()
async def the_word_of_the_address_counts_up(dut):
    """Accepted words count; the row and the region stay."""
    config, image = _job()
    port = await _start(dut)
    await shadow_free(port)
    first, second = list(register_writes(config, image))[:2]
    address = first & ~POLL & 0xFFFFFFFF
    await port.write(REGISTERS["PARAM_ADDRESS"].offset, address)
    await port.write(REGISTERS["PARAM_DATA"].offset, second & 0xFFFFFFFF)
    assert await port.read(REGISTERS["PARAM_ADDRESS"].offset) == address + 1


@cocotb.test()
async def commit_refuses_a_set_that_cannot_exist(dut):
    """SLVERR for the first number beyond, and for a large one."""
    config, _ = _job()
    port = await _start(dut)
    await shadow_free(port)
    for index in (config.parameter_sets, 0xFFFFFFFF):
        assert await _refused(port.write(REGISTERS["COMMIT"].offset, index)), index
    await shadow_free(port)


@cocotb.test()
async def a_busy_shadow_refuses_words_and_commit(dut):
    """After COMMIT, as long as a packet that began before it is in flight."""
    config, image = _job()
    port = await _start(dut)
    await program(port, config, image)
    dut.m_axis_tready.value = 1
    if not hasattr(dut, "s_axis_tuser"):
        await port.write(REGISTERS["NEXT_SET"].offset, 0)
    for name in ("PARAM_DATA", "COMMIT"):
        await _beat(dut, last=False)
        await port.write(REGISTERS["COMMIT"].offset, 0)
        assert not await port.read(STATUS) >> SHADOW_FREE & 1, "the packet is forgotten"
        refused = await _refused(port.write(REGISTERS[name].offset, 0))
        assert refused, f"{name} is accepted while the shadow is busy"
        await _beat(dut, last=True)
        await shadow_free(port)
        await port.write(REGISTERS[name].offset, 0)
        await shadow_free(port)


async def _beat(dut, last):
    """One beat of a packet of set 0."""
    dut.s_axis_tdata.value = 0
    dut.s_axis_tlast.value = last
    if hasattr(dut, "s_axis_tuser"):
        dut.s_axis_tuser.value = 0
    dut.s_axis_tvalid.value = 1
    await ReadOnly()
    while not dut.s_axis_tready.value:
        await RisingEdge(dut.aclk)
        await ReadOnly()
    await RisingEdge(dut.aclk)
    dut.s_axis_tvalid.value = 0


@cocotb.test()
async def reset_clears_what_was_stored(dut):
    """Also the sets: a packet for one of them is then UNKNOWN_SET, flagged, and raises irq."""
    config, image = _job()
    port = await _start(dut)
    await program(port, config, image)
    await port.write(REGISTERS["IRQ_ENABLE"].offset, 1 << Error.UNKNOWN_SET)
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    assert await port.read(REGISTERS["IRQ_ENABLE"].offset) == 0
    assert not dut.irq.value
    await port.write(REGISTERS["IRQ_ENABLE"].offset, 1 << Error.UNKNOWN_SET)
    dut.m_axis_tready.value = 1
    source = StreamSource(
        dut, [0] * config.input_beats, [config.input_beats - 1], [0], stall=0.0, rng=None
    )
    source.start()
    for cycle in range(1000):
        await ClockCycles(dut.aclk, 1)
        source.edge(cycle)
    assert source.packet == 1, "the packet is not taken"
    assert dut.irq.value, "irq stays low"
    assert await port.read(REGISTERS["UNKNOWN_SET"].offset) == 1
    assert await port.read(REGISTERS["ERRORS"].offset) == 1 << Error.UNKNOWN_SET
    await port.write(REGISTERS["ERRORS"].offset, 1 << Error.TOO_LONG)
    assert dut.irq.value, "another flag's bit clears UNKNOWN_SET"
    await port.write(REGISTERS["ERRORS"].offset, 1 << Error.UNKNOWN_SET)
    await ClockCycles(dut.aclk, 2)
    assert not dut.irq.value, "irq stays high"
    assert await port.read(REGISTERS["UNKNOWN_SET"].offset) == 1, "the counter was cleared"
