# amaranth: UnusedElaboratable=no
"""Several datapaths that work on packets at the same time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.lib.round_robin import Joiner, Splitter
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.hw.stream.receiver import Token
from ecoformer.hw.stream.words import Result

__all__ = ["Worker", "Workers"]


class Workers:
    """Workers that take turns; to their owner the same as one `Datapath`.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.splitter = Splitter(Token(config), config.engines)
        self.homes = [Worker(config) for _ in range(config.engines)]
        self.joiner = Joiner(Result(config), config.engines)
        self.o = self.joiner.o
        self.guarded = self.o.valid & self.o.ready & self.o.payload.guarded

    @property
    def latency(self):
        """As of the datapath."""
        return self.homes[0].latency

    @property
    def full_rate_tokens(self):
        """As of every worker."""
        return self.homes[0].datapath.full_rate_tokens

    def add(self, m):
        """Add splitter, workers and joiner to ``m``."""
        m.submodules.splitter = self.splitter
        m.submodules.joiner = self.joiner
        for i, worker in enumerate(self.homes):
            m.submodules[f"worker_{i}"] = worker
            connect(m, self.splitter.o[i], worker.i)
            connect(m, worker.o, self.joiner.i[i])

    def feed(self, m, tokens):
        """Let them work on the stream ``tokens`` of `hw.stream.receiver.Token`."""
        connect(m, tokens, self.splitter.i)


class Worker(wiring.Component):
    """A datapath that takes a packet as fast as it comes and keeps its answer until its turn.

    Parameters
    ----------
    config : Config

    Members
    -------
    write : ``In(ParameterWrite)``
    i : ``In(stream.Signature(Token))``
    o : ``Out(stream.Signature(Result))``
    """

    def __init__(self, config):
        self.config = config
        self.datapath = Datapath(config)
        super().__init__(
            {
                "write": In(ParameterWrite(self.datapath.slots)),
                "i": In(stream.Signature(Token(config))),
                "o": Out(stream.Signature(Result(config))),
            }
        )

    @property
    def latency(self):
        """As of the datapath: a buffer, and a register of words, more than that."""
        return 2 + self.datapath.latency + 1

    def elaborate(self, platform):
        m = Module()
        datapath, layout = self.datapath, Token(self.config)
        m.submodules.waiting = waiting = DeepBuffer(
            width=layout.size, depth=self.config.waiting_tokens + 1
        )
        tokens = stream.Signature(layout).create(path=("token",))
        m.d.comb += [
            waiting.w_data.eq(self.i.payload),
            waiting.w_en.eq(self.i.valid),
            self.i.ready.eq(waiting.w_rdy),
            tokens.payload.as_value().eq(waiting.r_data),
            tokens.valid.eq(waiting.r_rdy),
            waiting.r_en.eq(tokens.ready),
        ]
        datapath.add(m)
        datapath.feed(m, tokens)
        for home in datapath.homes:
            connect(m, flipped(self.write), home.write)

        # A memory takes most of a cycle to answer: only then its word is chosen among others.
        word = Signal(Result(self.config), reset_less=True)
        m.d.comb += [
            datapath.o.ready.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(word),
        ]
        with m.If(datapath.o.ready):
            m.d.sync += [self.o.valid.eq(datapath.o.valid), word.eq(datapath.o.payload)]
        return m
