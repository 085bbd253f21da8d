# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The pin-level top of a network: two AXI4-Stream ports."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.network.network import Network
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["NetworkTop", "network_pins"]


def network_pins(design: NetworkDesign) -> dict[str, wiring.Member]:
    """Every pin of a network by name."""
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
        super().__init__(network_pins(design))

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
