# SPDX-License-Identifier: Apache-2.0
"""From the scores of a token to its answer: all of them, or the best token."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.network.link import TokenLink, elements_of, room_for
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.network.decoder import DecoderDesign, TokenError

__all__ = ["Answer", "Answers"]

WAITING = 2
"""Tokens whose answers may at least wait to be taken."""
MARGIN = 6
"""Cycles for which room is taken beyond those in which an answer arrives and leaves."""


class Answer(data.StructLayout):
    """One beat: scores, sign-extended, or the best token; ``last`` ends the answer to a token.

    An error is answered by a single beat with ``error``, and its `TokenError` in ``data``.
    """

    def __init__(self, design: DecoderDesign):
        super().__init__(
            {
                "data": 8 * design.answer_bytes, "context": design.context_width, "last": 1,
                "error": 1,
            }
        )


class Answers(wiring.Component):
    """Sends the answer to every token, in the order in which they entered.

    Parameters
    ----------
    design : DecoderDesign
    tokens : int
        Tokens that may be in the network at once.
    entering : int
        Cycles from the announcement of a token to its last score.

    Members
    -------
    i : ``In(TokenLink(sum_width, lanes))``
        Scores of one token after another.
    tagged, context, cause : ``In``
        Strobe: a token of this context enters the network, with an error or 0. Only while
        ``ready``.
    ready : ``Out(1)``
        Another token may enter.
    whole : ``In(1)``
        If the design is loadable: parameters are not spoilt. Else every answer is an error; it
        changes only while no token is in the network.
    o : ``Out(stream.Signature(Answer))``
    """

    def __init__(self, design: DecoderDesign, tokens: int, entering: int):
        self.design = design
        self.tokens = tokens
        self.width = design.linears["classifier"].sum_width
        held = entering + self.latency + design.answer_beats + MARGIN
        self.waiting = max(WAITING, -(-held // design.steady_cycles))
        super().__init__(
            {
                "i": In(TokenLink(self.width, design.lanes)),
                "tagged": In(1),
                "context": In(design.context_width),
                "cause": In(range(TokenError.NO_TOKEN + 1)),
                "ready": Out(1),
                **({"whole": In(1)} if design.loadable else {}),
                "o": Out(stream.Signature(Answer(design))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last score of a token to the last beat of its answer being offered."""
        return 2 if self.design.answer_scores else 2 + self._levels

    @property
    def _levels(self):
        """Comparisons between the scores that come at once, and with those before them."""
        return (self.design.lanes - 1).bit_length() + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        beats = self.design.answer_beats
        entry = data.StructLayout(
            {"context": self.context.shape(), "cause": self.cause.shape()}
        )
        m.submodules.inside = inside = SyncFIFO(width=entry.size, depth=self.tokens)
        entering, leaving = Signal(entry), Signal(entry)
        valid, words = self._scores(m) if self.design.answer_scores else self._best(m)
        m.submodules.answers = answers = DeepBuffer(width=len(words), depth=self.waiting * beats)
        index = Signal(range(beats))
        bad, last, drops, taken, ends = (
            Signal(name=name) for name in ("bad", "last", "drops", "taken", "ends")
        )
        cause = leaving.cause
        if self.design.loadable:
            cause = Mux(self.whole, cause, TokenError.NO_PARAMETERS)
        m.d.comb += [
            entering.context.eq(self.context),
            entering.cause.eq(self.cause),
            self.ready.eq(inside.w_stream.ready),
            inside.w_stream.valid.eq(self.tagged),
            inside.w_stream.payload.eq(entering),
            leaving.as_value().eq(inside.r_stream.payload),
            self.i.room.eq(room_for(m, self.waiting, ends, self.i.begin)),
            answers.w_stream.valid.eq(valid),
            answers.w_stream.payload.eq(words),
            # All beats of an error but the last are dropped.
            bad.eq(cause != 0),
            last.eq(index == beats - 1),
            drops.eq(bad & ~last),
            self.o.valid.eq(answers.r_stream.valid & ~drops),
            self.o.payload.data.eq(
                Mux(bad, cause, self._data(m, answers.r_stream.payload, last))
            ),
            self.o.payload.context.eq(leaving.context),
            self.o.payload.last.eq(last),
            self.o.payload.error.eq(bad),
            answers.r_stream.ready.eq(drops | self.o.ready),
            taken.eq(answers.r_stream.valid & answers.r_stream.ready),
            ends.eq(taken & last),
            inside.r_stream.ready.eq(ends),
        ]
        with m.If(taken):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        return m

    def _scores(self, m):
        """Scores as they come."""
        return self.i.valid, Cat(*elements_of(self.i))

    def _data(self, m, word, last):
        """What a beat of an answer holds; nothing beyond the last score."""
        d = self.design
        if not d.answer_scores:
            return word
        real = d.vocabulary - (d.answer_beats - 1) * d.lanes
        layout = data.ArrayLayout(signed(8 * d.score_bytes), d.lanes)
        scores = Signal(layout, name="scores")
        for lane in range(d.lanes):
            score = word.word_select(lane, self.width).as_signed()
            m.d.comb += scores[lane].eq(score if lane < real else Mux(last, 0, score))
        return scores.as_value()

    def _best(self, m):
        """The number of the best token, the first of equals, behind the last of its scores."""
        d = self.design
        beats = d.beats(d.vocabulary)
        real = d.vocabulary - (beats - 1) * d.lanes
        beat = Signal(range(beats))
        last = Signal()
        m.d.comb += last.eq(beat == beats - 1)
        with m.If(self.i.valid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        least = C(signed_range(self.width)[0], signed(self.width))
        rivals = [
            (score if lane < real else Mux(last, least, score), C(lane, range(d.lanes)))
            for lane, score in enumerate(elements_of(self.i))
        ]
        level = 0
        while len(rivals) > 1:  # of two, the first one wins unless the other is larger
            winners = []
            for number, ((a, at), (b, other)) in enumerate(zip(rivals[::2], rivals[1::2])):
                wins = a >= b
                winners.append((
                    register(m, Mux(wins, a, b), name=f"score_{level}_{number}"),
                    register(m, Mux(wins, at, other), name=f"lane_{level}_{number}"),
                ))
            if len(rivals) % 2:
                a, at = rivals[-1]
                winners.append((
                    register(m, a, name=f"score_{level}_{len(winners)}"),
                    register(m, at, name=f"lane_{level}_{len(winners)}"),
                ))
            rivals, level = winners, level + 1
        (score, lane), = rivals
        came = delay(m, self.i.valid, level, name="came", reset=True)
        first = delay(m, beat == 0, level, name="first")
        ends = delay(m, self.i.valid & last, level + 1, name="ends", reset=True)
        number = delay(m, beat, level, name="beat") * d.lanes + lane
        best = Signal(signed(self.width), reset_less=True)
        token = Signal(8 * d.token_bytes, reset_less=True)
        with m.If(came & (first | (score > best))):
            m.d.sync += [best.eq(score), token.eq(number)]
        return ends, token
