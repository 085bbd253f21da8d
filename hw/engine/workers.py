# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Several datapaths that work on packets at the same time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.engine.datapath import Datapath, datapath_ports
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.lib.round_robin import Joiner, Splitter
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.hw.stream.payloads import Token, TokenStream
from ecoformer.hw.stream.words import Result
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap

__all__ = ["Worker", "Workers", "datapath_class"]


def datapath_class(config: Config) -> type["Datapath | Workers"]:
    """The component between receiver and sender."""
    return Workers if config.engines > 1 else Datapath


class Workers(wiring.Component):
    """Workers that take packets in turn; a drop-in replacement for one `Datapath`.

    Parameters
    ----------
    config : Config

    Members
    -------
    write, i, o, guarded
        See :func:`hw.engine.datapath.datapath_ports`. ``guarded`` comes with a token's last word.
    """

    def __init__(self, config: Config):
        self.config = config
        self.workers = [Worker(config) for _ in range(config.engines)]
        super().__init__(datapath_ports(config))

    @property
    def latency(self) -> int:
        """Same as `Worker.latency`."""
        return self.workers[0].latency

    @property
    def full_rate_tokens(self) -> int | None:
        """Same as `AttentionCore.full_rate_tokens`, of every worker."""
        return self.workers[0].datapath.full_rate_tokens

    def elaborate(self, platform) -> Module:
        m = Module()
        count = len(self.workers)
        m.submodules.splitter = splitter = Splitter(Token(self.config), count)
        m.submodules.joiner = joiner = Joiner(Result(self.config), count)
        connect(m, flipped(self.i), splitter.i)
        connect(m, joiner.o, flipped(self.o))
        for i, worker in enumerate(self.workers):
            m.submodules[f"worker_{i}"] = worker
            connect(m, flipped(self.write), worker.write)
            connect(m, splitter.o[i], worker.i)
            connect(m, worker.o, joiner.i[i])
        m.d.comb += self.guarded.eq(self.o.valid & self.o.ready & self.o.payload.guarded)
        return m


class WorkerDatapath(Datapath):
    """A datapath that reports guarded tokens in its words instead of by a strobe."""

    def _report(self, m):
        pass


class Worker(wiring.Component):
    """A datapath with buffers: accepts a packet at bus rate and holds its answer until its turn.

    Parameters
    ----------
    config : Config

    Members
    -------
    write : ``In(ParameterWrite)``
    i : ``In(TokenStream)``
    o : ``Out(stream.Signature(Result))``
    """

    def __init__(self, config: Config):
        self.config = config
        self.datapath = WorkerDatapath(config)
        super().__init__(
            {
                "write": In(ParameterWrite(config.parameter_sets + 1, MemoryMap(config).codes)),
                "i": In(TokenStream(config)),
                "o": Out(stream.Signature(Result(config))),
            }
        )

    @property
    def latency(self) -> int:
        """A buffer, and a register of words, more than `Datapath.latency`."""
        return 2 + self.datapath.latency + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.datapath = datapath = self.datapath
        m.submodules.waiting = waiting = DeepBuffer(
            width=Token(self.config).size, depth=self.config.waiting_tokens + 1
        )
        connect(m, flipped(self.write), datapath.write)
        m.d.comb += [
            waiting.w_stream.payload.eq(self.i.payload),
            waiting.w_stream.valid.eq(self.i.valid),
            self.i.ready.eq(waiting.w_stream.ready),
            datapath.i.payload.eq(waiting.r_stream.payload),
            datapath.i.valid.eq(waiting.r_stream.valid),
            waiting.r_stream.ready.eq(datapath.i.ready),
        ]

        # A memory takes most of a cycle to answer: register its word before the joiner's mux.
        word = Signal(Result(self.config), reset_less=True)
        m.d.comb += [
            datapath.o.ready.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(word),
        ]
        with m.If(datapath.o.ready):
            m.d.sync += [self.o.valid.eq(datapath.o.valid), word.eq(datapath.o.payload)]
        return m
