# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The linear hash: a projection of the token itself."""

from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ecoformer.hw.hash.projection import Projection, SerialProjection
from ecoformer.hw.hash.unit import WAITING, HashUnit
from ecoformer.hw.parameters.memory import Slots
from ecoformer.spec.config import Config

__all__ = ["LinearHash", "SerialLinearHash"]


class LinearHash(HashUnit):
    """`HashUnit` for sign(W·x - t), without multipliers where the weights need none."""

    projection_class = Projection
    unit = "projection_products"
    """The unit of `Family.units` that works."""

    def __init__(self, config: Config, slots: Slots):
        super().__init__(config, slots)
        self.projection = self.projection_class(config, slots, signed(config.token_width), WAITING)

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.hash == "linear"

    @property
    def pipeline_latency(self) -> int:
        return self.projection.latency

    def pipeline(self, m: Module, start: Value) -> tuple[Value, Value]:
        m.submodules.projection = projection = self.projection
        connect(m, flipped(self.write), projection.write)
        m.d.comb += [
            projection.start.eq(start),
            projection.slot.eq(self.i.payload.slot),
            self.busy[self.unit].eq(projection.active),
        ]
        self._project(m)
        return projection.done, projection.code

    def _project(self, m):
        """Pass the token's elements to the projection."""
        m.d.comb += self.projection.vector.eq(self.i.payload.x.as_value())


class SerialLinearHash(LinearHash):
    """`LinearHash` of elements that come one at a time."""

    projection_class = SerialProjection

    @classmethod
    def fits(cls, config: Config) -> bool:
        return super().fits(config) and config.is_serial

    def _project(self, m):
        connect(m, flipped(self.i.x), self.projection.elements)
