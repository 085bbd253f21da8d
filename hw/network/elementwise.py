# SPDX-License-Identifier: Apache-2.0
"""Layers that compute an output element from the input element of the same place alone."""

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.table import Table
from ecoformer.hw.network.link import TokenLink, elements_of, ends_on, lane_name, send
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.requantise import saturate
from ecoformer.spec.network.memories import constant_rows, table_rows

__all__ = ["Elementwise", "Lookup", "Positions"]


class Elementwise(wiring.Component):
    """Passes tokens on at once: it holds no token, so its room is that behind it.

    Parameters
    ----------
    input_width, output_width : int
        Signed bits of an element.
    lanes : int
        Elements at once.
    loads : bool
        Whether its parameters can be loaded, through `load_ports`.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(output_width, lanes))``
    """

    latency: int
    """Cycles from an element to what becomes of it."""

    def __init__(
        self, input_width: int, output_width: int, lanes: int = 1, loads: bool = False
    ):
        self.lanes = lanes
        self.loads = loads
        super().__init__(
            {
                "i": In(TokenLink(input_width, lanes)),
                "o": Out(TokenLink(output_width, lanes)),
                **load_ports(loads),
            }
        )

    def of(self, m: Module, chain: LoadChain) -> list[Value]:
        """What becomes of the elements on ``i``, ``latency`` cycles later.

        Memories of parameters are added to ``chain``.
        """
        raise NotImplementedError

    def elaborate(self, platform) -> Module:
        m = Module()
        chain = LoadChain(m, self)
        m.d.comb += [
            self.i.room.eq(self.o.room),
            self.o.begin.eq(self.i.begin),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
            *send(self.o, self.of(m, chain)),
        ]
        chain.end()
        return m


class Lookup(Elementwise):
    """A function of one element by table: the activation.

    Parameters
    ----------
    values : int64 array
        Of the lowest element, the next one, …; where it is several layers in turn, of each.
    width : int
        Signed bits of an element before and behind.
    elements : int
        Of a token.
    lanes : int
        Elements at once, each with a table.
    loads
        Same as for `Elementwise`.
    passes : Passes or None
        Where it is several layers in turn, for which it is.
    """

    latency = Table.LATENCY

    def __init__(
        self, values: np.ndarray, width: int, elements: int, lanes: int = 1, loads: bool = False,
        passes: Passes | None = None,
    ):
        self.values = values.reshape(-1, 1 << width)
        self.width = width
        self.beats = -(-elements // lanes)
        self.passes = passes
        super().__init__(width, width, lanes, loads)

    def of(self, m: Module, chain: LoadChain) -> list[Value]:
        rows = [row for values in self.values for row in table_rows(values)]
        tables = [Table(rows, self.width, self.loads) for _ in range(self.lanes)]
        block: Value = C(0, 0)
        if self.passes:
            last = ends_on(m, self.i, self.beats, name="place")
            block = self.passes.block_of_tokens(m, last, name="table")
        for lane, (table, element) in enumerate(zip(tables, elements_of(self.i), strict=True)):
            m.submodules[lane_name("table", lane, self.lanes)] = table
            m.d.comb += table.index.eq(Cat(element.as_unsigned(), block))
        chain.through(*tables, same=True)
        return [table.value.as_signed() for table in tables]


class Positions(Elementwise):
    """Adds a constant of its own to every element of every token of a packet; saturates.

    Parameters
    ----------
    values : int64 array [N, width]
    width : int
        Signed bits of an element.
    loads
        Same as for `Elementwise`.
    """

    latency = 4

    def __init__(self, values: np.ndarray, width: int, loads: bool = False):
        self.values = values
        self.width = width
        super().__init__(width, width, loads=loads)

    def of(self, m: Module, chain: LoadChain) -> list[Value]:
        rows = constant_rows(self.values, self.values.shape[1], 1, self.width)
        read = chain.memory("rows", self.width, rows).read_port()
        place = Signal(range(len(rows)))
        with m.If(self.i.valid):
            m.d.sync += place.eq(Mux(place == len(rows) - 1, 0, place + 1))
        m.d.comb += read.addr.eq(place)
        position = register(m, read.data[: self.width].as_signed(), name="position")
        element = delay(m, self.i.element, 2, name="element")
        total = register(m, element + position, name="total")
        return [register(m, saturate(total, self.width), name="sum")]
