# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The linear attention core of a serial engine, which gets values one element at a time."""

from amaranth import *
from amaranth.lib import wiring

from ecoformer.hw.attention.accumulate import AccumulateCore
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.lib.element_queue import ElementQueue
from ecoformer.spec.config import Config

__all__ = ["SerialCore"]


class SerialCore(AccumulateCore):
    """`AccumulateCore` with one lane, whose values wait in a memory instead of in the key."""

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.values = ElementQueue(config.value_dim, signed(config.value_width), upstream)

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.is_serial

    def _array(self, **shape):
        return StateArray(banks=self.banks, serial=True, **shape)

    def _values(self, m, operand, steps, key_go):
        m.submodules.values = queue = self.values
        wiring.connect(m, wiring.flipped(self.keys.v), queue.write)
        m.d.comb += [queue.follow.eq(key_go), queue.index.eq(steps.output_step)]
        return queue.element
