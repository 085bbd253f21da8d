# SPDX-License-Identifier: Apache-2.0
"""What the quadratic attention cores share: one pair of tokens is weighted per cycle."""

from amaranth import *

from ecoformer.hw.attention.core import AttentionCore
from ecoformer.hw.lib.pipeline import register
from ecoformer.spec.arithmetic import Arithmetic

__all__ = ["QuadraticCore"]


class QuadraticCore(AttentionCore):
    """Sums over pairs of tokens: Σ_j w_ij·v_j over Σ_j w_ij, a pair per cycle.

    A query of a sequence of N takes N cycles, or, where N is less, as many as its blocks take to
    leave.
    """

    @property
    def initiation_interval(self) -> int:
        return self.config.state_fold.steps + 2

    def _weighted_sums(self, m, value_weight, weight, values, first, valid):
        """Σ value_weight·v and Σ weight over the keys of a query, two cycles later.

        Parameters
        ----------
        m : Module
        value_weight, weight : Value
            Of one key: in the numerator and in the denominator.
        values : Value
            All elements of its value, packed, in the same cycle.
        first, valid : Value
            Whether it is a query's first, and whether there is one; a cycle later.

        Returns
        -------
        sums : list of Signal
            One for every output lane of every step; those beyond the last element are 0.
        denominator : Signal
        """
        config, bits, fold = self.config, Arithmetic(self.config), self.config.state_fold
        sums = []
        for e in range(fold.output_lanes * fold.output_steps):
            used = e < config.value_dim
            element = values.word_select(e, config.value_width).as_signed() if used else C(0)
            product = register(m, value_weight * element, name=f"product_{e}")
            total = Signal(signed(bits.numerator_width), name=f"sum_{e}", reset_less=True)
            with m.If(valid):
                m.d.sync += total.eq(Mux(first, 0, total) + product)
            sums.append(total)
        denominator = Signal(signed(bits.denominator_width), reset_less=True)
        weight_1 = register(m, weight, name="weight_1")
        with m.If(valid):
            m.d.sync += denominator.eq(Mux(first, 0, denominator) + weight_1)
        m.d.comb += self.busy.weighted_sums.eq(valid)
        return sums, denominator

    def _send_blocks(self, m, last, sums, denominator, tag):
        """Send ``sums`` in blocks, as far apart as the normaliser requires.

        The first block leaves a cycle after ``last``; the next ``last`` may come
        ``state_fold.steps + 1`` cycles later.

        Parameters
        ----------
        m : Module
        last : Value
            Strobe: the sums are those of a query.
        sums : list of Value
            One for every output lane of every step.
        denominator : Value
        tag : dict of str to Value
            Fields of the `Tag`.
        """
        fold, blocks, block = self.config.state_fold, self.blocks, self.blocks.payload
        waiting = Signal(len(sums) * len(sums[0]), reset_less=True)
        blocks_left = Signal(range(fold.output_steps + 1))
        pace = Signal(range(fold.input_steps))
        held_tag = Signal(block.tag.shape(), reset_less=True)
        lanes_bits = fold.output_lanes * len(sums[0])
        with m.If(last):
            m.d.sync += [
                waiting.eq(Cat(*sums)),
                block.denominator.eq(denominator),
                blocks_left.eq(fold.output_steps),
                pace.eq(0),
            ]
            m.d.sync += [held_tag[name].eq(field) for name, field in tag.items()]
        with m.Elif(blocks_left != 0):
            m.d.sync += pace.eq(Mux(pace == 0, fold.input_steps - 1, pace - 1))
            with m.If(blocks.valid):
                m.d.sync += [waiting.eq(waiting >> lanes_bits), blocks_left.eq(blocks_left - 1)]
        m.d.comb += [
            blocks.valid.eq((blocks_left != 0) & (pace == 0)),
            block.numerators.as_value().eq(waiting),
            block.final.eq(blocks_left == 1),
            block.tag.eq(held_tag),
        ]
