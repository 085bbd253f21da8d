# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The clock of a board and its reset: what every family has in common."""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In

from ecoformer.errors import EcoformerError
from ecoformer.hw.lib.contents import POWER_UP

__all__ = [
    "BoardClock", "Dividers", "Oscillator", "Pll", "PllClock", "PowerOnReset", "clock_of",
    "closest", "refusal",
]

TOLERANCE = 0.005
"""By how much a clock may miss what is asked for."""
RESET_BITS = 9
"""A reset lasts 2^RESET_BITS - 1 cycles by default, 12 µs at 40 MHz: block RAM of iCE40 cannot be
read in the first microseconds after configuration."""


class Dividers(Protocol):
    """What a PLL divides by."""

    def hertz(self, oscillator: int) -> float:
        """Frequency of its output in Hz."""


class Pll(NamedTuple):
    """Dividers of a PLL whose output is its feedback."""

    reference: int
    feedback: int
    output: int

    def hertz(self, oscillator: int) -> float:
        """Frequency of the output in Hz."""
        return oscillator / self.reference * self.feedback


D = TypeVar("D", bound=Dividers)


def closest(
    choices: Iterable[D], oscillator: int, clock_hz: int, order: Callable[[D], tuple]
) -> D | None:
    """The dividers that come closest to ``clock_hz``, or None if none is within half a percent.

    Parameters
    ----------
    choices : iterable of Dividers
    oscillator, clock_hz : int
        In Hz.
    order : function
        Which of equally close ones is better: the one for which it is less.
    """
    found = min(
        choices, default=None,
        key=lambda pll: (abs(pll.hertz(oscillator) - clock_hz), order(pll)),
    )
    if found and abs(found.hertz(oscillator) / clock_hz - 1) <= TOLERANCE:
        return found
    return None


def refusal(oscillator: int, clock_hz: int, advice: str) -> EcoformerError:
    """The error that no dividers make ``clock_hz``."""
    return EcoformerError(
        f"clock {clock_hz / 1e6:g} MHz: the PLL cannot make it of {oscillator / 1e6:g} MHz; choose "
        f"{advice}"
    )


class BoardClock(wiring.Component):
    """Drives clock and reset of the domain ``sync``.

    Parameters
    ----------
    oscillator, hertz : int
        Frequencies of ``clk`` and of ``sync`` in Hz.

    Members
    -------
    clk : ``In(1)``
        The pad of the oscillator.
    """

    def __init__(self, oscillator: int, hertz: int):
        self.oscillator, self.hertz = oscillator, hertz
        super().__init__({"clk": In(1)})


class PllClock(BoardClock, Generic[D]):
    """A clock that a PLL makes of the oscillator.

    Parameters
    ----------
    oscillator : int
        Frequency of ``clk`` in Hz.
    pll : Dividers
    """

    def __init__(self, oscillator: int, pll: D):
        self.pll = pll
        super().__init__(oscillator, round(pll.hertz(oscillator)))


class PowerOnReset(wiring.Component):
    """Resets the domain ``sync`` for 2^bits - 1 cycles from when its clock is locked.

    Relies on registers that are zero after configuration, because before the first reset nothing
    else is known.

    Parameters
    ----------
    bits : int

    Members
    -------
    locked : ``In(1)``
        Asynchronous. 1 for a clock that always runs.
    """

    def __init__(self, bits: int = RESET_BITS):
        self.bits = bits
        super().__init__({"locked": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        locked = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.locked, locked)
        count = Signal(self.bits, reset_less=True, attrs=POWER_UP)
        running = Signal(reset_less=True, attrs=POWER_UP)
        m.d.sync += running.eq(count.all())
        with m.If(~locked):
            m.d.sync += count.eq(0)
        with m.Elif(~count.all()):
            m.d.sync += count.eq(count + 1)
        m.d.comb += ResetSignal().eq(~running)
        return m


class Oscillator(BoardClock):
    """The oscillator itself as the clock, without a PLL."""

    def __init__(self, oscillator: int):
        super().__init__(oscillator, oscillator)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.reset = reset = PowerOnReset()
        m.d.comb += [ClockSignal().eq(self.clk), reset.locked.eq(1)]
        return m


def clock_of(
    oscillator: int,
    clock_hz: int,
    find_pll: Callable[[int, int], D],
    pll_clock: Callable[[int, D], PllClock[D]],
) -> BoardClock:
    """The oscillator itself where it has the frequency that is asked for, or else a PLL's clock."""
    if clock_hz == oscillator:
        return Oscillator(oscillator)
    return pll_clock(oscillator, find_pll(oscillator, clock_hz))
