# SPDX-License-Identifier: Apache-2.0
"""From AXI4-Stream beats to tokens, and the detection of bad packets."""

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import and_, or_

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.stream.errors import error_flag
from ecoformer.hw.stream.keeps import kept_bytes
from ecoformer.hw.stream.payloads import TokenStream
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error, errors_of, flag_bits
from ecoformer.spec.wire import Inlet

__all__ = ["InputBeat", "Opening", "Receiver", "SerialReceiver"]


class InputBeat(data.StructLayout):
    """One beat of an input stream; ``user`` counts on a packet's first beat, ``keep`` on every."""

    def __init__(self, config: Config):
        super().__init__(
            {
                "data": 8 * config.bus_bytes, "last": 1, "user": config.tuser_width,
                **config.flow.beat_fields, **config.wire.keep_fields,
            }
        )


@dataclass
class Opening:
    """How a packet opens, beyond its set: what the rest of the receiver must know.

    Parameters
    ----------
    admits : list of Value
        Bits without any of which no beat is taken.
    errors : dict of Error to Value
        Strobes of errors of the first beat, which a known set does not have yet.
    count, full : Value
        Tokens before the one being received, and whether there may be no more.
    fields : dict of str to Value
        Fields of the token that the packet's data do not give.
    """

    admits: list[Value]
    errors: dict[Error, Value]
    count: Value
    full: Value
    fields: dict[str, Value]


class Receiver(wiring.Component):
    """Assembles tokens and checks packets.

    The first error of a packet is reported, an error token ends the packet downstream, and the
    rest is discarded through ``last``; the next packet is received as usual. ``abort`` is an error
    of a packet that began earlier, even if its last beat is taken in the same cycle; any other
    error on that beat takes precedence.

    Parameters
    ----------
    config : Config
    inlet : Inlet
        Whose packets these are; those of ``s_axis`` by default.

    Members
    -------
    i : ``In(stream.Signature(InputBeat))``
    o : ``Out(TokenStream)``
    user, slot, known :
        Look-up of the set that the beat on ``i`` selects, combinational.
    selected : ``In(1)``
        Only where sets wait in a queue: there is one for the packet whose first beat is offered.
    abort : ``In(1)``
        Strobe: give up the packet being received.
    begin : ``Out(1)``
        Strobe: the first beat of a packet was taken.
    errors : ``Out(flag_bits(config))``
        Strobes: the packet being received is bad.
    starved : ``Out(1)``
        Within a packet, and no beat is offered.
    """

    more_ports: dict = {}
    """Ports that receivers of one kind have in addition."""

    def __init__(self, config: Config, inlet: Inlet | None = None):
        self.config = config
        self.inlet = inlet or config.wire.inlets[0]
        super().__init__(
            {
                "i": In(stream.Signature(InputBeat(config))),
                "o": Out(TokenStream(config, self.inlet)),
                "user": Out(config.tuser_width),
                "slot": In(ceil_log2(config.parameter_sets + 1)),
                "known": In(1),
                "abort": In(1),
                "begin": Out(1),
                "errors": Out(flag_bits(config)),
                "starved": Out(1),
                **self.more_ports,
                **dict.fromkeys(config.wire.set_ports, In(1)),
            }
        )

    @classmethod
    def fits(cls, config: Config) -> bool:
        """Whether this is a receiver for ``config``; of several, the registry takes the first."""
        return True

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        beat, token = self.i.payload, self.o.payload
        beats = self.inlet.beats

        in_packet = Signal()
        discard = Signal()
        report = Signal()
        index = Signal(range(beats))
        count = Signal(range(c.max_tokens + 1))
        user = Signal(c.tuser_width)
        slot = Signal(self.slot.shape())
        kept = {
            name: Signal(bits, name=name)
            for name, bits in c.flow.tag_fields.items() if name in c.flow.beat_fields
        }

        take = Signal()
        room = Signal()
        token_beat = Signal()
        token_end = Signal()
        first_beat = Signal()
        bad = Signal()
        unknown, too_long, misaligned, aborted = (
            Signal(name=name) for name in ("unknown", "too_long", "misaligned", "aborted")
        )
        mismatch = {
            error: Signal(name="mismatch") for error in errors_of(c) if error is Error.KEEP_MISMATCH
        }
        full = Signal()
        ends = Signal()
        many = beats > 1
        if many:
            # The last beat waits a cycle for the previous token, so that s_axis_tready depends on
            # registers of the receiver only. It is not the first, so it can only be aborted, or
            # have null bytes.
            slot_frees, rejected, begins = 0, reduce(or_, mismatch.values(), self.abort), 0
        else:  # the only beat is also the first and may have any error
            slot_frees, rejected, begins = self.o.ready, bad, first_beat
        opening = self._open(m, take, in_packet, token_beat, unknown, count, full)
        opening.admits += [in_packet | getattr(self, name) for name in c.wire.set_ports]
        early = opening.errors
        found = {
            Error.MISALIGNED: misaligned, Error.TOO_LONG: too_long, Error.UNKNOWN_SET: unknown,
            Error.ABORTED: aborted, **early, **mismatch,
        }
        kept_right = [
            beat[name] == kept_bytes(c, self.inlet.token_bytes, token_end)
            for name in c.wire.keep_fields
        ]
        m.d.comb += [
            self.user.eq(beat.user),
            token_end.eq(ends if many else 1),
            room.eq(~self.o.valid | slot_frees),
            self.i.ready.eq(
                reduce(and_, opening.admits, ~report) & (discard | ~token_end | room)
            ),
            take.eq(self.i.valid & self.i.ready),
            first_beat.eq(~in_packet),
            token_beat.eq(take & ~discard),
            self.begin.eq(take & first_beat),
            self.starved.eq(in_packet & ~self.i.valid),
            unknown.eq(token_beat & first_beat & ~self.known),
            too_long.eq(token_beat & (index == 0) & opening.full),
            misaligned.eq(
                reduce(
                    and_, (~error for error in (*early.values(), *mismatch.values())),
                    token_beat & beat.last & ~token_end & ~unknown & ~too_long,
                )
            ),
            *(
                strobe.eq(
                    reduce(
                        and_, (~error for error in early.values()),
                        token_beat & ~right & ~unknown & ~too_long,
                    )
                )
                for strobe, right in zip(mismatch.values(), kept_right, strict=True)
            ),
            aborted.eq(
                reduce(
                    and_, (~error for error in mismatch.values()),
                    self.abort & in_packet & ~discard & ~unknown & ~too_long & ~misaligned,
                )
            ),
            bad.eq(
                reduce(
                    or_, (*early.values(), *mismatch.values()),
                    unknown | too_long | misaligned | aborted,
                )
            ),
            self.errors.eq(reduce(or_, (error_flag(*one) for one in found.items()))),
        ]
        over = token_end | beat.last | discard | bad
        m.d.sync += discard.eq((discard | bad) & ~(take & beat.last))
        with m.If(bad):
            m.d.sync += [index.eq(0), ends.eq(0)]
        with m.If(take):
            m.d.sync += [
                in_packet.eq(~beat.last),
                index.eq(Mux(over, 0, index + 1)),
                ends.eq(~over & (index == beats - 2)),
            ]
            with m.If(beat.last):
                m.d.sync += [count.eq(0), full.eq(0)]
            with m.Elif(token_beat & token_end):
                m.d.sync += [
                    count.eq(opening.count + 1), full.eq(opening.count == c.max_tokens - 1)
                ]
        self._close(m, take & beat.last, in_packet, discard, found, opening, kept, room)

        with m.If(first_beat & ~report):  # the last one offered is the one taken
            m.d.sync += [
                user.eq(beat.user),
                slot.eq(self.slot),
                *(own.eq(beat[name]) for name, own in kept.items()),
            ]

        offers = Signal()
        self._take_vectors(m, index, token_beat, token_end, room, offers)

        # Loaded whenever there is room: anything that is not a token is overwritten before it is
        # offered, and the checks need not drive the enable of every bit.
        with m.If(room):
            m.d.sync += [
                token.slot.eq(Mux(begins, self.slot, slot)),
                token.tag.user.eq(Mux(begins & ~report, beat.user, user)),
                token.tag.last.eq(report | beat.last),
                token.tag.error.eq(report),
                *(
                    token.tag[name].eq(Mux(begins & ~report, beat[name], own))
                    for name, own in kept.items()
                ),
                *(token[name].eq(value) for name, value in opening.fields.items()),
            ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += report.eq(report | bad)
        with m.If(report & room):
            m.d.sync += report.eq(0)
        # Same as token_beat, in gates of its own for a shorter path.
        ended = reduce(and_, opening.admits, self.i.valid & ~discard & token_end & ~rejected)
        m.d.comb += offers.eq(room & (report | ended))
        with m.If(offers):
            m.d.sync += self.o.valid.eq(1)
        return m

    def _open(self, m, take, in_packet, token_beat, unknown, count, full):
        """How the packet of the beat on offer opens: an `Opening`."""
        return Opening([], {}, count, full, {})

    def _close(self, m, ends, in_packet, discard, found, opening, kept, room):
        """The last beat of a packet is taken: ``ends``.

        The packet is good unless it was bad before, ``discard``, or is ``found`` to have one of the
        errors of this beat. What it carries beside its data is ``kept`` where it had beats before.
        The token on offer may be replaced where there is ``room``.
        """

    def _take_vectors(self, m, index, token_beat, token_end, room, offers):
        """Assemble the vectors of a token from its beats."""
        beat_bits = len(self.i.payload.data)
        received = Signal((self.inlet.beats - 1) * beat_bits, reset_less=True)
        assembled = Cat(received, self.i.payload.data)
        # Also while a beat waits or is discarded: the next token's beats overwrite it.
        with m.If(self.i.valid & ~token_end):
            m.d.sync += received.eq(assembled[beat_bits:])
        with m.If(room):
            m.d.sync += [
                self.o.payload[name].eq(bits)
                for name, bits in _elements(assembled, self.inlet).items()
            ]


class SerialReceiver(Receiver):
    """`Receiver` whose beats are elements, which it passes on as they come."""

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.is_serial

    def _take_vectors(self, m, index, token_beat, token_end, room, offers):
        c, sides = self.config, self.config.sides.all
        firsts = [c.head_dim * number for number in range(len(sides) + 1)]
        below = [index < first for first in firsts[1:]]
        enables = [below[0], *(new & ~old for old, new in pairwise(below)), ~below[-1]]
        names = [*(side.vector for side in sides), "v"]
        for name, first, enable in zip(names, firsts, enables, strict=True):
            port = getattr(self.o, name)
            m.d.comb += [
                port.enable.eq(token_beat & enable),
                port.index.eq(index - first),
                port.data.eq(self.i.payload.data),
                port.done.eq(offers),
            ]


def _elements(bits, inlet):
    """Bits of every vector of a token, by name."""
    def field(first, count, width, pitch):
        places = range(8 * first, 8 * first + count * pitch, pitch)
        return Cat(bits[place : place + width] for place in places)

    config, family = inlet.config, inlet.config.family
    key = family.key_elements, family.element_width, family.element_pitch
    vectors = {side.vector: field(i * family.key_bytes, *key) for i, side in enumerate(inlet.all)}
    v = field(inlet.bytes, inlet.value_elements, config.value_width, 8)
    return {**vectors, **({"v": v} if inlet.value_elements else {})}
