# SPDX-License-Identifier: Apache-2.0
"""What a packet carries beside its data: set, context, and whether it begins that.

The set comes with the pin ``s_axis_tuser``, or from register NEXT_SET. What the kinds of engine ask
of a bench is here and nowhere else. Benches hold all of it in one number: below bit
:data:`TID_SHIFT` the value of the pin, or of NEXT_SET, and above it the context.
"""

from __future__ import annotations

import cocotb
from cocotb.task import Task
from cocotb.triggers import RisingEdge

from ecoformer.sim.contexts import FRESH, Asked
from ecoformer.sim.drivers.registers import RegisterPort
from ecoformer.sim.drivers.streams import PairSource, StreamSource
from ecoformer.sim.rows import TID_SHIFT
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS

__all__ = ["NextSet", "QueuedSets", "Selection", "TuserPin", "selection"]


class Selection:
    """What a bench must know about the selection of parameter sets and contexts.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config, self.wire = config, config.wire

    @property
    def depth(self) -> int:
        """Sets that may wait in a queue for their packets; 0 without a queue."""
        return 0

    @property
    def vector_bits(self) -> int:
        """Bits of a set number that a packet can ask for."""
        return self.wire.set_bits

    @property
    def pins(self) -> dict[str, int]:
        """Input pins beside the data and their bits, from the lowest bits of a vector on."""
        pins = {"tuser": self.wire.s_tuser_width, "tid": self.wire.tid_width}
        return {name: bits for name, bits in pins.items() if bits}

    @property
    def later(self) -> int:
        """What beats after the first change of a packet's number, to see that it is ignored."""
        tid = int(self.wire.tid_width > 0) << TID_SHIFT
        return tid | int(self.wire.s_tuser_width > 0) * self._flip

    @property
    def _flip(self):
        return self.wire.begin_bits << self.wire.set_bits | 1

    @property
    def rises(self) -> int:
        """Bits of an answer's number that may be 0 before its last beat, and 1 there."""
        return self.wire.begin_bits << self.wire.error_bit

    def reaches(self, index: int) -> bool:
        """Whether a packet can ask for set ``index`` at all."""
        return not index >> self.vector_bits

    def request(self, index: int, asked: Asked = FRESH) -> int:
        """Number of a packet for set ``index``."""
        begin = int(asked.begin) * self.wire.begin_bits
        return int(index) | begin << self.wire.set_bits | asked.context << TID_SHIFT

    def vector(self, number: int) -> int:
        """A packet's number as its input pins have it, one above the other."""
        user = number & (1 << self.wire.s_tuser_width) - 1
        return user | number >> TID_SHIFT << self.wire.s_tuser_width

    def answer_vector(self, number: int) -> int:
        """An answer's number as the output pins have it: ``tid`` above ``tuser``."""
        user = number & (1 << self.wire.m_tuser_width) - 1
        return user | number >> TID_SHIFT << self.wire.m_tuser_width

    def answered(self, index: int, asked: Asked = FRESH) -> int:
        """Number of the answer to a packet for set ``index``, the error bit aside."""
        return asked.context << TID_SHIFT

    def is_due(self, user: int, selected: int | None) -> bool:
        """Whether NEXT_SET must be written for a packet if it was ``selected`` at last."""
        return False

    def start(
        self, port: RegisterPort, source: StreamSource | PairSource, users: list[int]
    ) -> list[Task]:
        """Start what must run beside ``source`` so that packet i gets what ``users[i]`` says."""
        raise NotImplementedError


class TuserPin(Selection):
    """The first beat of a packet carries the set number, and the answer returns it."""

    def answered(self, index: int, asked: Asked = FRESH) -> int:
        return self.wire.m_tuser(int(index), False) | super().answered(index, asked)

    def start(
        self, port: RegisterPort, source: StreamSource | PairSource, users: list[int]
    ) -> list[Task]:
        return []


class NextSet(Selection):
    """Register NEXT_SET holds the set of the packets that begin after the write."""

    def is_due(self, user: int, selected: int | None) -> bool:
        return user != selected

    def start(
        self, port: RegisterPort, source: StreamSource | PairSource, users: list[int]
    ) -> list[Task]:
        source.selected = 0
        return [cocotb.start_soon(_write_next_set(port, source, users))]


class QueuedSets(Selection):
    """Packets take their sets from a queue behind NEXT_SET, and wait if there is none."""

    @property
    def depth(self) -> int:
        return self.config.next_set_depth

    def is_due(self, user: int, selected: int | None) -> bool:
        return True

    def start(
        self, port: RegisterPort, source: StreamSource | PairSource, users: list[int]
    ) -> list[Task]:
        return [cocotb.start_soon(_fill_queue(port, source, users, self.depth))]


async def _fill_queue(port, source, users, depth):
    """Write NEXT_SET for each packet as soon as there is room."""
    edge = RisingEdge(port.dut.aclk)
    for packet, number in enumerate(users):
        while packet - source.begun >= depth:
            await edge
        await port.write(REGISTERS["NEXT_SET"].offset, number & (1 << TID_SHIFT) - 1)


async def _write_next_set(port, source, users):
    """Write NEXT_SET for each packet as soon as the packet before has begun."""
    edge, selected = RisingEdge(port.dut.aclk), 0
    for packet, number in enumerate(users):
        user = number & (1 << TID_SHIFT) - 1
        while source.begun < packet:
            await edge
        if user != selected:
            await port.write(REGISTERS["NEXT_SET"].offset, user)
        source.selected, selected = packet + 1, user


def selection(config: Config) -> Selection:
    """How packets for an engine of ``config`` select their set."""
    kinds = {(0, False): NextSet, (0, True): QueuedSets}
    return kinds.get((config.tuser_width, config.next_set_depth > 0), TuserPin)(config)
