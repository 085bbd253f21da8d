# SPDX-License-Identifier: Apache-2.0
"""Steps of a folded unit: which block of inputs and which of outputs it works on."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Steps"]


class Steps(wiring.Component):
    """Walks through the steps of a fold, once per ``start``.

    ``start`` in cycle t makes steps 0, 1, … appear in cycles t+1, t+2, …; a new start is accepted
    in the cycle of the last step, so back-to-back tokens need ``steps`` cycles each.

    Parameters
    ----------
    input_steps, output_steps : int
        Steps run over the inputs first.

    Members
    -------
    start : ``In(1)``
    active : ``Out(1)``
    step : ``Out(range(input_steps * output_steps))``
    input_step, output_step : ``Out(range(input_steps))``, ``Out(range(output_steps))``
    input_block, output_block : ``Out(input_steps)``, ``Out(output_steps)``
        Block of inputs and of outputs, one-hot.
    first, last : ``Out(1)``
        First and last step of an output block, while active.
    done : ``Out(1)``
        Last step of all, while active.
    """

    def __init__(self, input_steps: int, output_steps: int):
        self.input_steps = input_steps
        self.output_steps = output_steps
        super().__init__(
            {
                "start": In(1),
                "active": Out(1),
                "step": Out(ceil_log2(input_steps * output_steps)),
                "input_step": Out(ceil_log2(input_steps)),
                "output_step": Out(ceil_log2(output_steps)),
                "input_block": Out(input_steps, init=1),
                "output_block": Out(output_steps, init=1),
                "first": Out(1),
                "last": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        last = self.input_block[-1]
        ends = last & self.output_block[-1]
        m.d.comb += [
            self.first.eq(self.active & self.input_block[0]),
            self.last.eq(self.active & last),
            self.done.eq(self.active & ends),
        ]
        # After the last step everything is where a token begins, so that `start`, which depends on
        # much and comes late, drives one register.
        m.d.sync += self.active.eq(self.start | (self.active & ~ends))
        with m.If(self.active):
            m.d.sync += [
                self.step.eq(Mux(ends, 0, self.step + 1)),
                self.input_step.eq(Mux(last, 0, self.input_step + 1)),
                self.input_block.eq(self.input_block.rotate_left(1)),
            ]
            with m.If(last):
                m.d.sync += [
                    self.output_step.eq(Mux(ends, 0, self.output_step + 1)),
                    self.output_block.eq(self.output_block.rotate_left(1)),
                ]
        return m
