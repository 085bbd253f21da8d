# SPDX-License-Identifier: Apache-2.0
"""What the offset multiplies in the numerators of a linear core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import *
from amaranth.lib import data

from ecoformer.hw.lib.pipeline import block_of, delay
from ecoformer.hw.lib.steps import Steps

if TYPE_CHECKING:
    from ecoformer.hw.attention.linear import LinearCore

__all__ = ["OwnValues", "ValueSums", "ValueTerm"]


class ValueTerm:
    """One choice of ``value_term``, as part of a core's module.

    Parameters
    ----------
    core : LinearCore

    Attributes
    ----------
    ring_fields : tuple of str
        Fields of a key that wait for its query beside the code.
    arrays : tuple of StateArray
        Sums that are kept and banked like the state.
    in_state : bool
        The component that keeps the state keeps V as well.
    """

    in_state: bool = False
    ring_fields: tuple[str, ...] = ()
    arrays: tuple = ()

    def __init__(self, core: LinearCore):
        self.core = core

    @property
    def latency(self) -> int:
        """Cycles from a step to the values that its offset multiplies, in lanes without a lag."""
        raise NotImplementedError

    def add(self, m: Module) -> None:
        """Add the component that keeps the values, if there is one."""

    def accumulate(self, m: Module, steps: Steps, values: Value, has_key: Value) -> None:
        """Add up the ``values`` of a step's block."""

    def values(self, m: Module, query_key: data.View, steps: Steps) -> data.View:
        """One value for every lane, ``latency`` and the lane's lag after its step."""
        raise NotImplementedError


class ValueSums(ValueTerm):
    """The sum V of all values, a block of it in each row of an array (paper)."""

    def __init__(self, core: LinearCore):
        super().__init__(core)
        config, fold = core.config, core.fold
        self.array = core._array(
            depth=fold.output_steps,
            input_lanes=1,
            output_lanes=fold.output_lanes,
            width=core.bits.plain_sum_width,
            value_width=config.value_width,
        )
        self.arrays = (self.array,)

    @property
    def latency(self) -> int:
        return self.array.latency

    def add(self, m: Module) -> None:
        m.submodules.value_sums = self.array

    def accumulate(self, m: Module, steps: Steps, values: Value, has_key: Value) -> None:
        array = self.array
        m.d.comb += [
            # Replaced with a block's last row, when the query has had it all the time.
            array.address.eq(steps.output_step),
            array.accumulate.eq(steps.last & has_key),
            array.signs.eq(1),
            array.values.as_value().eq(values),
            self.core.busy.value_sums.eq(array.accumulate),
        ]

    def values(self, m: Module, query_key: data.View, steps: Steps) -> data.View:
        return self.array.row


class OwnValues(ValueTerm):
    """The token's own value, which waits in the ring (released code)."""

    ring_fields = ("v",)

    @property
    def latency(self) -> int:
        return self.core.state.latency

    def values(self, m: Module, query_key: data.View, steps: Steps) -> data.View:
        layout = data.ArrayLayout(signed(self.core.config.value_width), self.core.fold.output_lanes)
        own = block_of(query_key.v, steps.output_block, layout.size)
        return data.View(layout, delay(m, own, self.latency, name="own_values"))
