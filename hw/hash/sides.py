# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Queries and keys with a hash of their own: a unit for each side, and all of them in step."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from ecoformer.hw.hash.unit import HashUnit
from ecoformer.hw.parameters.write_port import ParameterWrite, connect_write
from ecoformer.hw.stream.payloads import Busy, key_shape
from ecoformer.hw.stream.vectors import VectorStream, whole_vectors
from ecoformer.spec.units import hash_units

__all__ = ["SeparateHash"]


class SeparateHash(wiring.Component):
    """Codes of every token, in order: those of its query and of its key; a drop-in `HashUnit`.

    The units are equal and see the same handshakes, so they are always in the same state: one of
    them answers for all.

    Parameters
    ----------
    units : list of HashUnit
        Equal ones, in the order of `spec.sides.Sides.all`.

    Members
    -------
    write : ``In(ParameterWrite)``
        With the regions of all sides.
    i : ``In(VectorStream({q, k, slot}))``
        The token to hash, and its parameter slot.
    o : ``Out(stream.Signature(2 * b))``
        Code of the query, then that of the key.
    busy : ``Out(Busy)``
        Which units work.
    """

    def __init__(self, units: Sequence[HashUnit]):
        self.units = units
        self.lead = lead = units[0]
        self.config = config = lead.config
        self.sides = config.sides
        self.scalars = self.sides.named(lead.scalars)
        vectors = {side.vector: key_shape(config) for side in self.sides.all}
        slot = {"slot": lead.slots.bits}
        token = data.StructLayout({**whole_vectors(config, vectors), **slot})
        super().__init__(
            {
                "write": In(ParameterWrite(lead.slots.count, lead.layout.codes)),
                "i": In(VectorStream(token, vectors)),
                "o": Out(stream.Signature(self.sides.code_width)),
                "busy": Out(Busy(hash_units(config))),
                **{name: In(width) for name, width in self.scalars.items()},
            }
        )

    @property
    def latency(self) -> int:
        """Same as `HashUnit.latency`."""
        return self.lead.latency

    @property
    def depth(self) -> int:
        """Same as `HashUnit.depth`."""
        return self.lead.depth

    def elaborate(self, platform) -> Module:
        m = Module()
        lead, sides = self.lead, self.sides.all
        m.d.comb += [
            self.i.ready.eq(lead.i.ready),
            self.o.valid.eq(lead.o.valid),
            self.o.payload.eq(Cat(unit.o.payload for unit in self.units)),
        ]
        for side, unit in zip(sides, self.units, strict=True):
            m.submodules[f"hash_{side.vector}"] = unit
            connect_write(m, self.write, unit.write, side.first_code)
            m.d.comb += [
                unit.i.payload.slot.eq(self.i.payload.slot),
                unit.i.valid.eq(self.i.valid),
                unit.o.ready.eq(self.o.ready),
                *(
                    getattr(unit, name).eq(getattr(self, side.prefix + name))
                    for name in unit.scalars
                ),
                *(
                    self.busy[side.prefix + name].eq(unit.busy[name])
                    for name in unit.busy.shape().members
                ),
            ]
            self._pass_vector(m, side, unit)
        return m

    def _pass_vector(self, m, side, unit):
        """Pass on the vector of one side, whole or serially."""
        if side.vector in self.i.payload.shape().members:
            m.d.comb += Value.cast(unit.i.payload.x).eq(Value.cast(self.i.payload[side.vector]))
        else:
            wiring.connect(m, flipped(getattr(self.i, side.vector)), unit.i.x)
