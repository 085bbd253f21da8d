# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The Hadamard hash: a rotation of the token by inverters and adders."""

from amaranth import *

from ecoformer.hw.hash.linear import LinearHash, SerialLinearHash
from ecoformer.hw.hash.projection import Projection, SerialProjection
from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.lib.walsh import WalshHadamard
from ecoformer.hw.parameters.memory import ParameterMemory
from ecoformer.spec.config import Config

__all__ = ["HadamardHash", "SerialHadamardHash"]


class Rotation(Projection):
    """`Projection` onto the rows of a Hadamard matrix with signs, whose rows are of one group."""

    def _groups(self):
        return [range(self.fold.output_lanes)]

    def _product(self, rows, element):
        return WalshHadamard(self.fold, element, self.bits.projection_width)

    def _weights(self, rows):
        return range(self.fold.rotations_of_step * self.fold.input_lanes)

    def _place(self, steps):
        return {**super()._place(steps), "input_step": steps.input_step}

    def _part(self, m, index, first, vector, step, output_step, input_step, slot):
        product = self.products[index]
        for name, number in (("input_step", input_step), ("output_step", output_step)):
            late = delay(m, number, ParameterMemory.LATENCY, name=f"{name}_late")
            m.d.comb += getattr(product, name).eq(late)
        return super()._part(m, index, first, vector, step, output_step, slot)


class SerialRotation(SerialProjection, Rotation):
    """`Rotation` of vectors that come element by element and wait in block RAM."""


class HadamardHash(LinearHash):
    """`HashUnit` for sign(H·(s∘x) - t), without weights."""

    projection_class = Rotation
    unit = "additions"

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.hash == "hadamard"


class SerialHadamardHash(SerialLinearHash):
    """`HadamardHash` of elements that come one at a time."""

    projection_class = SerialRotation
    unit = HadamardHash.unit

    @classmethod
    def fits(cls, config: Config) -> bool:
        return HadamardHash.fits(config) and config.is_serial
