# SPDX-License-Identifier: Apache-2.0
"""Constant tables in block RAM."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.hw.lib.pipeline import register

__all__ = ["Table"]


class Table(wiring.Component):
    """A constant table in block RAM, with a registered output.

    Parameters
    ----------
    values : sequence of int
        A power of two of values.
    width : int

    Members
    -------
    index : ``In(range(len(values)))``
    value : ``Out(width)``
        ``LATENCY`` cycles later.
    """

    LATENCY = 2

    def __init__(self, values: Sequence[int], width: int):
        self.values = values
        super().__init__({"index": In(range(len(values))), "value": Out(width)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=unsigned(len(self.value)), depth=len(self.values), init=self.values,
            attrs=CONTENTS,
        )
        read = rows.read_port()
        m.d.comb += [
            read.addr.eq(self.index),
            self.value.eq(register(m, read.data, name="answer")),
        ]
        return m
