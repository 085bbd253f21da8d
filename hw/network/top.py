# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The pin-level tops of networks: two AXI4-Stream ports."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.network.decoder import Decoder
from ecoformer.hw.network.network import Network
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["DecoderTop", "NetworkTop", "decoder_pins", "image_pins", "network_pins", "top_of"]


def network_pins(design: Design) -> dict[str, wiring.Member]:
    """Every pin of a network by name."""
    return decoder_pins(design) if isinstance(design, DecoderDesign) else image_pins(design)


def top_of(design: Design, image: NetworkImage) -> NetworkTop | DecoderTop:
    """The top of a network."""
    if isinstance(design, DecoderDesign):
        return DecoderTop(design, image)
    return NetworkTop(design, image)


def image_pins(design: NetworkDesign) -> dict[str, wiring.Member]:
    """Every pin of a vision transformer by name."""
    return {
        "aclk": In(1),
        "aresetn": In(1),
        "s_axis_tdata": In(8 * design.channels),
        "s_axis_tvalid": In(1),
        "s_axis_tready": Out(1),
        "s_axis_tlast": In(1),
        "m_axis_tdata": Out(8 * design.score_bytes),
        "m_axis_tvalid": Out(1),
        "m_axis_tready": In(1),
        "m_axis_tlast": Out(1),
        "m_axis_tuser": Out(1),
    }


class NetworkTop(wiring.Component):
    """A network behind AXI4-Stream pins.

    One clock ``aclk``; ``aresetn`` is synchronous and active low. An output depends on no input of
    the same cycle but ``aresetn``, which holds every ``valid`` and ``ready`` low.

    Parameters
    ----------
    design : NetworkDesign
    image : NetworkImage
        The contents of all parameter memories from power-up on.

    Members
    -------
    aclk, aresetn : ``In(1)``
    s_axis_* : pixels in, a beat each: a byte per channel, the first lowest; a packet is an image in
        raster order.
    m_axis_* : scores out, a beat each, sign-extended to `NetworkDesign.score_bytes`; a packet is
        the answer to an image. ``m_axis_tuser`` is 1 in the only beat that answers a bad image.
    """

    def __init__(self, design: NetworkDesign, image: NetworkImage):
        self.network = Network(design, image)
        super().__init__(image_pins(design))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.network = network = self.network
        m.domains.sync = sync = ClockDomain()
        pixel, score = network.i.payload, network.o.payload
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            pixel.data.eq(self.s_axis_tdata),
            pixel.last.eq(self.s_axis_tlast),
            network.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(network.i.ready & self.aresetn),
            self.m_axis_tdata.eq(score.data),
            self.m_axis_tlast.eq(score.last),
            self.m_axis_tuser.eq(score.error),
            self.m_axis_tvalid.eq(network.o.valid & self.aresetn),
            network.o.ready.eq(self.m_axis_tready),
        ]
        return m


def decoder_pins(design: DecoderDesign) -> dict[str, wiring.Member]:
    """Every pin of a decoder by name; contexts have numbers where there are several."""
    tid = design.context_width
    return {
        "aclk": In(1),
        "aresetn": In(1),
        "s_axis_tdata": In(8 * design.token_bytes),
        "s_axis_tvalid": In(1),
        "s_axis_tready": Out(1),
        "s_axis_tuser": In(1),
        **({"s_axis_tid": In(tid)} if tid else {}),
        "m_axis_tdata": Out(8 * design.answer_bytes),
        "m_axis_tvalid": Out(1),
        "m_axis_tready": In(1),
        "m_axis_tlast": Out(1),
        "m_axis_tuser": Out(1),
        **({"m_axis_tid": Out(tid)} if tid else {}),
    }


class DecoderTop(wiring.Component):
    """A decoder behind AXI4-Stream pins, with clock, reset and timing of `NetworkTop`.

    Parameters
    ----------
    design : DecoderDesign
    image : NetworkImage
        The contents of all parameter memories from power-up on.

    Members
    -------
    aclk, aresetn : ``In(1)``
    s_axis_* : tokens in, a beat each: ``tdata`` its number, ``tid`` its context, ``tuser`` 1 where
        the context is empty before it.
    m_axis_* : answers out, a packet for each token, with ``tid`` of its context: scores,
        sign-extended, `DecoderDesign.answer_scores` a beat, or the best token. ``tuser`` is 1 in
        the only beat that answers an error, whose `TokenError` is ``tdata``.
    """

    def __init__(self, design: DecoderDesign, image: NetworkImage):
        self.design = design
        self.network = Decoder(design, image)
        super().__init__(decoder_pins(design))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.network = network = self.network
        m.domains.sync = sync = ClockDomain()
        token, answer = network.i.payload, network.o.payload
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            token.data.eq(self.s_axis_tdata),
            token.begin.eq(self.s_axis_tuser),
            network.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(network.i.ready & self.aresetn),
            self.m_axis_tdata.eq(answer.data),
            self.m_axis_tlast.eq(answer.last),
            self.m_axis_tuser.eq(answer.error),
            self.m_axis_tvalid.eq(network.o.valid & self.aresetn),
            network.o.ready.eq(self.m_axis_tready),
        ]
        if self.design.context_width:
            m.d.comb += [token.context.eq(self.s_axis_tid), self.m_axis_tid.eq(answer.context)]
        return m
