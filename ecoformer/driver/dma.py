# SPDX-License-Identifier: Apache-2.0
"""An engine beside the processor: registers in memory, and a DMA for its streams.

On PYNQ: ``DmaTransport(overlay.ecoformer_engine_0.mmio, PynqDma(overlay.axi_dma_0,
pynq.allocate))``. On any Linux: `MappedRegisters` for both register windows, and `AxiDma` with a
buffer such as that of u-dma-buf.
"""

import mmap
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ecoformer.driver.design import Design
from ecoformer.driver.errors import DeviceError, LinkError
from ecoformer.driver.transport import Answer, Packet, Transport

__all__ = ["AxiDma", "Dma", "DmaTransport", "MappedRegisters", "PynqDma", "Registers"]

SECONDS = 10.0
"""Time within which a packet must be answered."""


class Registers(Protocol):
    """32-bit registers by byte offset, as ``pynq.MMIO`` has them."""

    def read(self, offset: int) -> int:
        """Value of a register."""

    def write(self, offset: int, value: int) -> None:
        """Write a register."""


class Dma(Protocol):
    """What sends one packet and receives its answer."""

    def exchange(self, data: bytes, most: int) -> bytes:
        """Send ``data`` as one packet; returns the packet that comes, of at most ``most`` bytes."""

    def reset(self) -> None:
        """End what is going on."""


class MappedRegisters:
    """A register window of ``/dev/mem``, of a UIO device or of any other file.

    Parameters
    ----------
    path : str
    base : int
        Byte offset in it, a multiple of the page size: the physical address for ``/dev/mem``.
    size : int
        Bytes.
    """

    def __init__(self, path: str, base: int = 0, size: int = 4096):
        try:
            handle = os.open(path, os.O_RDWR | os.O_SYNC)
            try:
                self._memory = mmap.mmap(handle, size, offset=base)
            finally:
                os.close(handle)
        except (OSError, ValueError) as error:
            raise LinkError(
                f"{path}: cannot be mapped ({error}); check address and rights"
            ) from error
        self._words = np.frombuffer(self._memory, np.uint32)  # one access a word, never by bytes

    def read(self, offset: int) -> int:
        """Value of a register."""
        return int(self._words[offset // 4])

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self._words[offset // 4] = value


class AxiDma:
    """AMD's AXI DMA in direct register mode (PG021), with one buffer for both ways.

    Parameters
    ----------
    registers : Registers
        Of the DMA.
    buffer : uint8 array
        Memory that the DMA reaches and that is not cached, such as ``/dev/udmabuf0``; its first
        half is sent from, its second half received into.
    physical : int
        Its address for the DMA.
    """

    MM2S, S2MM = 0x00, 0x30
    CONTROL, STATUS, ADDRESS, LENGTH = 0x00, 0x04, 0x18, 0x28
    RUN, RESET = 1 << 0, 1 << 2
    IDLE, ERRORS = 1 << 1, 0x770

    def __init__(self, registers: Registers, buffer: np.ndarray, physical: int):
        self.registers, self.buffer, self.physical = registers, buffer, physical
        self._half = len(buffer) // 2

    def exchange(self, data: bytes, most: int) -> bytes:
        """Send ``data`` as one packet; returns the packet that comes, of at most ``most`` bytes."""
        if max(len(data), most) > self._half:
            raise DeviceError(
                f"DMA: {max(len(data), most)} bytes do not fit half of its buffer of "
                f"{len(self.buffer)}; allocate a larger one"
            )
        self.buffer[: len(data)] = np.frombuffer(data, np.uint8)
        self._start(self.S2MM, self.physical + self._half, most)
        self._start(self.MM2S, self.physical, len(data))
        for channel in (self.MM2S, self.S2MM):
            self._wait(channel)
        count = self.registers.read(self.S2MM + self.LENGTH)  # what has come
        return self.buffer[self._half : self._half + count].tobytes()

    def reset(self) -> None:
        """Reset both channels."""
        self.registers.write(self.MM2S + self.CONTROL, self.RESET)
        end = time.monotonic() + SECONDS
        while self.registers.read(self.MM2S + self.CONTROL) & self.RESET:
            if time.monotonic() > end:
                raise LinkError("DMA: its reset does not end; check its address and clock")

    def _start(self, channel, address, length):
        self.registers.write(channel + self.CONTROL, self.RUN)
        self.registers.write(channel + self.ADDRESS, address)
        self.registers.write(channel + self.LENGTH, length)

    def _wait(self, channel):
        end = time.monotonic() + SECONDS
        while not (status := self.registers.read(channel + self.STATUS)) & self.IDLE:
            if status & self.ERRORS:
                break
            if time.monotonic() > end:
                raise LinkError("DMA: a transfer does not end; reset the engine")
        if status & self.ERRORS:
            raise LinkError(f"DMA: stopped with status 0x{status:08x}; reset it")


class PynqDma:
    """A DMA of a PYNQ overlay.

    Parameters
    ----------
    dma : pynq.lib.dma.DMA
    allocate : callable
        ``pynq.allocate``.
    """

    def __init__(self, dma: Any, allocate: Callable[..., Any]):
        self.dma, self.allocate = dma, allocate
        self._buffers: dict[str, Any] = {}

    def exchange(self, data: bytes, most: int) -> bytes:
        """Send ``data`` as one packet; returns the packet that comes, of at most ``most`` bytes."""
        there, back = self._buffer("there", len(data)), self._buffer("back", most)
        there[: len(data)] = np.frombuffer(data, np.uint8)
        self.dma.recvchannel.transfer(back, 0, most)
        self.dma.sendchannel.transfer(there, 0, len(data))
        self.dma.sendchannel.wait()
        self.dma.recvchannel.wait()
        return bytes(back[: self.dma.recvchannel.transferred])

    def reset(self) -> None:
        """Stop and start both channels."""
        for channel in (self.dma.sendchannel, self.dma.recvchannel):
            channel.stop()
            channel.start()

    def _buffer(self, name, size):
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = self.allocate(shape=(size,), dtype=np.uint8)
        return self._buffers[name]


class DmaTransport(Transport):
    """An engine with ``tuser_width = 0``, because a DMA sends no ``tuser``.

    Parameters
    ----------
    registers : Registers
        Of the engine.
    dma : Dma
    """

    design: Design

    def __init__(self, registers: Registers, dma: Dma):
        self.registers, self.dma = registers, dma

    def read(self, offsets: Sequence[int]) -> list[int]:
        return [self.registers.read(offset) for offset in offsets]

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        for offset, data in writes:
            self.registers.write(offset, data)

    def exchange(self, packets: Iterable[Packet]) -> Iterator[Answer]:
        registers = self.design.registers
        if "NEXT_SET" not in registers:
            raise DeviceError(
                "engine: has s_axis_tuser, which a DMA does not drive; build with tuser_width = 0"
            )
        if self.design.has_null_bytes:
            raise DeviceError(
                "engine: pads tokens or results with null bytes, which a DMA neither sends nor "
                "takes; build with bus_bytes that divide both, or with tkeep = false"
            )
        errors = registers["ERRORS"].offset
        selected = None
        for packet in packets:
            if packet.user != selected or self.design.next_set_depth:
                self.registers.write(registers["NEXT_SET"].offset, packet.user)
                selected = packet.user
            data = self.dma.exchange(packet.data, packet.answer_bytes)
            # A bad packet is answered by one beat. Where a good one is, too, its flags tell.
            error = len(data) != packet.answer_bytes
            if packet.answer_bytes == self.design.bus_bytes:
                error = bool(self.registers.read(errors) & self.design.packet_errors)
            yield Answer(error, data)

    def reset(self) -> None:
        """Abort a packet that stopped in the middle, forget the sets that wait, clear the flags."""
        control, errors = (self.design.registers[name] for name in ("CONTROL", "ERRORS"))
        self.dma.reset()
        self.registers.write(control.offset, sum(1 << field.low for field in control.fields))
        self.registers.write(errors.offset, sum(1 << flag.low for flag in errors.fields))

    def close(self) -> None:
        pass
