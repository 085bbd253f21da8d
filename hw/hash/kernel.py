# SPDX-License-Identifier: Apache-2.0
"""Kernel value of a dot product: reciprocal root of the norm, scaling, exponential table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.table import Table
from ecoformer.spec.arithmetic import BIAS_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import (
    DOT_FRACTION,
    KERNEL_INDEX_BITS,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    ROOT_INDEX_BITS,
    exponential_table,
    reciprocal_root_table,
)

__all__ = ["KernelLane", "RootUnit"]


class RootUnit(wiring.Component):
    """Exponent and reciprocal root of a squared norm.

    Latency: ``LATENCY`` cycles, one norm per cycle.

    Parameters
    ----------
    config : Config

    Members
    -------
    norm : ``In(norm_width)``
    exponent : ``Out``
        e with 4^(e-1) ≤ norm < 4^e; 0 for norm 0.
    root : ``Out``
        2^10·2^e/√norm from the table.
    """

    LATENCY = 3 + Table.LATENCY

    def __init__(self, config: Config):
        bits = Arithmetic(config)
        self.max_exponent = bits.max_exponent
        super().__init__(
            {
                "norm": In(bits.norm_width),
                "exponent": Out(range(self.max_exponent + 1)),
                "root": Out(ROOT_FRACTION + 1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.table = table = Table(reciprocal_root_table(), ROOT_FRACTION + 1)

        used = register(
            m, Cat(self.norm[2 * e : 2 * e + 2].any() for e in range(self.max_exponent)),
            name="used",
        )
        exponent = Signal(self.exponent.shape())
        m.d.sync += exponent.eq(0)
        for e in range(self.max_exponent):  # the highest pair of bits wins
            with m.If(used[e]):
                m.d.sync += exponent.eq(e + 1)
        norm = delay(m, self.norm, 2, name="norm")

        # ⌊norm·2^10 / 4^e⌋ as the leading bits after a left shift by whole pairs.
        width = 2 * self.max_exponent
        padding = max(ROOT_INDEX_BITS - width, 0)
        aligned = Signal(width + padding)
        pairs = Signal(range(self.max_exponent + 1))
        m.d.comb += [
            pairs.eq(self.max_exponent - exponent),
            aligned.eq((norm << padding) << Cat(C(0, 1), pairs)),
            table.index.eq(register(m, aligned[-ROOT_INDEX_BITS:], name="index")),
            self.root.eq(table.value),
            self.exponent.eq(delay(m, exponent, 1 + Table.LATENCY, name="exponent")),
        ]
        return m


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

        scaled = _shift_right(
            m, self.dot << DOT_FRACTION, self.exponent, bits.scaled_dot_width, name="scaled"
        )
        scaled = register(m, scaled, name="factor")  # the multiplier may lie far from the shift
        root = delay(m, self.root, 3, name="root")
        cosine = Signal(signed(bits.cosine_width), reset_less=True)
        m.d.sync += cosine.eq(scaled * root)
        shift = delay(m, self.shift, 4, name="shift")
        shifted = _shift_right(m, cosine, shift, bits.cosine_width, name="shifted")
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


def _shift_right(m, value, amount, width, *, name):
    """Low ``width`` bits of ``value >> amount``, signed, in two cycles: coarse, then fine."""
    fine = (len(amount) + 1) // 2
    coarse = register(m, value >> Cat(C(0, fine), amount[fine:]), name=f"{name}_coarse")
    rest = register(m, amount[:fine], name=f"{name}_fine")
    return register(m, (coarse >> rest)[:width].as_signed(), name=name)
