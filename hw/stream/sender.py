# SPDX-License-Identifier: Apache-2.0
"""From words to AXI4-Stream beats."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.stream.keeps import kept_bytes
from ecoformer.hw.stream.payloads import Tag
from ecoformer.hw.stream.words import Result, Words
from ecoformer.spec.config import Config

__all__ = ["Beat", "Sender"]


class Beat(data.StructLayout):
    """One AXI4-Stream beat; ``user`` and ``error`` make ``tuser``."""

    def __init__(self, config: Config):
        super().__init__(
            {
                "data": 8 * config.bus_bytes, "last": 1, "user": config.tuser_width, "error": 1,
                **config.flow.tag_fields, **config.wire.keep_fields,
            }
        )


class Sender(wiring.Component):
    """Sends words as beats: elements sign-extended to bytes, zero-padded, low beat first.

    A token with the error bit is one beat of zeros, none of which is a null byte. Back-to-back
    words leave no gap. Every output is defined from reset on, valid or not.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(Result))``
    o : ``Out(stream.Signature(Beat))``
    delivered : ``Out(1)``
        Strobe: the last beat of a good result token was taken.
    """

    def __init__(self, config: Config):
        self.config = config
        self.words = Words(config)
        super().__init__(
            {
                "i": In(stream.Signature(Result(config))),
                "o": Out(stream.Signature(Beat(config))),
                "delivered": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
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
            *(beat[name].eq(tag[name]) for name in c.flow.tag_fields),
            *(
                beat[name].eq(kept_bytes(c, c.wire.output_bytes, last_beat & end & ~tag.error))
                for name in c.wire.keep_fields
            ),
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
        """Elements on the wire; a token's last word is padded with zeros."""
        width, words = 8 * self.config.output_element_bytes, self.words
        elements = []
        for index in range(words.elements if words.count > 1 else words.last_elements):
            element = Value.cast(result.elements[index]).as_unsigned()
            if index >= words.last_elements:
                element &= (~result.end).replicate(len(element))
            sign = element[-1].replicate(width - len(element))
            elements.append(Cat(element, sign))
        return Cat(*elements)
