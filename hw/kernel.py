"""Kernel value of a dot product: reciprocal root of the norm, scaling, exponential table."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.arithmetic import (
    BIAS_WIDTH,
    DOT_FRACTION,
    KERNEL_INDEX_BITS,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    ROOT_INDEX_BITS,
    SHIFT_WIDTH,
    Arithmetic,
    exponential_table,
    reciprocal_root_table,
)
from hw.pipeline import delay, register

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

    LATENCY = 3

    def __init__(self, config):
        bits = Arithmetic(config)
        self.max_exponent = bits.max_exponent
        super().__init__(
            {
                "norm": In(bits.norm_width),
                "exponent": Out(range(self.max_exponent + 1)),
                "root": Out(ROOT_FRACTION + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = memory.Memory(
            shape=unsigned(ROOT_FRACTION + 1),
            depth=1 << ROOT_INDEX_BITS,
            init=reciprocal_root_table(),
        )
        lookup = table.read_port()

        exponent = Signal(self.exponent.shape())
        for e in range(1, self.max_exponent + 1):  # the last, highest, pair of bits wins
            with m.If(self.norm[2 * e - 2 : 2 * e].any()):
                m.d.sync += exponent.eq(e)
        with m.If(~self.norm.any()):
            m.d.sync += exponent.eq(0)
        norm = register(m, self.norm, name="norm_1")

        # ⌊norm·2^10 / 4^e⌋ as the leading bits after a left shift by whole pairs.
        width = 2 * self.max_exponent
        padding = max(ROOT_INDEX_BITS - width, 0)
        aligned = Signal(width + padding)
        pairs = Signal(range(self.max_exponent + 1))
        m.d.comb += [
            pairs.eq(self.max_exponent - exponent),
            aligned.eq((norm << padding) << Cat(C(0, 1), pairs)),
            lookup.addr.eq(register(m, aligned[-ROOT_INDEX_BITS:], name="index_2")),
            self.root.eq(lookup.data),
            self.exponent.eq(delay(m, exponent, 2, name="exponent")),
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
    kernel : ``Out(8)``
    """

    LATENCY = 5

    def __init__(self, config):
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

    def elaborate(self, platform):
        m = Module()
        bits = self.bits
        m.submodules.table = table = memory.Memory(
            shape=unsigned(KERNEL_WIDTH), depth=1 << KERNEL_INDEX_BITS, init=exponential_table()
        )
        lookup = table.read_port()

        scaled = Signal(signed(bits.scaled_dot_width), reset_less=True)
        cosine = Signal(signed(bits.cosine_width), reset_less=True)
        shifted = Signal(signed(bits.cosine_width), reset_less=True)
        index = Signal(KERNEL_INDEX_BITS, reset_less=True)
        root = register(m, self.root, name="root_1")
        shift = delay(m, self.shift, 2, name="shift")
        argument = delay(m, self.bias, 3, name="bias") - shifted
        m.d.sync += [
            scaled.eq((self.dot << DOT_FRACTION) >> self.exponent),
            cosine.eq(scaled * root),
            shifted.eq(cosine >> shift),
            index.eq(
                Mux(
                    argument < 0,
                    0,
                    Mux(argument >= 1 << KERNEL_INDEX_BITS, (1 << KERNEL_INDEX_BITS) - 1, argument),
                )
            ),
        ]
        m.d.comb += [lookup.addr.eq(index), self.kernel.eq(lookup.data)]
        return m
