# SPDX-License-Identifier: Apache-2.0
"""Layers that compute an output element from the input element of the same place alone."""

import numpy as np
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.table import Table
from ecoformer.hw.network.link import TokenLink, elements_of, lane_name, send
from ecoformer.hw.network.requantise import saturate

__all__ = ["Elementwise", "Lookup", "Positions"]


class Elementwise(wiring.Component):
    """Passes tokens on at once: it holds no token, so its room is that behind it.

    Parameters
    ----------
    input_width, output_width : int
        Signed bits of an element.
    lanes : int
        Elements at once.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(output_width, lanes))``
    """

    latency: int
    """Cycles from an element to what becomes of it."""

    def __init__(self, input_width: int, output_width: int, lanes: int = 1):
        self.lanes = lanes
        super().__init__(
            {"i": In(TokenLink(input_width, lanes)), "o": Out(TokenLink(output_width, lanes))}
        )

    def of(self, m: Module) -> list[Value]:
        """What becomes of the elements on ``i``, ``latency`` cycles later."""
        raise NotImplementedError

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += [
            self.i.room.eq(self.o.room),
            self.o.begin.eq(self.i.begin),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
            *send(self.o, self.of(m)),
        ]
        return m


class Lookup(Elementwise):
    """A function of one element by table: the activation.

    Parameters
    ----------
    values : int64 array
        Of the lowest element, the next one, …
    width : int
        Signed bits of an element before and behind.
    lanes : int
        Elements at once, each with a table.
    """

    latency = Table.LATENCY

    def __init__(self, values: np.ndarray, width: int, lanes: int = 1):
        self.values = [int(value) for value in values]
        self.width = width
        super().__init__(width, width, lanes)

    def of(self, m: Module) -> list[Value]:
        half, mask = 1 << (self.width - 1), (1 << self.width) - 1
        # Indexed by the bits of an element as they are: the upper half is negative.
        values = [value & mask for value in self.values[half:] + self.values[:half]]
        found = []
        for lane, element in enumerate(elements_of(self.i)):
            table = Table(values, self.width)
            m.submodules[lane_name("table", lane, self.lanes)] = table
            m.d.comb += table.index.eq(element.as_unsigned())
            found.append(table.value.as_signed())
        return found


class Positions(Elementwise):
    """Adds a constant of its own to every element of every token of a packet; saturates.

    Parameters
    ----------
    values : int64 array [N, width]
    width : int
        Signed bits of an element.
    """

    latency = 4

    def __init__(self, values: np.ndarray, width: int):
        self.values = values
        self.width = width
        super().__init__(width, width)

    def of(self, m: Module) -> list[Value]:
        mask = (1 << self.width) - 1
        values = [int(value) & mask for value in self.values.reshape(-1)]
        m.submodules.rows = rows = memory.Memory(
            shape=unsigned(self.width), depth=len(values), init=values, attrs=CONTENTS
        )
        read = rows.read_port()
        place = Signal(range(len(values)))
        with m.If(self.i.valid):
            m.d.sync += place.eq(Mux(place == len(values) - 1, 0, place + 1))
        m.d.comb += read.addr.eq(place)
        position = register(m, read.data.as_signed(), name="position")
        element = delay(m, self.i.element, 2, name="element")
        total = register(m, element + position, name="total")
        return [register(m, saturate(total, self.width), name="sum")]
