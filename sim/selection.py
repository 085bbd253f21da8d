# SPDX-License-Identifier: Apache-2.0
"""How a packet gets its parameter set: with the pin ``s_axis_tuser``, or with register NEXT_SET.

What the two kinds of engine ask of a bench is here and nowhere else.
"""

from __future__ import annotations

from typing import ClassVar

import cocotb
from cocotb.task import Task
from cocotb.triggers import RisingEdge

from ecoformer.sim.drivers import RegisterPort, StreamSource
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS

__all__ = ["Selection", "TuserPin", "NextSet", "selection"]


class Selection:
    """What a bench must know about the selection of parameter sets.

    Parameters
    ----------
    config : Config

    Members
    -------
    testbench : dict of str to str
        Fragments of the Verilog testbench by the word that they replace.
    in_register : bool
        Whether a register holds the set of the packets to come.
    """

    testbench: ClassVar[dict[str, str]]
    in_register: ClassVar[bool]

    def __init__(self, config: Config):
        self.config = config

    @property
    def vector_bits(self) -> int:
        """Bits of a set number that a packet can ask for."""
        raise NotImplementedError

    def reaches(self, index: int) -> bool:
        """Whether a packet can ask for set ``index`` at all."""
        raise NotImplementedError

    def pins(self, index: int) -> tuple[int, int]:
        """``s_axis_tuser`` of a packet for set ``index``: on its first beat, and on later ones."""
        raise NotImplementedError

    def answered(self, index: int) -> int:
        """Set number in ``m_axis_tuser`` of the answer to a packet for set ``index``."""
        raise NotImplementedError

    def start(self, port: RegisterPort, source: StreamSource, users: list[int]) -> list[Task]:
        """Start what must run beside ``source`` so that packet i gets set ``users[i]``."""
        raise NotImplementedError


class TuserPin(Selection):
    """The first beat of a packet carries the set number, and the answer returns it."""

    in_register = False
    testbench = {
        "PIN": " .s_axis_tuser(s_axis_tuser),",
        "REG": "  reg [USER-1:0] s_axis_tuser;\n",
        "CLEAR": "      s_axis_tuser <= {USER{1'b0}};\n",
        "BEAT": "{s_axis_tuser, s_axis_tlast, s_axis_tdata}",
    }

    @property
    def vector_bits(self) -> int:
        return self.config.tuser_width

    def reaches(self, index: int) -> bool:
        return not index >> self.config.tuser_width

    def pins(self, index: int) -> tuple[int, int]:
        return index, index ^ 1

    def answered(self, index: int) -> int:
        return int(index)

    def start(self, port: RegisterPort, source: StreamSource, users: list[int]) -> list[Task]:
        return []


class NextSet(Selection):
    """Register NEXT_SET holds the set of the packets that begin after the write."""

    in_register = True
    testbench = {"PIN": "", "REG": "", "CLEAR": "", "BEAT": "{s_axis_tlast, s_axis_tdata}"}

    @property
    def vector_bits(self) -> int:
        return 32

    def reaches(self, index: int) -> bool:
        return True

    def pins(self, index: int) -> tuple[int, int]:
        return 0, 0

    def answered(self, index: int) -> int:
        return 0

    def start(self, port: RegisterPort, source: StreamSource, users: list[int]) -> list[Task]:
        source.selected = 0
        return [cocotb.start_soon(_write_next_set(port, source, users))]


async def _write_next_set(port, source, users):
    """Write NEXT_SET for each packet as soon as the packet before has begun."""
    edge, selected = RisingEdge(port.dut.aclk), 0
    for packet, user in enumerate(users):
        while len(source.first) < packet:
            await edge
        if user != selected:
            await port.write(REGISTERS["NEXT_SET"].offset, user)
        source.selected, selected = packet + 1, user


def selection(config: Config) -> Selection:
    """How packets for an engine of ``config`` select their set."""
    return TuserPin(config) if config.tuser_width else NextSet(config)
