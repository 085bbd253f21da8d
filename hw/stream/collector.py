"""From quotient blocks to words in a buffer, which grants starts."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.stream.payloads import Quotients, Tag
from ecoformer.hw.stream.words import Result, Words
from ecoformer.spec.config import Config

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Collects blocks into words, in a buffer of ``depth`` tokens that grants starts.

    Parameters
    ----------
    config : Config
    latency, interval : int
        Cycles from ``launch`` to the token's first block here, and least cycles from one launch to
        the next; they set the depth for full rate.
    waiting : int
        Tokens more that may wait for their turn to be sent.

    Members
    -------
    grant : ``Out(1)``
        There is room for one more token beyond those launched; stays until a launch.
    launch : ``In(1)``
    i : ``In(stream.Signature(Quotients))``
        Cannot be held back.
    o : ``Out(stream.Signature(Result))``
    guarded : ``Out(1)``
        Strobe: a token of a good packet had a denominator that was not positive.
    """

    def __init__(self, config: Config, latency: int, interval: int, waiting: int = 0):
        self.config = config
        self.words = words = Words(config)
        returned = latency + words.latency - words.last_beats + 1  # a place, after its launch
        self.depth = -(-returned // interval) + 2 + waiting
        super().__init__(
            {
                "grant": Out(1),
                "launch": In(1),
                "i": In(stream.Signature(Quotients(config), always_ready=True)),
                "o": Out(stream.Signature(Result(config))),
                "guarded": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, layout = self.words, Result(self.config)
        # Whole tokens are few bits of many small memories, or whole words of a few large ones.
        whole_tokens = self.config.waiting_tokens or self.config.is_full_rate
        kind = DeepBuffer if whole_tokens else SyncFIFOBuffered
        m.submodules.buffer = buffer = kind(width=layout.size, depth=self.depth * words.count)
        words_out = buffer.r_stream
        free = Signal(range(self.depth + 1), init=self.depth)
        take = Signal()

        block = self.i.payload
        place = Signal(range(words.blocks))
        full = Signal()
        whole = Signal()
        m.d.comb += full.eq(block.final | (place == words.blocks - 1))
        elements = [
            Signal(len(block.elements.as_value()), name=f"block_{i}", reset_less=True)
            for i in range(words.blocks)
        ]
        with m.If(self.i.valid):
            m.d.sync += place.eq(Mux(full, 0, place + 1))
        for i, home in enumerate(elements):
            # A word of one block is written before another can be here.
            with m.If((self.i.valid & (place == i)) | (words.blocks == 1)):
                m.d.sync += home.eq(block.elements.as_value())
        held = Signal()
        kept = Signal(layout.size, reset_less=True)
        result = Signal(layout)
        tag = Signal(Tag(self.config), reset_less=True)
        end = Signal(reset_less=True)
        m.d.sync += [
            whole.eq(self.i.valid & Mux(block.tag.error, block.final, full)),
            tag.eq(block.tag),
            end.eq(block.final),
        ]
        fields = {
            "elements": Cat(*elements),
            "end": end,
            "tag": tag,
            "guarded": register(m, self.guarded, name="guarded_word"),
        }
        m.d.comb += [
            *(result[name].eq(fields[name]) for name in layout.members),
            buffer.w_stream.valid.eq(whole),
            buffer.w_stream.payload.eq(result),
            # A word that is not taken at once is held, to end the path from m_axis_tready here.
            words_out.ready.eq(~held),
            self.o.valid.eq(words_out.valid | held),
            self.o.payload.as_value().eq(Mux(held, kept, words_out.payload)),
            take.eq(self.o.valid & self.o.ready & self.o.payload.end),
            self.grant.eq(free != 0),
            self.guarded.eq(self.i.valid & block.final & block.guarded & ~block.tag.error),
        ]
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        with m.If(~held):
            m.d.sync += kept.eq(words_out.payload)
        # A place is given back a cycle late, because the way from the pins is long.
        m.d.sync += free.eq(free - self.launch + delay(m, take, 1, name="taken", reset=True))
        return m
