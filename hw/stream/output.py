"""From quotient blocks to AXI4-Stream beats: collect words, buffer them, send them."""

from math import lcm

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.normaliser import Quotients
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.stream.payloads import Tag

__all__ = ["Beat", "Collector", "Result", "Sender", "Words"]


class Words:
    """How a token's results are cut: a word is the fewest blocks that fill whole beats.

    Both ends of the buffer work at their own grain, and what lies between is no wider than it must
    be: a word is one beat where the blocks are small, and the whole token where they are not.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    blocks, elements, beats : int
        Of a word.
    count : int
        Words of a token.
    last_elements, last_beats : int
        Of a token's last word; what is beyond them is not sent, or zero.
    """

    def __init__(self, config):
        self.fold = fold = config.state_fold
        block_bytes = fold.output_lanes * config.output_element_bytes
        blocks = lcm(block_bytes, config.bus_bytes) // block_bytes
        if blocks < fold.output_steps:
            self.blocks = blocks
            self.beats = blocks * block_bytes // config.bus_bytes
        else:
            self.blocks = fold.output_steps
            self.beats = config.output_beats
        self.elements = self.blocks * fold.output_lanes
        self.count = -(-fold.output_steps // self.blocks)
        self.last_elements = config.value_dim - (self.count - 1) * self.elements
        self.last_beats = config.output_beats - (self.count - 1) * self.beats

    def arrival(self, word):
        """Cycles from a token's first block to ``word`` on offer: its last block, two of buffer."""
        block = min((word + 1) * self.blocks, self.fold.output_steps) - 1
        return block * self.fold.input_steps + 1 + 2

    @property
    def latency(self):
        """Cycles from a token's first block to its last beat, that one counted, if none waits.

        It is the bus that decides where a token's blocks come faster than its beats can go.
        """
        return max(
            self.arrival(word) + 1 + (self.count - 1 - word) * self.beats + self.last_beats
            for word in range(self.count)
        )


class Beat(data.StructLayout):
    """One AXI4-Stream beat; ``error`` is the top bit of ``tuser``."""

    def __init__(self, config):
        super().__init__(
            {"data": 8 * config.bus_bytes, "last": 1, "user": config.tuser_width, "error": 1}
        )


class Result(data.StructLayout):
    """A word of results; ``end`` marks its token's last. A token of a bad packet has no other.

    Of several engines it also says, with a token's last word, whether its denominator was not
    positive: strobes of several at the same time could not be counted.
    """

    def __init__(self, config):
        elements = data.ArrayLayout(signed(config.output_width), Words(config).elements)
        guarded = {"guarded": 1} if config.engines > 1 else {}
        super().__init__({"elements": elements, "end": 1, "tag": Tag(config), **guarded})


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

    def __init__(self, config, latency, interval, waiting=0):
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
        m.d.comb += [
            result.elements.as_value().eq(Cat(*elements)),
            result.end.eq(end),
            result.tag.eq(tag),
            buffer.w_en.eq(whole),
            buffer.w_data.eq(result),
            # A word that is not taken at once is kept: the way from the pins ends here.
            buffer.r_en.eq(~held),
            self.o.valid.eq(buffer.r_rdy | held),
            self.o.payload.as_value().eq(Mux(held, kept, buffer.r_data)),
            take.eq(self.o.valid & self.o.ready & self.o.payload.end),
            self.grant.eq(free != 0),
            self.guarded.eq(self.i.valid & block.final & block.guarded & ~block.tag.error),
        ]
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        with m.If(~held):
            m.d.sync += kept.eq(buffer.r_data)
        if self.config.engines > 1:
            m.d.comb += result.guarded.eq(register(m, self.guarded, name="guarded_word"))
        # A place is given back a cycle late, because the way from the pins is long.
        m.d.sync += free.eq(free - self.launch + delay(m, take, 1, name="taken", reset=True))
        return m


class Sender(wiring.Component):
    """Sends words as beats: elements sign-extended to bytes, zero-padded, low beat first.

    A token with the error bit is one beat, of zeros like its elements. Back-to-back words leave no
    gap. Every output is defined from reset on, valid or not.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(Result))``
    o : ``Out(stream.Signature(Beat))``
    delivered : ``Out(1)``
        Strobe: the last beat of a token of results was taken.
    """

    def __init__(self, config):
        self.config = config
        self.words = Words(config)
        super().__init__(
            {
                "i": In(stream.Signature(Result(config))),
                "o": Out(stream.Signature(Beat(config))),
                "delivered": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, words = self.config, self.words
        beat_bits = 8 * c.bus_bytes
        waiting = Signal(words.beats * beat_bits)
        left = Signal(range(words.beats + 1))  # beats in ``waiting``
        end = Signal()
        tag = Signal(Tag(c))
        beat = self.o.payload
        last_beat = Signal()
        m.d.comb += [
            self.o.valid.eq(left != 0),
            last_beat.eq(left == 1),
            self.i.ready.eq((left == 0) | (last_beat & self.o.ready)),
            beat.data.eq(waiting),
            beat.last.eq(last_beat & end & tag.last),
            beat.user.eq(tag.user),
            beat.error.eq(tag.error),
            self.delivered.eq(last_beat & end & self.o.ready & ~tag.error),
        ]
        result = self.i.payload
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                waiting.eq(self._bytes(result)),
                left.eq(
                    Mux(result.tag.error, 1, Mux(result.end, words.last_beats, words.beats))
                ),
                end.eq(result.end),
                tag.eq(result.tag),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [waiting.eq(waiting >> beat_bits), left.eq(left - 1)]
        return m

    def _bytes(self, result):
        """Elements as they travel; zeros behind those of a token's last word."""
        width, words = 8 * self.config.output_element_bytes, self.words
        elements = []
        for index in range(words.elements if words.count > 1 else words.last_elements):
            element = Value.cast(result.elements[index]).as_unsigned()
            if index >= words.last_elements:
                element &= (~result.end).replicate(len(element))
            sign = element[-1].replicate(width - len(element))
            elements.append(Cat(element, sign))
        return Cat(*elements)
