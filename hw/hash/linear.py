# amaranth: UnusedElaboratable=no
"""The linear hash: a projection of the token itself."""

from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ecoformer.hw.hash.projection import Projection
from ecoformer.hw.hash.unit import WAITING, HashUnit

__all__ = ["LinearHash"]


class LinearHash(HashUnit):
    """sign(W·x - t); without a multiplier where the weights need none. A `HashUnit` otherwise."""

    def __init__(self, config, slots):
        self.projection = Projection(config, slots, signed(config.token_width), WAITING)
        super().__init__(config, slots)

    @property
    def pipeline_latency(self):
        return self.projection.latency

    def pipeline(self, m, start):
        m.submodules.projection = projection = self.projection
        connect(m, flipped(self.write), projection.write)
        m.d.comb += [
            projection.start.eq(start),
            projection.slot.eq(self.i.payload.slot),
            self.busy.projection_products.eq(projection.active),
        ]
        if self.config.is_serial:
            connect(m, flipped(self.elements), projection.elements)
        else:
            m.d.comb += projection.vector.eq(self.i.payload.x.as_value())
        return projection.done, projection.code
