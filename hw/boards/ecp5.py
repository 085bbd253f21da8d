# SPDX-License-Identifier: Apache-2.0
"""Boards with an ECP5: their clock, which a PLL makes, and their constraints (LPF)."""

from collections.abc import Iterator, Mapping

from amaranth import *
from amaranth.lib.cdc import ResetSynchronizer

from ecoformer.hw.boards.catalogue import Pad
from ecoformer.hw.boards.clock import Pll, PllClock, closest, refusal
from ecoformer.hw.boards.family import Family

__all__ = ["ECP5", "Ecp5Clock", "Pll", "find_pll"]

VCO_HZ = (400_000_000, 800_000_000)
MIDDLE_HZ = 600_000_000
"""Where the oscillator is best."""
PHASE_HZ = (10_000_000, 400_000_000)
"""Ranges of the oscillator and of the phase detector (Lattice FPGA-DS-02012, sysCLOCK PLL)."""
SLOW_HZ = 3_125_000
"""Slowest phase detector that is used if there is no other way, as prjtrellis' ecppll does."""
MOST = 128
"""Largest divider."""


def find_pll(oscillator: int, clock_hz: int) -> Pll:
    """The dividers that come closest to ``clock_hz``, with the fastest phase detector.

    Raises `EcoformerError` if none comes within half a percent.
    """
    for slowest in (PHASE_HZ[0], SLOW_HZ):
        found = closest(
            _choices(oscillator, clock_hz, slowest), oscillator, clock_hz,
            lambda pll: (pll.reference, abs(pll.hertz(oscillator) * pll.output - MIDDLE_HZ)),
        )
        if found:
            return found
    raise refusal(oscillator, clock_hz, f"a multiple of {oscillator / 2e6:g} MHz")


def _choices(oscillator, clock_hz, slowest) -> Iterator[Pll]:
    for reference in range(1, MOST + 1):
        feedback = round(clock_hz * reference / oscillator)
        phase = oscillator / reference
        if not (1 <= feedback <= MOST and slowest <= phase <= PHASE_HZ[1]):
            continue
        for output in range(1, MOST + 1):
            if VCO_HZ[0] <= phase * feedback * output <= VCO_HZ[1]:
                yield Pll(reference, feedback, output)


class Ecp5Clock(PllClock[Pll]):
    """The clock that a PLL makes; the reset ends when the PLL has locked.

    Parameters
    ----------
    oscillator : int
    pll : Pll
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        clock, locked = ClockSignal(), Signal()
        zero = {
            f"i_{pin}": Const(0, 1)
            for pin in ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP")
        }
        one = {f"i_{pin}": Const(1, 1) for pin in ("PHASEDIR", "PHASESTEP", "PHASELOADREG")}
        m.submodules.pll = Instance(
            "EHXPLLL",
            # What Lattice's own tool writes for a loop filter without special wishes.
            a_FREQUENCY_PIN_CLKI=f"{self.oscillator / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self.hertz / 1e6:g}",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED", p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.pll.reference, p_CLKFB_DIV=self.pll.feedback,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.pll.output,
            p_CLKOP_CPHASE=(self.pll.output - 1) // 2, p_CLKOP_FPHASE=0,
            i_CLKI=self.clk, i_CLKFB=clock, o_CLKOP=clock, o_LOCK=locked, **zero, **one,
        )
        m.submodules.reset = ResetSynchronizer(~locked, stages=4)
        return m


def _clock(oscillator: int, clock_hz: int) -> Ecp5Clock:
    """Always a PLL: its lock is what resets the design."""
    return Ecp5Clock(oscillator, find_pll(oscillator, clock_hz))


def _lpf(pads: Mapping[str, Pad], oscillator: int) -> str:
    lines = ["# Pins of the board, as amaranth-boards has them."]
    for port, pad in pads.items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pad.site}";')
        attributes = " ".join(f"{name}={value}" for name, value in pad.attributes.items())
        lines.append(f'IOBUF PORT "{port}" {attributes};')
    lines.append(f'FREQUENCY PORT "clk" {oscillator / 1e6:g} MHZ;')
    return "\n".join([*lines, ""])


ECP5 = Family(target="ecp5", clock=_clock, constraints=_lpf)
