# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Boards with a Gowin LittleBee: their oscillator or a PLL, and their constraints (CST)."""

from collections.abc import Iterator, Mapping

from amaranth import *

from ecoformer.hw.boards.catalogue import Pad
from ecoformer.hw.boards.clock import (
    BoardClock,
    Pll,
    PllClock,
    PowerOnReset,
    clock_of,
    closest,
    refusal,
)
from ecoformer.hw.boards.family import Family

__all__ = ["GOWIN", "GowinClock", "Pll", "find_pll"]

PHASE_HZ, VCO_HZ, OUTPUT_HZ = (
    (3_000_000, 400_000_000), (400_000_000, 1_200_000_000), (3_125_000, 600_000_000)
)
"""Ranges of the phase detector, of the oscillator and of the output of a GW1NR-9C, grade C6/I5
(Gowin DS117)."""
MOST = 64
"""Largest divider before the phase detector."""
OUTPUTS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
"""Dividers between the oscillator and the output, which is also the feedback."""


def find_pll(oscillator: int, clock_hz: int) -> Pll:
    """The dividers that come closest to ``clock_hz``, with the fastest phase detector.

    Raises `EcoformerError` if none comes within half a percent.
    """
    found = closest(
        _choices(oscillator), oscillator, clock_hz, lambda pll: (pll.reference, pll.output)
    )
    if not found:
        raise refusal(oscillator, clock_hz, f"a multiple of {oscillator / 4e6:g} MHz")
    return found


def _choices(oscillator) -> Iterator[Pll]:
    for reference in range(1, MOST + 1):
        if not PHASE_HZ[0] <= oscillator / reference <= PHASE_HZ[1]:
            continue
        for feedback in range(1, MOST + 1):
            made = oscillator / reference * feedback
            if OUTPUT_HZ[0] <= made <= OUTPUT_HZ[1]:
                for output in OUTPUTS:
                    if VCO_HZ[0] <= made * output <= VCO_HZ[1]:
                        yield Pll(reference, feedback, output)


class GowinClock(PllClock[Pll]):
    """The clock that a PLL makes of the oscillator.

    Parameters
    ----------
    oscillator : int
    pll : Pll
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.reset = reset = PowerOnReset()
        m.submodules.pll = Instance(
            "rPLL",
            p_FCLKIN=f"{self.oscillator / 1e6:g}", p_DEVICE="GW1NR-9C",
            p_IDIV_SEL=self.pll.reference - 1, p_FBDIV_SEL=self.pll.feedback - 1,
            p_ODIV_SEL=self.pll.output, p_CLKFB_SEL="internal",
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            i_CLKIN=self.clk, i_CLKFB=Const(0, 1), i_RESET=Const(0, 1), i_RESET_P=Const(0, 1),
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=ClockSignal(), o_LOCK=reset.locked,
        )
        return m


def _clock(oscillator: int, clock_hz: int) -> BoardClock:
    return clock_of(oscillator, clock_hz, find_pll, GowinClock)


def _cst(pads: Mapping[str, Pad], oscillator: int) -> str:
    """Without the frequency, for which there is no constraint here."""
    lines = ["// Pins of the board, as amaranth-boards has them."]
    for port, pad in pads.items():
        lines.append(f'IO_LOC "{port}" {pad.site};')
        attributes = " ".join(f"{name}={value}" for name, value in pad.attributes.items())
        lines.append(f'IO_PORT "{port}" {attributes};')
    return "\n".join([*lines, ""])


GOWIN = Family(target="gowin", clock=_clock, constraints=_cst)
