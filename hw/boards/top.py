# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The top of a board and the constraints of its pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.board import FRAME_BYTES, SerialCore
from ecoformer.hw.boards.catalogue import Board
from ecoformer.hw.boards.cores import Core
from ecoformer.hw.boards.pll import Ecp5Clock, find_pll
from ecoformer.hw.emit.verilog import to_verilog

__all__ = ["BAUD", "BoardTop", "TOP", "board_verilog", "constraints"]

TOP = "board"
"""Name of the module."""
BAUD = 3_000_000
"""The fastest rate of the FT231X and its kin."""
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
    clock_hz : int
        Of the core; the PLL comes as close as it can.
    baud : int
    frame_bytes : int

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
        clock_hz: int,
        baud: int = BAUD,
        frame_bytes: int = FRAME_BYTES,
    ):
        oscillator = board.oscillator(device)
        self.pads = board.pads(device)
        self.clock = Ecp5Clock(oscillator, find_pll(oscillator, clock_hz))
        try:
            self.serial = SerialCore(
                core, clock_hz=self.clock.hertz, baud=baud, frame_bytes=frame_bytes
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
    """The pins and the oscillator for nextpnr (LPF)."""
    lines = ["# Pins of the board, as amaranth-boards has them."]
    for port, pad in top.pads.items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pad.site}";')
        attributes = " ".join(f"{name}={value}" for name, value in pad.attributes.items())
        lines.append(f'IOBUF PORT "{port}" {attributes};')
    lines.append(f'FREQUENCY PORT "clk" {top.clock.oscillator / 1e6:g} MHZ;')
    return "\n".join([*lines, ""])
