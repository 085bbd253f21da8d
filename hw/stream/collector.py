# SPDX-License-Identifier: Apache-2.0
"""From quotient blocks to words, in a buffer whose free entries grant launches."""

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
    """Collects blocks into words, in a buffer of ``depth`` tokens; grants launches.

    Parameters
    ----------
    config : Config
    latency : int
        Cycles from ``launch`` to the token's first block.
    initiation_interval : int
        Least cycles between two launches. Both set the depth for full rate.
    waiting : int
        Additional tokens that may wait for their turn to be sent.

    Members
    -------
    grant : ``Out(1)``
        There is room for one more token than were launched; stays high until a launch.
    launch : ``In(1)``
    i : ``In(stream.Signature(Quotients))``
        Cannot be held back.
    o : ``Out(stream.Signature(Result))``
    guarded : ``Out(1)``
        Strobe: a token of a good packet had a denominator that was not positive.
    """

    def __init__(self, config: Config, latency: int, initiation_interval: int, waiting: int = 0):
        self.config = config
        self.words = words = Words(config)
        returned = latency + words.latency - words.last_beats + 1  # credit, after a launch
        self.depth = -(-returned // initiation_interval) + 2 + waiting
        super().__init__(
            {
                "grant": Out(1),
                "launch": In(1),
                "i": In(stream.Signature(Quotients(config), always_ready=True)),
                "o": Out(stream.Signature(Result(config))),
                "guarded": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        words, layout = self.words, Result(self.config)
        # Buffers of word_done packets are deep, and words of word_done tokens wide: use block RAM.
        whole_tokens = self.config.waiting_tokens or self.config.is_full_rate
        kind = DeepBuffer if whole_tokens else SyncFIFOBuffered
        m.submodules.buffer = buffer = kind(width=layout.size, depth=self.depth * words.count)
        words_out = buffer.r_stream
        free = Signal(range(self.depth + 1), init=self.depth)
        take = Signal()

        block = self.i.payload
        index = Signal(range(words.blocks))
        full = Signal()
        word_done = Signal()
        m.d.comb += full.eq(block.final | (index == words.blocks - 1))
        elements = [
            Signal(len(block.elements.as_value()), name=f"block_{i}", reset_less=True)
            for i in range(words.blocks)
        ]
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(full, 0, index + 1))
        for i, slot in enumerate(elements):
            # A word of one block is written before the next can arrive.
            with m.If((self.i.valid & (index == i)) | (words.blocks == 1)):
                m.d.sync += slot.eq(block.elements.as_value())
        held = Signal()
        held_word = Signal(layout.size, reset_less=True)
        result = Signal(layout)
        tag = Signal(Tag(self.config), reset_less=True)
        end = Signal(reset_less=True)
        m.d.sync += [
            word_done.eq(self.i.valid & Mux(block.tag.error, block.final, full)),
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
            buffer.w_stream.valid.eq(word_done),
            buffer.w_stream.payload.eq(result),
            # A word that is not taken at once is held, to end the path from m_axis_tready here.
            words_out.ready.eq(~held),
            self.o.valid.eq(words_out.valid | held),
            self.o.payload.as_value().eq(Mux(held, held_word, words_out.payload)),
            take.eq(self.o.valid & self.o.ready & self.o.payload.end),
            self.grant.eq(free != 0),
            self.guarded.eq(self.i.valid & block.final & block.guarded & ~block.tag.error),
        ]
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        with m.If(~held):
            m.d.sync += held_word.eq(words_out.payload)
        # Return the credit one cycle late to break the path from m_axis_tready.
        m.d.sync += free.eq(free - self.launch + delay(m, take, 1, name="taken", reset=True))
        return m
