# SPDX-License-Identifier: Apache-2.0
"""The same program over a DMA: a model of it by its data sheet, with a compiled engine behind."""

import numpy as np
import pytest

from ecoformer.driver.device import Device
from ecoformer.driver.dma import AxiDma, DmaTransport, MappedRegisters, PynqDma
from ecoformer.driver.errors import DeviceError, EngineError, LinkError
from ecoformer.driver.transport import Packet
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.rows import data_of, keep_bytes, row_bytes, to_rows
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS
from tests.driver.test_design import write

PHYSICAL = 0x1000_0000
MM2S, S2MM = 0x00, 0x30
CONTROL, STATUS, ADDRESS, LENGTH = 0x00, 0x04, 0x18, 0x28


class EngineRegisters:
    """Registers of a compiled engine, as a memory map shows them."""

    def __init__(self, engine):
        self.engine = engine

    def read(self, offset):
        response, data = self.engine.read(offset)
        assert response == 0
        return data

    def write(self, offset, value):
        assert self.engine.write(offset, value) == 0


class DmaRegisters:
    """AXI DMA in direct register mode (PG021): writing a length starts a channel."""

    def __init__(self, engine, memory, config):
        self.engine, self.memory, self.config = engine, memory, config
        self.values, self.resets = {}, 0

    def read(self, offset):
        return self.values.get(offset, 0)

    def write(self, offset, value):
        self.values[offset] = value
        if offset == MM2S + CONTROL and value & 1 << 2:
            self.resets += 1
            self.values[offset] = 0
        if offset in (MM2S + LENGTH, S2MM + LENGTH):
            assert self.values[offset - LENGTH + CONTROL] & 1, "not running"
            self.values[offset - LENGTH + STATUS] = 0
        if offset == MM2S + LENGTH:
            self._run(value)

    def _run(self, length):
        start = self.values[MM2S + ADDRESS] - PHYSICAL
        c, kept = self.config, keep_bytes(self.config)
        beats = self.memory[start : start + length].reshape(-1, c.bus_bytes)
        # What the driver has selected, not what it should have; the engine takes it from a queue.
        _, user = self.engine.read(REGISTERS["NEXT_SET"].offset)
        self.engine.begin(
            to_rows(c, beats, np.ones_like(beats)), np.array([len(beats) - 1]), np.array([user]),
            stall=0.3, seed=length, patience=10_000, tail=0, keep_bytes=kept,
            queue=None if c.next_set_depth else 0,
        )
        assert self.engine.advance(1_000_000) is State.DONE
        rows = self.engine.records()["beats"].reshape(-1, row_bytes(c))
        data = data_of(c, rows).ravel()
        assert len(data) <= self.values[S2MM + LENGTH]
        back = self.values[S2MM + ADDRESS] - PHYSICAL
        self.memory[back : back + len(data)] = data
        self.values[S2MM + LENGTH] = len(data)
        self.values[MM2S + STATUS] = self.values[S2MM + STATUS] = 1 << 1


class PynqChannel:
    """A channel of ``pynq.lib.dma``."""

    def __init__(self, registers, base, memory):
        self.registers, self.base, self.memory = registers, base, memory
        self.stopped = 0

    def transfer(self, array, start, count):
        self.array, self.count = array, count
        place = 0 if self.base == MM2S else 2048
        if self.base == MM2S:
            self.memory[:count] = array[start : start + count]
        self.registers.write(self.base + CONTROL, 1)
        self.registers.write(self.base + ADDRESS, PHYSICAL + place)
        self.registers.write(self.base + LENGTH, count)

    def wait(self):
        assert self.registers.read(self.base + STATUS) & 1 << 1
        if self.base == S2MM:
            self.array[: self.transferred] = self.memory[2048 : 2048 + self.transferred]

    @property
    def transferred(self):
        return self.registers.read(self.base + LENGTH)

    def stop(self):
        self.stopped += 1

    def start(self):
        pass


@pytest.fixture(params=["AxiDma", "PynqDma"])
def transport(request, untagged, builds):
    return over_dma(request.param, untagged.config, builds)


def over_dma(name, config, builds):
    """The transport over a DMA in front of a compiled engine of ``config``."""
    engine = CompiledEngine(build(emit(config), builds, simulator="compiled").folder)
    memory = np.zeros(4096, np.uint8)
    registers = DmaRegisters(engine, memory, config)
    if name == "AxiDma":
        dma = AxiDma(registers, memory, PHYSICAL)
    else:
        dma = PynqDma(None, lambda shape, dtype: np.zeros(shape, dtype))
        dma.dma = type("Dma", (), {
            "sendchannel": PynqChannel(registers, MM2S, memory),
            "recvchannel": PynqChannel(registers, S2MM, memory),
        })
    return DmaTransport(EngineRegisters(engine), dma)


def test_the_users_program_runs_unchanged(untagged, transport, program, rng):
    with Device(untagged.folder, transport) as device:
        for x, v, index, result in zip(*program(device, rng), strict=True):
            np.testing.assert_array_equal(result, untagged.expected(index, x, v))
        assert device.counters()["SEQUENCES"] == 6 and device.errors() == []


def test_errors_have_names(untagged, transport, rng):
    with Device(untagged.folder, transport) as device:
        device.load_set(1, device.design.parameters()[1])
        for length in (1, 4):  # one token is one beat of results, or several
            x, v = np.ones((2, length, 5), int), np.ones((2, length, 3), int)
            with pytest.raises(EngineError, match="^sequence 1: UNKNOWN_SET$"):
                device.attend(x, v, [1, 0])
            np.testing.assert_array_equal(
                device.attend(x, v, 1)[0], untagged.expected(1, x[0], v[0])
            )


def test_an_engine_with_tuser_is_refused(engine, rng):
    class Registers:
        def read(self, offset):
            return {0: 0x45434F46, 8: int(engine.config.fingerprint[:8], 16)}[offset]

        def write(self, offset, value):
            pass

    class Nothing:
        def reset(self):
            pass

    device = Device(engine.folder, DmaTransport(Registers(), Nothing()))
    with pytest.raises(DeviceError, match="^engine: has s_axis_tuser, which a DMA does not drive"):
        device.attend(np.ones((1, 1, 8), int), np.ones((1, 1, 8), int))


@pytest.mark.parametrize(
    "changes, fits",
    [({}, True), ({"bus_bytes": 3}, False), ({"bus_bytes": 3, "tkeep": False}, True),
     ({"value_dim": 4, "bus_bytes": 6}, False)],  # 12 bytes a token, but 8 a result
)
def test_null_bytes_are_refused_where_a_dma_can_neither_send_nor_take_them(
    changes, fits, tmp_path
):
    config = Config(**{"head_dim": 8, "value_dim": 4, "bus_bytes": 4, "tuser_width": 0,
                       "tkeep": True, **changes})

    class Registers:
        def write(self, offset, value):
            raise InterruptedError

    transport = DmaTransport(Registers(), None)
    transport.design = write(tmp_path, config)
    with pytest.raises(InterruptedError if fits else DeviceError) as caught:
        next(transport.exchange([Packet(0, b"", 0)]))
    assert fits or str(caught.value).startswith("engine: pads tokens or results with null bytes")


def test_a_dma_that_fails_is_reported():
    registers = DmaRegisters(None, None, None)
    registers._run = lambda length: registers.values.update({MM2S + STATUS: 1 << 6})
    dma = AxiDma(registers, np.zeros(64, np.uint8), PHYSICAL)
    with pytest.raises(LinkError, match="^DMA: stopped with status 0x00000040; reset it$"):
        dma.exchange(b"abc", 3)
    with pytest.raises(DeviceError, match="^DMA: 33 bytes do not fit half of its buffer of 64"):
        dma.exchange(bytes(33), 3)
    dma.reset()
    assert registers.resets == 1


def test_a_register_window_is_read_and_written_by_words(tmp_path):
    path = tmp_path / "memory"
    path.write_bytes(bytes(8192))
    registers = MappedRegisters(str(path), 4096)
    registers.write(8, 0xDEADBEEF)
    assert registers.read(8) == 0xDEADBEEF and registers.read(4) == 0
    assert path.read_bytes()[4104:4108] == bytes((0xEF, 0xBE, 0xAD, 0xDE))
    with pytest.raises(LinkError, match="nothing: cannot be mapped"):
        MappedRegisters(str(tmp_path / "nothing"))
