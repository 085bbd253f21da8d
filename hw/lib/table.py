# SPDX-License-Identifier: Apache-2.0
"""Tables in block RAM."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.pipeline import register

__all__ = ["Table"]


class Table(wiring.Component):
    """A table in block RAM, with a registered output.

    Parameters
    ----------
    values : sequence of int
        A power of two of values, or of several tables of as many one behind the other.
    width : int
    loads : bool
        Whether other values can be loaded, through `load_ports`.

    Members
    -------
    index : ``In(range(len(values)))``
    value : ``Out(width)``
        ``LATENCY`` cycles later.
    """

    LATENCY = 2

    def __init__(self, values: Sequence[int], width: int, loads: bool = False):
        self.values = values
        super().__init__(
            {"index": In(range(len(values))), "value": Out(width), **load_ports(loads)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        chain = LoadChain(m, self)
        read = chain.memory("rows", len(self.value), self.values).read_port()
        chain.end()
        m.d.comb += [
            read.addr.eq(self.index),
            self.value.eq(register(m, read.data[: len(self.value)], name="answer")),
        ]
        return m
