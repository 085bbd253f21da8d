# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The datapath: hash, attention, quotients and words of one packet after another."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.attention.cores import core_class
from ecoformer.hw.attention.normaliser import Normaliser
from ecoformer.hw.engine.companions import companions_class
from ecoformer.hw.hash.families import hash_unit
from ecoformer.hw.hash.unit import WAITING
from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.lib.probe import PROBE
from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.hw.parameters.write_port import ParameterWrite, connect_write
from ecoformer.hw.stream.collector import Collector
from ecoformer.hw.stream.payloads import Key, Token, TokenStream, core_scalars
from ecoformer.hw.stream.vectors import connect_vectors
from ecoformer.hw.stream.words import Result, Words
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.units import units

__all__ = ["Datapath", "datapath_ports"]

def datapath_ports(config: Config) -> dict:
    """Ports of one datapath, and of several that share the work.

    write : parameters for every memory.
    i : tokens.
    queries : queries that come by themselves.
    o : words of results, in the order of the tokens.
    guarded : strobe: a token of a good packet had a denominator that was not positive.
    """
    return {
        "write": In(ParameterWrite(config.parameter_sets + 1, MemoryMap(config).codes)),
        **{
            port: In(TokenStream(config, inlet))
            for port, inlet in zip(("i", "queries"), config.wire.inlets)
        },
        "o": Out(stream.Signature(Result(config))),
        "guarded": Out(1),
    }


class Datapath(wiring.Component):
    """From tokens to words of results, in order.

    Parameters
    ----------
    config : Config
    slots : Slots
        Of the parameter memories; those of an engine by default.

    Members
    -------
    write, i, o, guarded
        See :func:`datapath_ports`.
    """

    def __init__(self, config: Config, slots: Slots | None = None):
        self.config = config
        slots = slots or Slots.of(config)
        self.scalars = ParameterMemory(MemoryMap(config).regions["scalars"], slots)
        self.hashing = self._hashing(slots)
        self.core = core_class(config)(config, self.hashing.depth + WAITING)
        self.normaliser = Normaliser(config, self.core.lags)
        self.collector = Collector(
            config,
            self.core.latency + self.normaliser.latency,
            self.core.initiation_interval,
            waiting=config.waiting_tokens,
        )
        super().__init__(datapath_ports(config))

    @property
    def latency(self) -> int:
        """Cycles beyond ``passes``·N·k from an isolated sequence's first token to its last beat.

        The first is the cycle in which the token is offered, the last that in which the beat is.
        """
        c = self.config
        return (
            self.hashing.latency
            + self.core.lead
            + self.core.pause
            - c.cycles_per_token  # the last query needs no slot after it
            + self.core.latency
            + self.normaliser.latency
            + Words(c).latency
        )

    @property
    def full_rate_tokens(self) -> int | None:
        """Same as `AttentionCore.full_rate_tokens`."""
        return self.core.full_rate_tokens

    def elaborate(self, platform) -> Module:
        m = Module()
        hashing, core, collector = self.hashing, self.core, self.collector
        m.submodules.scalars = self.scalars
        m.submodules.hashing = hashing
        m.submodules.core = core
        m.submodules.normaliser = self.normaliser
        m.submodules.collector = collector
        connect_write(m, self.write, self.scalars.write)
        self._write_hash(m)
        connect_vectors(m, flipped(self.i), hashing.i)
        connect_vectors(m, flipped(self.i), core.keys)
        connect(m, core.blocks, self.normaliser.i)
        connect(m, self.normaliser.o, collector.i)
        connect(m, collector.o, flipped(self.o))
        m.d.comb += [
            collector.launch.eq(core.launch),
            core.grant.eq(collector.grant),
        ]
        self._report(m)
        self._join(m)
        self._probe(m)
        return m

    def _report(self, m):
        """Report tokens whose denominator was not positive."""
        m.d.comb += self.guarded.eq(self.collector.guarded)

    def _hashing(self, slots):
        """The hash of the tokens on ``i``."""
        return hash_unit(self.config, slots)

    def _write_hash(self, m):
        """Connect the parameters of the hash."""
        connect(m, flipped(self.write), self.hashing.write)

    def _join(self, m):
        """Join the codes of tokens with what bypasses the hash."""
        self._join_keys(m, self.i, self.scalars, self.hashing, self.core.keys)

    def _join_keys(self, m, tokens, scalars, hashing, keys, prefix="", inlet=0):
        """Split a token into hash input and companion, and join codes and companion in its key.

        Parameters
        ----------
        m : Module
        tokens, keys : stream
            From the receiver, and to the core.
        scalars : ParameterMemory or None
            The scalars of the token's set, if any are needed.
        hashing : HashUnit
        prefix : str
            What the names of registers and of the scalars of the hash begin with.
        inlet : int
            Number of the stream.
        """
        c, token, inlet = self.config, tokens.payload, self.config.wire.inlets[inlet]
        codes = [side.code for side in inlet.all]
        vectors = {"x": inlet.all[0].vector}  # as the unit of one side calls it
        start = Signal(name=f"{prefix}start")
        parameters = {}
        if scalars:
            parameters = dict(zip(MemoryMap(c).scalars, scalars.elements, strict=True))
        m.d.comb += [
            *(
                value.eq(token[vectors.get(name, name)])
                for name, value in fields(hashing.i.payload)
            ),
            hashing.i.valid.eq(tokens.valid),
            tokens.ready.eq(hashing.i.ready),
            start.eq(tokens.valid & tokens.ready),
            *([scalars.slot.eq(token.slot)] if scalars else []),
            *(
                getattr(hashing, name).eq(parameters[prefix + name][:width])
                for name, width in hashing.scalars.items()
            ),
        ]

        # The scalars arrive after the token, and so do its other companions.
        layout = Key(c, inlet).members.items()
        layout = data.StructLayout({name: shape for name, shape in layout if name not in codes})
        companions = companions_class(c)(layout, hashing.depth)
        m.submodules[f"{prefix}companions"] = companions
        wait = ParameterMemory.LATENCY
        m.d.comb += companions.push.eq(delay(m, start, wait, name=f"{prefix}started", reset=True))
        for name, value in fields(companions.companion):
            if name in Token(c, inlet).members:
                late = delay(m, Value.cast(token[name]), wait, name=prefix + name)
                m.d.comb += Value.cast(value).eq(late)
        m.d.comb += [
            *(
                companions.companion[name].eq(parameters[name])
                for name in core_scalars(c) if name in layout.members
            ),
            companions.pop.eq(keys.ready),
            keys.valid.eq(hashing.o.valid),
            hashing.o.ready.eq(keys.ready),
            Cat(keys.payload[name] for name in codes).eq(hashing.o.payload),
            *(keys.payload[name].eq(value) for name, value in fields(companions.oldest)),
        ]

    @property
    def _hash_busy(self):
        """Which units of the hash work, in the order of `spec.units.hash_units`."""
        return self.hashing.busy

    @property
    def busy(self) -> Value:
        """Which units work, in the order of `spec.units.units`."""
        return Cat(self._hash_busy, self.core.busy, self.normaliser.busy)

    def _probe(self, m):
        """Probes for benches: the codes of every token after its hash, and which units work."""
        self._probe_codes(m, self.core.keys, self.config.wire.inlets[0])
        trace_busy = Signal(len(units(self.config)), attrs=PROBE)
        m.d.comb += trace_busy.eq(self.busy)

    def _probe_codes(self, m, keys, inlet, prefix=""):
        """Probe the codes of the tokens of an inlet."""
        trace_valid = Signal(name=f"trace_{prefix}valid", attrs=PROBE)
        trace_code = Signal(inlet.code_width, name=f"trace_{prefix}code", attrs=PROBE)
        m.d.comb += [
            trace_valid.eq(keys.ready & ~keys.payload.tag.error),
            trace_code.eq(Cat(keys.payload[side.code] for side in inlet.all)),
        ]


def fields(view: data.View) -> list:
    """Name and value of every field of a view."""
    return [(name, view[name]) for name in view.shape().members]
