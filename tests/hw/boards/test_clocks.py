# SPDX-License-Identifier: Apache-2.0
# amaranth: UnusedElaboratable=no
"""The clocks of boards: what a PLL can make, and the reset after power-on."""

import re

import pytest
from amaranth import ClockDomain, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards import ecp5, gowin, ice40
from ecoformer.hw.boards.clock import RESET_BITS, Oscillator, PowerOnReset
from ecoformer.hw.boards.families import FAMILIES
from ecoformer.hw.emit.verilog import to_verilog
from tests.hw.bench import simulate

MEGA = 1_000_000


def test_dividers_of_ecp5_are_those_of_lattices_tool():
    """As prjtrellis' ecppll chooses them, but for a slower phase detector where that is as good."""
    assert ecp5.find_pll(25 * MEGA, 100 * MEGA) == ecp5.Pll(1, 4, 6)
    assert ecp5.find_pll(25 * MEGA, 80 * MEGA) == ecp5.Pll(5, 16, 7)
    assert ecp5.find_pll(48 * MEGA, 100 * MEGA) == ecp5.Pll(12, 25, 6)


@pytest.mark.parametrize("oscillator", [12 * MEGA, 25 * MEGA, 48 * MEGA, 50 * MEGA])
def test_every_clock_of_ecp5_is_within_the_ranges(oscillator):
    for times in range(2, 32):
        clock = times * oscillator // 2
        if not 10 * MEGA <= clock <= 400 * MEGA:
            continue
        pll = ecp5.find_pll(oscillator, clock)
        phase = oscillator / pll.reference
        assert (ecp5.PHASE_HZ[0] if times % 2 == 0 else ecp5.SLOW_HZ) <= phase <= ecp5.PHASE_HZ[1]
        assert ecp5.VCO_HZ[0] <= pll.hertz(oscillator) * pll.output <= ecp5.VCO_HZ[1]
        assert abs(pll.hertz(oscillator) / clock - 1) <= 0.005
        assert all(1 <= divider <= 128 for divider in pll)


def test_dividers_of_ice40_are_those_of_icepll():
    """Its DIVR, DIVF and DIVQ for 12 MHz are one less, and a power of two."""
    assert ice40.find_pll(12 * MEGA, 24 * MEGA) == ice40.Pll(1, 64, 32)
    assert ice40.find_pll(12 * MEGA, 30 * MEGA) == ice40.Pll(1, 80, 32)
    assert ice40.find_pll(12 * MEGA, 48 * MEGA) == ice40.Pll(1, 64, 16)


def test_every_clock_of_ice40_is_within_the_ranges():
    oscillator = 12 * MEGA
    for clock in range(16_500_000, 133 * MEGA, 1_500_000):
        pll = ice40.find_pll(oscillator, clock)
        vco = oscillator / pll.reference * pll.feedback
        assert 10 * MEGA <= oscillator / pll.reference <= 133 * MEGA
        assert 533 * MEGA <= vco <= 1066 * MEGA and vco / pll.output == clock
        assert pll.reference <= 16 and pll.feedback <= 128
        assert pll.output in (2, 4, 8, 16, 32, 64)


def test_every_clock_of_gowin_is_within_the_ranges():
    oscillator = 27 * MEGA
    for clock in range(13_500_000, 400 * MEGA, 6_750_000):
        pll = gowin.find_pll(oscillator, clock)
        made = oscillator / pll.reference * pll.feedback
        assert 3 * MEGA <= oscillator / pll.reference <= 400 * MEGA
        assert 400 * MEGA <= made * pll.output <= 1200 * MEGA
        assert made == clock and made <= 600 * MEGA
        assert pll.reference <= 64 and pll.feedback <= 64 and pll.output in gowin.OUTPUTS


@pytest.mark.parametrize(
    "find, oscillator, clock, advice",
    [
        (ecp5.find_pll, 25, 1, "a multiple of 12.5 MHz"),
        (ice40.find_pll, 12, 14, "12 MHz, or a multiple of 1.5 MHz from 16 to 133 MHz"),
        (gowin.find_pll, 27, 700, "a multiple of 6.75 MHz"),
        (gowin.find_pll, 27, 12.3, "a multiple of 6.75 MHz"),  # only by a divider of eleven
    ],
)
def test_a_clock_that_cannot_be_made_is_refused(find, oscillator, clock, advice):
    with pytest.raises(EcoformerError) as refused:
        find(oscillator * MEGA, round(clock * MEGA))
    assert str(refused.value) == (
        f"clock {clock} MHz: the PLL cannot make it of {oscillator} MHz; choose {advice}"
    )


@pytest.mark.parametrize("family, oscillator", [("ice40", 12 * MEGA), ("gowin", 27 * MEGA)])
def test_the_oscillator_is_used_as_it_is(family, oscillator):
    clock = FAMILIES[family].clock(oscillator, oscillator)
    assert isinstance(clock, Oscillator) and clock.hertz == oscillator
    other = FAMILIES[family].clock(oscillator, 2 * oscillator)
    assert not isinstance(other, Oscillator) and other.hertz == 2 * oscillator


class MinimalBoard(wiring.Component):
    """A clock, and a register that it clocks."""

    clk: In(1)
    light: Out(1)

    def __init__(self, clock):
        self.clock = clock
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clock = self.clock
        m.d.comb += self.clock.clk.eq(self.clk)
        m.d.sync += self.light.eq(~self.light)
        return m


class HeldReset(wiring.Component):
    """A reset that can be seen from outside."""

    locked: In(1)
    level: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reset = reset = PowerOnReset()
        m.d.comb += [reset.locked.eq(self.locked), self.level.eq(ResetSignal())]
        return m


@pytest.mark.parametrize(
    "family, oscillator, clock, parameters",
    [
        ("ice40", 12, 24, {"DIVR": "4'h0", "DIVF": "7'h3f", "DIVQ": "3'h5",
                           "FILTER_RANGE": "3'h1", "FEEDBACK_PATH": '"SIMPLE"'}),
        ("gowin", 27, 40.5, {"IDIV_SEL": "32'd1", "FBDIV_SEL": "32'd2", "ODIV_SEL": "32'd16",
                             "FCLKIN": '"27"', "DEVICE": '"GW1NR-9C"'}),
    ],
)
def test_a_pll_is_told_its_dividers(family, oscillator, clock, parameters):
    made = FAMILIES[family].clock(oscillator * MEGA, round(clock * MEGA))
    text = to_verilog(MinimalBoard(made), "board")
    for name, value in parameters.items():
        assert f".{name}({value})" in text, text


def test_the_reset_begins_at_power_on_and_whenever_the_clock_is_lost():
    dut, levels = HeldReset(), []

    async def testbench(ctx):
        for locked, cycles in ((0, 20), (1, 700), (0, 5), (1, 700)):
            ctx.set(dut.locked, locked)
            for _ in range(cycles):
                await ctx.tick()
                levels.append(ctx.get(dut.level))

    simulate(dut, testbench)
    ends = [i for i, (a, b) in enumerate(zip(levels, levels[1:])) if (a, b) == (1, 0)]
    assert levels[0] == 1 and len(ends) == 2, "held from the first cycle, and ended twice"
    first, second = ends
    assert first - 20 >= (1 << RESET_BITS) - 1 and second - 725 >= (1 << RESET_BITS) - 1
    assert levels[first + 1 : 720] == [0] * (719 - first), "it ends once"


def test_power_up_values_reach_the_verilog():
    """Without them nothing would begin the first reset of a board whose clock always runs."""
    text = to_verilog(MinimalBoard(Oscillator(12 * MEGA)), "board")
    assert "reg [8:0] count = 9'h000;" in text and "reg running = 1'h0;" in text
    assert text.count(" = 1'h0;") == 1, "the light has none"


def test_a_pll_of_ice40_has_locked_before_its_reset_ends():
    """Its lock is not waited for, and takes up to 50 µs."""
    text = to_verilog(MinimalBoard(FAMILIES["ice40"].clock(12 * MEGA, 132 * MEGA)), "board")
    (bits,) = {int(found) + 1 for found in re.findall(r"reg \[(\d+):0\] count = ", text)}
    assert ((1 << bits) - 1) / (132 * MEGA) > 50e-6
    assert "LOCK" not in text
