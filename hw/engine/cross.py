# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The datapath and the engine of pairs: two streams that meet in the attention core."""

from amaranth import *

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.engine.engine import Engine
from ecoformer.hw.hash.families import hash_units
from ecoformer.hw.parameters.memory import ParameterMemory
from ecoformer.hw.parameters.slots import IN_FLIGHT, PairSlotTable
from ecoformer.hw.parameters.write_port import connect_write
from ecoformer.spec.config import Config
from ecoformer.spec.dataflows.cross import AHEAD
from ecoformer.spec.registers import flag_bits

__all__ = ["CrossDatapath", "CrossEngine", "make_engine"]


class CrossDatapath(Datapath):
    """`Datapath` with a hash for each of two streams.

    Nothing on the path of a token to the core depends on the other stream.

    Members
    -------
    queries : ``In(TokenStream)``
    """

    def _hashing(self, slots):
        self.query_hashing, hashing = hash_units(self.config, slots)
        return hashing

    def _write_hash(self, m):
        m.submodules.query_hashing = self.query_hashing
        for side, unit in zip(self.config.sides.all, (self.query_hashing, self.hashing)):
            connect_write(m, self.write, unit.write, side.first_code)

    def _join(self, m):
        super()._join(m)
        prefix, scalars = self.config.sides.query.prefix, None
        if self.query_hashing.scalars:
            scalars = ParameterMemory(self.scalars.region, self.scalars.slots)
            m.submodules.query_scalars = scalars
            connect_write(m, self.write, scalars.write)
        self._join_keys(
            m, self.queries, scalars, self.query_hashing, self.core.queries, prefix, 1
        )

    @property
    def _hash_busy(self):
        return Cat(self.query_hashing.busy, self.hashing.busy)

    def _probe(self, m):
        super()._probe(m)
        self._probe_codes(
            m, self.core.queries, self.config.wire.inlets[1], self.config.sides.query.prefix
        )


class CrossEngine(Engine):
    """`Engine` with a second stream of queries; an error is counted as its beat is delivered.

    Members
    -------
    queries : ``In(stream.Signature(InputBeat))``
    """

    def _datapath(self):
        return CrossDatapath(self.config)

    def _slot_table(self):
        c = self.config
        return PairSlotTable(c.parameter_sets, c.wire.set_bits, IN_FLIGHT, AHEAD)

    def _errors(self, m, slots, receivers):
        keys, queries = receivers
        answer = self.o.payload
        refused = self.o.valid & self.o.ready & answer.last & answer.error
        m.d.comb += [keys.admit.eq(slots.admit), queries.admit.eq(slots.query_admit)]
        return Cat(refused & (answer.cause == bit) for bit in range(flag_bits(self.config)))


def make_engine(config: Config) -> Engine:
    """The engine of a configuration."""
    return CrossEngine(config) if config.flow.has_pairs else Engine(config)
