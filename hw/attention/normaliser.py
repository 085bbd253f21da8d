"""Exact quotient num/den, rounded half up and saturated: a pipeline of division digits.

    out = ⌊(2^f·num + ⌊den/2⌋) / den⌋, limited to output_width bits;  den ≤ 0: out = 0

Adding 2^(w-1)·den first makes every in-range quotient a w-bit natural number, so saturation is two
comparisons before the first digit and the division needs exactly w digits of den's width.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.systolic_array import columns
from ecoformer.hw.lib.pipeline import delay, delays, register
from ecoformer.hw.stream.payloads import Block, Busy, Tag
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.units import normaliser_units

__all__ = ["Normaliser", "Quotients"]


class Quotients(data.StructLayout):
    """A few output elements of one token; ``final`` marks the token's last.

    ``guarded``: the denominator was not positive. Elements of a bad packet are 0.
    """

    def __init__(self, config):
        super().__init__(
            {
                "elements": data.ArrayLayout(
                    signed(config.output_width), config.state_fold.output_lanes
                ),
                "final": 1,
                "guarded": 1,
                "tag": Tag(config),
            }
        )


class Normaliser(wiring.Component):
    """Divides every numerator of a block by its denominator.

    Blocks may come every ``interval`` cycles (the input steps of the state's fold); each stage of
    the pipeline computes that many quotient digits, one per cycle, so a slower engine has fewer
    stages. Latency: ``latency`` cycles.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(Block))``
    o : ``Out(stream.Signature(Quotients))``
        Neither can be held back.
    busy : ``Out(Busy)``
        The first stage makes a digit. The others do the same, later.
    """

    def __init__(self, config):
        self.config = config
        self.bits = Arithmetic(config)
        self.interval = config.state_fold.input_steps
        super().__init__(
            {
                "i": In(stream.Signature(Block(config), always_ready=True)),
                "o": Out(stream.Signature(Quotients(config), always_ready=True)),
                "busy": Out(Busy(normaliser_units(config))),
            }
        )

    @property
    def latency(self):
        """That of a divider, whose last column is late."""
        return divider_latency(self.config) + len(columns(self.config)) - 1

    def elaborate(self, platform):
        m = Module()
        digits, block = min(self.interval, self.config.output_width), self.i.payload

        # A late column of lanes has a denominator of its own, as late; quotients wait for the last.
        groups = columns(self.config)
        last = len(groups) - 1
        arrived = delays(m, self.i.valid, last, name="arrived", reset=True)
        errors = delays(m, block.tag.error, last, name="error")
        denominators = delays(m, block.denominator, last, name="denominator")
        for g, lanes in enumerate(groups):
            m.submodules[f"divider_{g}"] = divider = Divider(self.config, len(lanes))
            m.d.comb += [
                divider.valid.eq(arrived[g]),
                divider.denominator.eq(denominators[g]),
                divider.error.eq(errors[g]),
                *(divider.numerators[i].eq(block.numerators[n]) for i, n in enumerate(lanes)),
            ]
            for i, lane in enumerate(lanes):
                element = delays(m, divider.quotients[i], last - g, name=f"element_{lane}")[-1]
                m.d.comb += self.o.payload.elements[lane].eq(element)

        # What waits equally long waits in one memory.
        beside = delay(m, Cat(block.final, block.tag.as_value()), self.latency, name="tag")
        m.d.comb += [
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
            Cat(self.o.payload.final, self.o.payload.tag.as_value()).eq(beside),
            self.o.payload.guarded.eq(divider.guarded),  # the last one's, which waits for nothing
            self.busy.quotient_digits.eq(
                Cat(delays(m, self.i.valid, 1 + digits, name="busy", reset=True)[2:]).any()
            ),
        ]
        return m


def divider_latency(config):
    """Cycles from a numerator to its quotient: dividend, range check, digits, saturation."""
    return 2 + config.output_width + 1


class Divider(wiring.Component):
    """Some lanes of a `Normaliser`, with their own copy of the denominator.

    Latency: :func:`divider_latency`.

    Parameters
    ----------
    config : Config
    lanes : int

    Members
    -------
    valid : ``In(1)``
        A block is there; every ``interval`` cycles at most.
    numerators, denominator : ``In``
        As of `hw.stream.payloads.Block`.
    error : ``In(1)``
        Of a bad packet, whose result is 0.
    quotients : ``Out(ArrayLayout(signed(output_width), lanes))``
    guarded : ``Out(1)``
        The denominator was not positive, or the packet bad.
    """

    def __init__(self, config, lanes):
        self.config = config
        self.bits = bits = Arithmetic(config)
        self.interval = config.state_fold.input_steps
        super().__init__(
            {
                "valid": In(1),
                "numerators": In(data.ArrayLayout(signed(bits.numerator_width), lanes)),
                "denominator": In(signed(bits.denominator_width)),
                "error": In(1),
                "quotients": Out(data.ArrayLayout(signed(config.output_width), lanes)),
                "guarded": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, bits = self.config, self.bits
        width = c.output_width
        valid = delay(m, self.valid, 2, name="valid", reset=True)
        divisor_1 = register(m, self.denominator, name="divisor_1")
        error = register(m, self.error, name="error")
        positive = register(m, (divisor_1 > 0) & ~error, name="positive")
        divisor = register(m, divisor_1, name="divisor_2")

        low, high, pairs = [], [], []
        for lane, numerator in enumerate(self.numerators):
            dividend = Signal(signed(bits.dividend_width), name=f"dividend_{lane}", reset_less=True)
            m.d.sync += dividend.eq(
                (numerator << c.output_fraction)
                + (self.denominator << (width - 1))
                + (self.denominator >> 1)
            )
            low.append(register(m, dividend < 0, name=f"low_{lane}"))
            high.append(register(m, (dividend >> width) >= divisor_1, name=f"high_{lane}"))
            # Remainder (below the divisor) above the digits still to come.
            pairs.append(
                register(m, dividend[: bits.denominator_width + width], name=f"pair_{lane}")
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
        """Quotients of the pairs, ``output_width`` cycles later, as their low digits."""
        width = self.config.output_width
        for begin in range(0, width, self.interval):
            digits = min(self.interval, width - begin)
            name = f"stage_{begin}"
            held = Signal(divisor.shape(), name=f"{name}_divisor", reset_less=True)
            fresh = valid | (self.interval == 1)  # then there is another to come in every cycle
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
    """One non-restoring step: shift the pair left, move the remainder to the other side of zero.

    A remainder that is negative is the true one less the divisor. Twice that and the divisor is
    what subtracting it from twice the true one gives, so the digits, whether the remainder is
    positive after a step, are those of restoring division; but an adder takes no choice behind it.
    """
    negative = pair[-1]
    addend = divisor.as_unsigned() ^ ~negative.replicate(len(divisor))
    remainder = (pair[width - 1 : -1] + addend + ~negative)[: len(divisor)]
    return Cat(~remainder[-1], pair[: width - 1], remainder)
