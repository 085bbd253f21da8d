# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The top of a board and the constraints of its pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.board import SerialCore
from ecoformer.hw.boards.catalogue import Board
from ecoformer.hw.boards.cores import Core
from ecoformer.hw.boards.families import FAMILIES
from ecoformer.hw.emit.verilog import to_verilog

__all__ = ["BoardTop", "TOP", "board_verilog", "constraints"]

TOP = "board"
"""Name of the module."""
BLINK = 24
"""Bits of the counter whose last one is the light: it blinks several times a second."""


class BoardTop(wiring.Component):
    """An engine or a network behind the serial port of a board.

    The light blinks while the clock runs, and stays on while a frame is on the line.

    Parameters
    ----------
    board : Board
    device : str
    core : Core
    clock_hz : int or None
        Of the core, as close as a PLL comes to it; the board's default if None.
    baud : int or None
        Of the serial port; the board's default if None.
    frame_bytes : int or None
        Longest payload of a frame; the board's default if None.

    Members
    -------
    clk, rx : ``In(1)``
    tx, light : ``Out(1)``
    """

    def __init__(
        self,
        board: Board,
        device: str,
        core: Core,
        *,
        clock_hz: int | None = None,
        baud: int | None = None,
        frame_bytes: int | None = None,
    ):
        oscillator = board.oscillator(device)
        self.family = FAMILIES[board.target]
        self.pads = board.pads(device)
        usual = board.clock_hz or oscillator
        self.clock = self.family.clock(oscillator, usual if clock_hz is None else clock_hz)
        self.baud = board.baud if baud is None else baud
        self.frame_bytes = board.frame_bytes if frame_bytes is None else frame_bytes
        try:
            self.serial = SerialCore(
                core, clock_hz=self.clock.hertz, baud=self.baud, frame_bytes=self.frame_bytes
            )
        except ValueError as error:
            raise EcoformerError(
                f"board: {error}; choose another rate, clock or frame"
            ) from error
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), "light": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clock = self.clock
        m.submodules.serial = self.serial
        blink = Signal(BLINK)
        on = blink[-1] | self.serial.active
        m.d.sync += [blink.eq(blink + 1), self.light.eq(on ^ self.pads["light"].inverted)]
        m.d.comb += [
            self.clock.clk.eq(self.clk),
            self.serial.rx.eq(self.rx),
            self.tx.eq(self.serial.tx),
        ]
        return m


def board_verilog(top: BoardTop) -> str:
    """Verilog of the board with that of its core, which is what ``generate`` writes."""
    return to_verilog(top, TOP) + top.serial.core.verilog()


def constraints(top: BoardTop) -> str:
    """The pins of the board, and its oscillator, for place and route."""
    return top.family.constraints(top.pads, top.clock.oscillator)
