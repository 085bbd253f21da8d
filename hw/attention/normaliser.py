# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""From the numerators and the denominator of a token to its quotients."""

from itertools import groupby

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.divider import Divider
from ecoformer.hw.lib.pipeline import delay, delays
from ecoformer.hw.stream.payloads import Block, Busy, Quotients
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.units import normaliser_units

__all__ = ["Normaliser"]


class Normaliser(wiring.Component):
    """Divides every numerator of a block by its denominator.

    Blocks may come every ``interval`` cycles (the input steps of the state's fold); each stage of
    the pipeline computes that many quotient digits, one per cycle, so a slower engine has fewer
    stages. Latency: ``latency`` cycles.

    Parameters
    ----------
    config : Config
    lags : list of int
        Of each numerator, the cycles by which it trails the denominator: 0, 1, … without a gap, in
        ascending order.

    Members
    -------
    i : ``In(stream.Signature(Block))``
    o : ``Out(stream.Signature(Quotients))``
        Neither can be stalled.
    busy : ``Out(Busy)``
        The first stage makes a digit; the others do the same later.
    """

    def __init__(self, config: Config, lags: list[int] | None = None):
        self.config = config
        self.interval = config.state_fold.input_steps
        lags = lags or [0] * config.state_fold.output_lanes
        self.columns = [list(lanes) for _, lanes in groupby(range(len(lags)), lags.__getitem__)]
        bits = Arithmetic(config)
        self.dividers = [
            Divider(
                len(lanes),
                numerator_width=bits.numerator_width,
                denominator_width=bits.denominator_width,
                dividend_width=bits.dividend_width,
                width=config.output_width,
                fraction=config.output_fraction,
                interval=self.interval,
            )
            for lanes in self.columns
        ]
        super().__init__(
            {
                "i": In(stream.Signature(Block(config), always_ready=True)),
                "o": Out(stream.Signature(Quotients(config), always_ready=True)),
                "busy": Out(Busy(normaliser_units(config))),
            }
        )

    @property
    def latency(self) -> int:
        """That of a divider, plus the largest lag."""
        return self.dividers[0].latency + len(self.columns) - 1

    def elaborate(self, platform) -> Module:
        m = Module()
        digits, block = min(self.interval, self.config.output_width), self.i.payload

        # Lanes of the same lag share a divider and a delayed denominator; quotients are realigned.
        last = len(self.columns) - 1
        arrived = delays(m, self.i.valid, last, name="arrived", reset=True)
        errors = delays(m, block.tag.error, last, name="error")
        denominators = delays(m, block.denominator, last, name="denominator")
        for g, (lanes, divider) in enumerate(zip(self.columns, self.dividers, strict=True)):
            m.submodules[f"divider_{g}"] = divider
            m.d.comb += [
                divider.valid.eq(arrived[g]),
                divider.denominator.eq(denominators[g]),
                divider.error.eq(errors[g]),
                *(divider.numerators[i].eq(block.numerators[n]) for i, n in enumerate(lanes)),
            ]
            for i, lane in enumerate(lanes):
                element = delays(m, divider.quotients[i], last - g, name=f"element_{lane}")[-1]
                m.d.comb += self.o.payload.elements[lane].eq(element)

        # Signals of equal delay share a memory.
        beside = delay(m, Cat(block.final, block.tag.as_value()), self.latency, name="tag")
        m.d.comb += [
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
            Cat(self.o.payload.final, self.o.payload.tag.as_value()).eq(beside),
            # Of the last divider, whose quotients are not delayed.
            self.o.payload.guarded.eq(divider.guarded),
            self.busy.quotient_digits.eq(
                Cat(delays(m, self.i.valid, 1 + digits, name="busy", reset=True)[2:]).any()
            ),
        ]
        return m
