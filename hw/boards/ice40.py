# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Boards with an iCE40: their oscillator or a PLL, and their constraints (PCF)."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from amaranth import *

from ecoformer.hw.boards.catalogue import Pad
from ecoformer.hw.boards.clock import (
    BoardClock,
    PllClock,
    PowerOnReset,
    clock_of,
    closest,
    refusal,
)
from ecoformer.hw.boards.family import Family

__all__ = ["ICE40", "Ice40Clock", "Pll", "find_pll"]

MEGA = 1_000_000
PHASE_HZ, VCO_HZ, OUTPUT_HZ = (
    (10 * MEGA, 133 * MEGA), (533 * MEGA, 1_066 * MEGA), (16 * MEGA, 275 * MEGA)
)
"""Ranges of the phase detector, of the oscillator and of the output (Lattice FPGA-DS-02008,
sysCLOCK PLL timing)."""
FILTERS = (17 * MEGA, 26 * MEGA, 44 * MEGA, 66 * MEGA, 101 * MEGA)
"""Below which frequency of the phase detector FILTER_RANGE is 1, 2 and so on, as icepll sets it."""

LOCK_BITS = 13
"""The reset lasts 2^LOCK_BITS - 1 cycles, longer than the 50 µs in which a PLL locks for any clock
up to 133 MHz. Its output LOCK is not used, because nextpnr fixes the register behind it to a
tile."""


class Pll(NamedTuple):
    """Dividers of an SB_PLL40_PAD with simple feedback; ``output`` is a power of two."""

    reference: int
    feedback: int
    output: int

    def hertz(self, oscillator: int) -> float:
        """Frequency of the output."""
        return oscillator / self.reference * self.feedback / self.output


def find_pll(oscillator: int, clock_hz: int) -> Pll:
    """The dividers that come closest to ``clock_hz``, with the fastest phase detector.

    Raises `EcoformerError` if none comes within half a percent.
    """
    found = closest(
        _choices(oscillator), oscillator, clock_hz, lambda pll: (pll.reference, pll.output)
    )
    if not found:
        raise refusal(
            oscillator, clock_hz,
            f"{oscillator / 1e6:g} MHz, or a multiple of {oscillator / 8e6:g} MHz from "
            f"{OUTPUT_HZ[0] // MEGA} to {VCO_HZ[0] // (4 * MEGA)} MHz",
        )
    return found


def _choices(oscillator) -> Iterator[Pll]:
    for reference in range(1, 17):
        if not PHASE_HZ[0] <= oscillator / reference <= PHASE_HZ[1]:
            continue
        for feedback in range(1, 129):
            vco = oscillator / reference * feedback
            if VCO_HZ[0] <= vco <= VCO_HZ[1]:
                for output in (2 << power for power in range(6)):
                    if OUTPUT_HZ[0] <= vco / output <= OUTPUT_HZ[1]:
                        yield Pll(reference, feedback, output)


class Ice40Clock(PllClock[Pll]):
    """The clock that a PLL makes of the pad of the oscillator.

    Parameters
    ----------
    oscillator : int
    pll : Pll
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        phase = self.oscillator / self.pll.reference
        m.submodules.reset = reset = PowerOnReset(LOCK_BITS)
        m.d.comb += reset.locked.eq(1)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_PLLOUT_SELECT="GENCLK",
            p_DIVR=Const(self.pll.reference - 1, 4), p_DIVF=Const(self.pll.feedback - 1, 7),
            p_DIVQ=Const(self.pll.output.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(1 + sum(phase >= limit for limit in FILTERS), 3),
            i_PACKAGEPIN=self.clk, i_RESETB=Const(1, 1), i_BYPASS=Const(0, 1),
            o_PLLOUTGLOBAL=ClockSignal(),
        )
        return m


def _clock(oscillator: int, clock_hz: int) -> BoardClock:
    return clock_of(oscillator, clock_hz, find_pll, Ice40Clock)


def _pcf(pads: Mapping[str, Pad], oscillator: int) -> str:
    """Only pull-ups are constraints here; every input is LVCMOS, as the bank has it."""
    lines = ["# Pins of the board, as amaranth-boards has them."]
    for port, pad in pads.items():
        pull = " -pullup yes" if int(pad.attributes.get("PULLUP", 0)) else ""
        lines.append(f"set_io{pull} {port} {pad.site}")
    lines.append(f"set_frequency clk {oscillator / 1e6:g}")
    return "\n".join([*lines, ""])


ICE40 = Family(target="ice40", clock=_clock, constraints=_pcf)
