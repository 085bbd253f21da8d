# SPDX-License-Identifier: Apache-2.0
"""The reciprocal root of a squared norm, by table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.table import Table
from ecoformer.spec.tables import ROOT_FRACTION, ROOT_INDEX_BITS, reciprocal_root_table

__all__ = ["RootUnit"]


class RootUnit(wiring.Component):
    """Exponent and reciprocal root of a squared norm.

    Latency: ``LATENCY`` cycles, one norm per cycle.

    Parameters
    ----------
    width : int
        Unsigned bits of a squared norm.

    Members
    -------
    norm : ``In(width)``
    exponent : ``Out``
        e with 4^(e-1) ≤ norm < 4^e; 0 for norm 0.
    root : ``Out``
        2^10·2^e/√norm from the table.
    """

    LATENCY = 3 + Table.LATENCY

    def __init__(self, width: int):
        self.max_exponent = (width + 1) // 2
        super().__init__(
            {
                "norm": In(width),
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
