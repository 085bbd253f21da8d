"""From quotient blocks to AXI4-Stream beats: collect a token, buffer it, send it."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.normaliser import Quotients
from hw.tokens import Tag

__all__ = ["Beat", "Collector", "Sender"]


class Beat(data.StructLayout):
    """One AXI4-Stream beat; ``error`` is the top bit of ``tuser``."""

    def __init__(self, config):
        super().__init__(
            {"data": 8 * config.bus_bytes, "last": 1, "user": config.tuser_width, "error": 1}
        )


class Result(data.StructLayout):
    """One token of results."""

    def __init__(self, config):
        super().__init__(
            {
                "elements": data.ArrayLayout(signed(config.output_width), config.value_dim),
                "tag": Tag(config),
            }
        )


class Collector(wiring.Component):
    """Collects the blocks of a token into a buffer of ``depth`` tokens that grants starts.

    Parameters
    ----------
    config : Config
    latency, interval : int
        Cycles from ``launch`` to the token's first block here, and least cycles from one launch to
        the next; they set the depth for full rate.

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

    def __init__(self, config, latency, interval):
        self.config = config
        self.depth = -(-(latency + self.collect_latency(config)) // interval) + 2
        super().__init__(
            {
                "grant": Out(1),
                "launch": In(1),
                "i": In(stream.Signature(Quotients(config), always_ready=True)),
                "o": Out(stream.Signature(Result(config))),
                "guarded": Out(1),
            }
        )

    @staticmethod
    def collect_latency(config):
        """Cycles from a token's first block to the token on ``o``: blocks, buffer."""
        fold = config.state_fold
        return (fold.output_steps - 1) * fold.input_steps + 1 + 2

    def elaborate(self, platform):
        m = Module()
        c, fold = self.config, self.config.state_fold
        layout = Result(c)
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=layout.size, depth=self.depth)
        free = Signal(range(self.depth + 1), init=self.depth)
        take = Signal()

        block = self.i.payload
        block_bits = fold.output_lanes * c.output_width
        elements = Signal(fold.output_steps * block_bits, reset_less=True)
        with m.If(self.i.valid):
            m.d.sync += elements.eq(Cat(elements, block.elements.as_value())[block_bits:])
        complete = Signal()
        tag = Signal(Tag(c), reset_less=True)
        result = Signal(layout)
        m.d.sync += [complete.eq(self.i.valid & block.final), tag.eq(block.tag)]
        m.d.comb += [
            result.elements.as_value().eq(elements),
            result.tag.eq(tag),
            buffer.w_en.eq(complete),
            buffer.w_data.eq(result),
            self.o.valid.eq(buffer.r_rdy),
            self.o.payload.as_value().eq(buffer.r_data),
            buffer.r_en.eq(self.o.ready),
            take.eq(self.o.valid & self.o.ready),
            self.grant.eq(free != 0),
            self.guarded.eq(self.i.valid & block.final & block.guarded & ~block.tag.error),
        ]
        m.d.sync += free.eq(free - self.launch + take)
        return m


class Sender(wiring.Component):
    """Sends a token as beats: elements sign-extended to bytes, zero-padded, low beat first.

    A token with the error bit is one zero beat. Back-to-back tokens leave no gap. Every output is
    defined from reset on, valid or not.

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
        super().__init__(
            {
                "i": In(stream.Signature(Result(config))),
                "o": Out(stream.Signature(Beat(config))),
                "delivered": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        beat_bits = 8 * c.bus_bytes
        waiting = Signal(c.output_beats * beat_bits)
        left = Signal(range(c.output_beats + 1))  # beats in ``waiting``
        tag = Signal(Tag(c))
        beat = self.o.payload
        last_beat = Signal()
        m.d.comb += [
            self.o.valid.eq(left != 0),
            last_beat.eq(left == 1),
            self.i.ready.eq((left == 0) | (last_beat & self.o.ready)),
            beat.data.eq(waiting),
            beat.last.eq(last_beat & tag.last),
            beat.user.eq(tag.user),
            beat.error.eq(tag.error),
            self.delivered.eq(last_beat & self.o.ready & ~tag.error),
        ]
        result = self.i.payload
        bytes_ = Cat(
            _extend(result.elements[e], 8 * c.output_element_bytes) for e in range(c.value_dim)
        )
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                waiting.eq(Mux(result.tag.error, 0, bytes_)),
                left.eq(Mux(result.tag.error, 1, c.output_beats)),
                tag.eq(result.tag),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [waiting.eq(waiting >> beat_bits), left.eq(left - 1)]
        return m


def _extend(element, width):
    element = Value.cast(element)
    return Cat(element, element[-1].replicate(width - len(element)))
