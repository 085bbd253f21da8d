# SPDX-License-Identifier: Apache-2.0
"""From the scores of an image to a packet."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.network.link import TokenLink, room_for
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.packet import NO_PARAMETERS

__all__ = ["Score", "Scores"]

WAITING = 2
"""Images whose scores may wait to be taken."""


class Score(data.StructLayout):
    """One beat: a score, sign-extended; ``last`` ends the packet of an image.

    A bad image is answered by a single beat with ``error`` and score 0, and each image while
    parameters are spoilt by one with score `NO_PARAMETERS`.
    """

    def __init__(self, design: NetworkDesign):
        super().__init__({"data": signed(8 * design.score_bytes), "last": 1, "error": 1})


class Scores(wiring.Component):
    """Sends the scores of every image, and one beat for a bad one.

    Parameters
    ----------
    design : NetworkDesign
    images : int
        Images that may be in the network at once.

    Members
    -------
    i : ``In(TokenLink)``
        Scores of one image after another.
    image, bad : ``In(1)``
        Strobe: an image enters the network, and whether it is bad. Only while ``ready``.
    ready : ``Out(1)``
        Another image may enter.
    whole : ``In(1)``
        If the design is loadable: parameters are not spoilt. It changes only while no image is in
        the network.
    o : ``Out(stream.Signature(Score))``
    """

    def __init__(self, design: NetworkDesign, images: int):
        self.design = design
        self.images = images
        super().__init__(
            {
                "i": In(TokenLink(design.linears["classifier"].sum_width)),
                "image": In(1),
                "bad": In(1),
                "ready": Out(1),
                **({"whole": In(1)} if design.loadable else {}),
                "o": Out(stream.Signature(Score(design))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        classes = self.design.classes
        m.submodules.inside = inside = SyncFIFO(width=1, depth=self.images)
        m.submodules.scores = scores = DeepBuffer(
            width=self.i.signature.width, depth=WAITING * classes
        )
        index = Signal(range(classes))
        bad, last, drops, taken, ends = (
            Signal(name=name) for name in ("bad", "last", "drops", "taken", "ends")
        )
        wrong, score = inside.r_stream.payload, C(0)
        if self.design.loadable:
            wrong, score = wrong | ~self.whole, Mux(self.whole, 0, NO_PARAMETERS)
        m.d.comb += [
            self.ready.eq(inside.w_stream.ready),
            inside.w_stream.valid.eq(self.image),
            inside.w_stream.payload.eq(self.bad),
            self.i.room.eq(room_for(m, WAITING, ends, self.i.begin)),
            scores.w_stream.valid.eq(self.i.valid),
            scores.w_stream.payload.eq(self.i.element),
            # All scores of a bad image but the last are dropped.
            bad.eq(wrong),
            last.eq(index == classes - 1),
            drops.eq(bad & ~last),
            self.o.valid.eq(scores.r_stream.valid & ~drops),
            self.o.payload.data.eq(Mux(bad, score, scores.r_stream.payload.as_signed())),
            self.o.payload.last.eq(last),
            self.o.payload.error.eq(bad),
            scores.r_stream.ready.eq(drops | self.o.ready),
            taken.eq(scores.r_stream.valid & scores.r_stream.ready),
            ends.eq(taken & last),
            inside.r_stream.ready.eq(ends),
        ]
        with m.If(taken):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        return m
