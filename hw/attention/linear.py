# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What the linear attention cores share: sums that grow with every key, and queries of them.

Time is cut into slots of k cycles, in which the rows of the state are walked through. Latencies are
fixed: a slot never stalls once it has begun, and begins only if there is room for its result
(``grant``).
"""

from functools import cached_property

from amaranth import *

from ecoformer.hw.attention.core import AttentionCore
from ecoformer.hw.attention.state import SignedSum
from ecoformer.hw.attention.value_term import ValueTerm
from ecoformer.hw.lib.pipeline import block_of, delay, delays, register
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config

__all__ = ["LinearCore"]


class LinearCore(AttentionCore):
    """Linear form: S += h·vᵀ, z += h, V += v; then (hᵀS << g) + C·V over (hᵀz << g) + C·n.

    With ``value_term = "own"`` a token's own value replaces V. Subclasses differ in when a token is
    accumulated and queried, and in how S is kept and multiplied by a query.
    """

    value_terms: dict[str, type[ValueTerm]]
    """Class of every ``value_term``."""

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.bits = bits = Arithmetic(config)
        self.fold = config.state_fold
        self.code_fold = config.code_fold
        self.asking = config.sides.query.code
        self.state = self._state()
        self.value_term = self.value_terms[config.value_term](self)
        self.code_sums = self._array(
            depth=self.code_fold.steps,
            input_lanes=self.code_fold.input_lanes,
            output_lanes=1,
            width=bits.code_sum_width,
            value_width=2,
        )
        self.similarity = SignedSum(
            self.code_fold, bits.code_sum_width, bits.similarity_sum_width
        )

    @cached_property
    def value_sum(self) -> SignedSum:
        """Adds up the rows of S for a query."""
        return SignedSum(self.fold, self.bits.row_width, self.bits.value_sum_width)

    def _array(self, **shape):
        """Sums that are kept like the state."""
        raise NotImplementedError

    @property
    def numerator_time(self) -> int:
        """Cycles from a slot's first step to its first numerators: row, sum, total."""
        return (self.fold.input_steps - 1) + self.sum_time + 1

    @property
    def sum_time(self) -> int:
        """Cycles from the last step of a block to its sums."""
        return self.state.latency + self.value_sum.latency

    @property
    def denominator_time(self) -> int:
        """Cycles from a slot's first step to its denominator: row, sum, total."""
        return (self.code_fold.steps - 1) + self.code_sums.latency + self.similarity.latency + 1

    @property
    def latency(self) -> int:
        return 1 + max(self.numerator_time, self.denominator_time)

    @property
    def initiation_interval(self) -> int:
        return self.config.cycles_per_token

    @property
    def lead(self) -> int:
        """Two cycles where a slot is long enough to be decided ahead."""
        return min(2, self.config.cycles_per_token.bit_length() - 1)

    def _decided(self, m, value, name):
        """``value`` of the cycle before, where slots are longer than a cycle.

        Conditions are only used up when a slot begins, and the next one begins at least two cycles
        later: a decision may be late but is never wrong. This keeps the long paths from the buffers
        out of the cycle in which a slot starts.
        """
        return delay(m, value, min(self.lead, 1), name=f"{name}_decided", reset=True)

    def _add_up(self, m, name, array, total, walk, code, has_query):
        """Let ``total`` add up the rows of ``array`` with the signs of ``code``."""
        inputs = {
            "signs": block_of(code, walk.input_block, total.fold.input_lanes),
            "last": walk.last & has_query,
        }
        if total.accumulates:
            inputs["first"] = walk.first
        if total.is_uneven:
            inputs["partial"] = walk.input_block[-1]
        for member, value in inputs.items():
            late = delay(m, value, array.latency, name=f"{name}_{member}", reset=member == "last")
            m.d.comb += getattr(total, member).eq(late)
        m.d.comb += total.row.eq(array.row)

    # -- how S is kept and queried ---------------------------------------------------------------

    def _state(self):
        """The component that keeps S."""
        raise NotImplementedError

    def _values(self, m, operand, steps, key_go):
        """Values of a step's block: the lowest, so that the lanes need no multiplexer."""
        lanes, width = self.fold.output_lanes, self.config.value_width
        values = operand.v.as_value()[: lanes * width]
        if self.fold.output_steps > 1:
            with m.If(steps.last & ~key_go):
                m.d.sync += operand.v.as_value().eq(operand.v.as_value() >> lanes * width)
        return Cat(values, C(0, lanes * width - len(values)))

    def _sums(self, m, steps, signs, has_query):
        """Rows of the state added up with ``signs``; ``sum_time`` after a block's last step."""
        m.submodules.value_sum = self.value_sum
        self._add_up(m, "row", self.state, self.value_sum, steps, signs, has_query)
        return self.value_sum.sums

    def _results(self, m, steps, has_query, query, tag, sums, offset_values):
        """Offset terms and totals; numerators and denominator leave together, with a ``tag``."""
        bits, g = self.bits, self.config.offset_fraction
        late = self.denominator_time - self.numerator_time

        # Registered operands: the multiplier block then uses its input registers. Where there is
        # time they have another one on the way, because it may lie far from them.
        wait = self.denominator_time - 3
        way = min(wait, 1)
        count, offset = (
            delay(m, query[name], 1 + way, name=f"{name}_operand") for name in ("count", "offset")
        )
        offset_term = register(m, count * offset, name="offset_count")
        offset_term = delay(m, offset_term, wait - way, name="offset_count")
        denominator = register(
            m, (self.similarity.sums[0] << g) + offset_term, name="denominator"
        )
        denominator = delay(m, denominator, max(0, -late), name="denominator")

        block = self.blocks.payload
        m.d.comb += block.denominator.eq(denominator)
        wait = self.sum_time - self.value_term.latency - 2
        way = min(wait, 1)
        row_offset = delay(m, query.offset, self.value_term.latency + 1 + way, name="row_offset")
        offsets = delays(m, row_offset, max(self.lags), name="column_offset")
        for lane, offset in enumerate(offsets[lag] for lag in self.lags):
            value = delay(m, offset_values[lane], 1 + way, name=f"offset_operand_{lane}")
            offset_term = register(m, value * offset, name=f"offset_value_{lane}")
            offset_term = delay(m, offset_term, wait - way, name=f"offset_value_{lane}")
            numerator = register(m, (sums[lane] << g) + offset_term, name=f"numerator_{lane}")
            # With own values the sum may be narrower; a plain slice would not sign-extend it.
            numerator = numerator[: bits.numerator_width].as_signed()
            m.d.comb += block.numerators[lane].eq(
                delay(m, numerator, max(0, late), name=f"numerator_{lane}")
            )

        travel = self.latency - self.fold.input_steps  # from a block's last step to the block
        sent = Signal(block.tag.shape(), name="tag")
        m.d.comb += [
            *(sent[name].eq(field) for name, field in tag.items()),
            Cat(block.final, block.tag.as_value()).eq(
                delay(m, Cat(steps.done, sent.as_value()), travel, name="tag")
            ),
            self.blocks.valid.eq(
                delay(m, steps.last & has_query, travel, name="block_valid", reset=True)
            ),
        ]

