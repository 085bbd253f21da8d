# SPDX-License-Identifier: Apache-2.0
"""Kernel value of a dot product: scaling, exponential table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register, shift_right
from ecoformer.hw.lib.table import Table
from ecoformer.spec.arithmetic import BIAS_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import (
    DOT_FRACTION,
    KERNEL_INDEX_BITS,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    exponential_table,
)

__all__ = ["KernelLane"]


class KernelLane(wiring.Component):
    """κ of one dot product: scale by 1/‖x‖, subtract from the bias, look up the exponential.

    Latency: ``LATENCY`` cycles, one dot product per cycle.

    Parameters
    ----------
    config : Config

    Members
    -------
    dot : ``In(signed(dot_width))``
    exponent, root, shift : ``In``
        Of the token and its parameter set; taken with the dot product.
    bias : ``In(signed(16))``
    kernel : ``Out(9)``
    """

    LATENCY = 9 + Table.LATENCY

    def __init__(self, config: Config):
        self.bits = bits = Arithmetic(config)
        super().__init__(
            {
                "dot": In(signed(bits.dot_width)),
                "exponent": In(range(bits.max_exponent + 1)),
                "root": In(ROOT_FRACTION + 1),
                "shift": In(SHIFT_WIDTH),
                "bias": In(signed(BIAS_WIDTH)),
                "kernel": Out(KERNEL_WIDTH),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self.bits
        m.submodules.table = table = Table(exponential_table(), KERNEL_WIDTH)

        scaled = shift_right(
            m, self.dot << DOT_FRACTION, self.exponent, bits.scaled_dot_width, name="scaled"
        )
        scaled = register(m, scaled, name="factor")  # the multiplier may lie far from the shift
        root = delay(m, self.root, 3, name="root")
        cosine = Signal(signed(bits.cosine_width), reset_less=True)
        m.d.sync += cosine.eq(scaled * root)
        shift = delay(m, self.shift, 4, name="shift")
        shifted = shift_right(m, cosine, shift, bits.cosine_width, name="shifted")
        bias = delay(m, self.bias, 6, name="bias")
        argument = register(m, bias - shifted, name="argument")
        # Clamped to the table: compare first, build the index in the next cycle.
        below = register(m, argument < 0, name="below")
        above = register(m, argument[KERNEL_INDEX_BITS:].any(), name="above")
        inside = register(m, argument[:KERNEL_INDEX_BITS], name="inside")
        index = Signal(KERNEL_INDEX_BITS, reset_less=True)
        m.d.sync += index.eq(Mux(below, 0, inside | above.replicate(KERNEL_INDEX_BITS)))
        m.d.comb += [table.index.eq(index), self.kernel.eq(table.value)]
        return m
