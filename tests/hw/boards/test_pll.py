# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.pll import PHASE_HZ, SLOW_HZ, VCO_HZ, Pll, find_pll

MEGA = 1_000_000


def test_dividers_are_those_of_lattices_tool():
    """As prjtrellis' ecppll chooses them, but for a slower phase detector where that is as good."""
    assert find_pll(25 * MEGA, 100 * MEGA) == Pll(1, 4, 6)
    assert find_pll(25 * MEGA, 80 * MEGA) == Pll(5, 16, 7)
    assert find_pll(48 * MEGA, 100 * MEGA) == Pll(12, 25, 6)


@pytest.mark.parametrize("oscillator", [12 * MEGA, 25 * MEGA, 48 * MEGA, 50 * MEGA])
def test_every_clock_is_within_the_ranges(oscillator):
    for times in range(2, 32):
        clock = times * oscillator // 2
        if not 10 * MEGA <= clock <= 400 * MEGA:
            continue
        pll = find_pll(oscillator, clock)
        phase = oscillator / pll.reference
        assert (PHASE_HZ[0] if times % 2 == 0 else SLOW_HZ) <= phase <= PHASE_HZ[1]
        assert VCO_HZ[0] <= pll.hertz(oscillator) * pll.output <= VCO_HZ[1]
        assert abs(pll.hertz(oscillator) / clock - 1) <= 0.005
        assert all(1 <= divider <= 128 for divider in pll)


def test_a_clock_that_cannot_be_made_is_refused():
    with pytest.raises(EcoformerError, match="^clock 1 MHz: the PLL cannot make it of 25 MHz; ch"):
        find_pll(25 * MEGA, MEGA)
