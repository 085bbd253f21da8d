# SPDX-License-Identifier: Apache-2.0
"""Exact quotients, rounded half up and saturated: a pipeline of division digits.

    quotient = ⌊(2^f·num + ⌊den/2⌋) / den⌋, limited to w bits;  den ≤ 0: quotient = 0

Adding 2^(w-1)·den first makes every in-range quotient a w-bit natural number, so saturation is two
comparisons before the first digit and the division needs exactly w digits of den's width.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register

__all__ = ["Divider"]


class Divider(wiring.Component):
    """Divides several numerators by one denominator.

    Operands may come every ``interval`` cycles; each stage of the pipeline computes that many
    digits, one per cycle, so a slower divider has fewer stages. Latency: ``latency`` cycles.

    Parameters
    ----------
    lanes : int
        Numerators.
    numerator_width, denominator_width : int
        Signed bits.
    dividend_width : int
        Signed bits that hold 2^f·num + ⌊den/2⌋ + 2^(w-1)·den of every admitted pair.
    width, fraction : int
        Signed bits w of a quotient, and how many of them are fraction, f.
    interval : int
        Least cycles between two denominators.

    Members
    -------
    valid : ``In(1)``
        Operands are there.
    numerators, denominator : ``In``
    error : ``In(1)``
        The quotients are 0, whatever the operands.
    quotients : ``Out(ArrayLayout(signed(width), lanes))``
    guarded : ``Out(1)``
        The denominator was not positive, or ``error`` was set.
    """

    def __init__(
        self, lanes: int, *, numerator_width: int, denominator_width: int, dividend_width: int,
        width: int, fraction: int, interval: int,
    ):
        self.denominator_width = denominator_width
        self.dividend_width = dividend_width
        self.width = width
        self.fraction = fraction
        self.interval = interval
        super().__init__(
            {
                "valid": In(1),
                "numerators": In(data.ArrayLayout(signed(numerator_width), lanes)),
                "denominator": In(signed(denominator_width)),
                "error": In(1),
                "quotients": Out(data.ArrayLayout(signed(width), lanes)),
                "guarded": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from operands to quotients: dividend, range check, digits, saturation."""
        return 2 + self.width + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        width = self.width
        valid = delay(m, self.valid, 2, name="valid", reset=True)
        divisor_1 = register(m, self.denominator, name="divisor_1")
        error = register(m, self.error, name="error")
        positive = register(m, (divisor_1 > 0) & ~error, name="positive")
        divisor = register(m, divisor_1, name="divisor_2")

        low, high, pairs = [], [], []
        for lane, numerator in enumerate(self.numerators):
            dividend = Signal(signed(self.dividend_width), name=f"dividend_{lane}", reset_less=True)
            m.d.sync += dividend.eq(
                (numerator << self.fraction)
                + (self.denominator << (width - 1))
                + (self.denominator >> 1)
            )
            low.append(register(m, dividend < 0, name=f"low_{lane}"))
            high.append(register(m, (dividend >> width) >= divisor_1, name=f"high_{lane}"))
            # Remainder (below the divisor) above the digits still to come.
            pairs.append(
                register(m, dividend[: self.denominator_width + width], name=f"pair_{lane}")
            )

        pairs = self._digits(m, valid, divisor, pairs)

        positive, *outside = delay(m, Cat(positive, *low, *high), width, name="range")
        low, high = outside[: len(low)], outside[len(low) :]
        m.d.comb += self.guarded.eq(register(m, ~positive, name="guarded"))
        top = 1 << (width - 1)
        for lane, pair in enumerate(pairs):
            quotient = (pair[:width] ^ top).as_signed()
            inside = Mux(low[lane], -top, Mux(high[lane], top - 1, quotient))
            m.d.comb += self.quotients[lane].eq(
                register(m, Mux(positive, inside, 0), name=f"quotient_{lane}")
            )
        return m

    def _digits(self, m, valid, divisor, pairs):
        """Quotients of the pairs, ``width`` cycles later, as their low digits."""
        width = self.width
        for begin in range(0, width, self.interval):
            digits = min(self.interval, width - begin)
            name = f"stage_{begin}"
            held = Signal(divisor.shape(), name=f"{name}_divisor", reset_less=True)
            fresh = valid | (self.interval == 1)  # a new divisor every cycle
            with m.If(fresh):
                m.d.sync += held.eq(divisor)
            current = divisor if digits == 1 else Mux(valid, divisor, held)
            stage = []
            for lane, pair in enumerate(pairs):
                state = Signal(len(pair), name=f"{name}_{lane}", reset_less=True)
                source = pair if digits == 1 else Mux(valid, pair, state)
                m.d.sync += state.eq(_digit(source, current, width))
                stage.append(state)
            valid = delay(m, valid, digits, name=f"{name}_valid", reset=True)
            divisor, pairs = held, stage
        return pairs


def _digit(pair, divisor, width):
    """One non-restoring step: shift the pair left, then subtract or add the divisor.

    A negative remainder is the true remainder less the divisor. Adding the divisor to twice that
    equals subtracting it from twice the true remainder, so the digits (1 where the remainder is not
    negative) are those of restoring division, without a multiplexer behind the adder.
    """
    negative = pair[-1]
    addend = divisor.as_unsigned() ^ ~negative.replicate(len(divisor))
    remainder = (pair[width - 1 : -1] + addend + ~negative)[: len(divisor)]
    return Cat(~remainder[-1], pair[: width - 1], remainder)
