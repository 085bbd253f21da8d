# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The pin-level top of networks: two AXI4-Stream ports."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.network.answers import Answer
from ecoformer.hw.network.decoder import Decoder
from ecoformer.hw.network.embedding import TokenBeat
from ecoformer.hw.network.network import Network
from ecoformer.hw.network.patches import Pixel
from ecoformer.hw.network.scores import Score
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["NetworkTop", "network_pins"]

SIGNALS = {"data": "tdata", "last": "tlast", "begin": "tuser", "error": "tuser", "context": "tid"}
"""AXI4-Stream signal of each field of a beat, in the order of the pins."""


def network_pins(design: Design) -> dict[str, wiring.Member]:
    """Every pin of a network by name."""
    enters, leaves = _beats(design)
    return {
        "aclk": In(1), "aresetn": In(1),
        **_port("s_axis", enters, In, Out),
        **_port("m_axis", leaves, Out, In),
    }


class NetworkTop(wiring.Component):
    """A network behind AXI4-Stream pins.

    One clock ``aclk``; ``aresetn`` is synchronous and active low. An output depends on no input of
    the same cycle but ``aresetn``, which holds every ``valid`` and ``ready`` low.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
        The contents of all parameter memories from power-up on.

    Members
    -------
    aclk, aresetn : ``In(1)``
    s_axis_* : a beat each, the fields of `Pixel`, whose packet is an image in raster order, or of
        `TokenBeat`.
    m_axis_* : a beat each, the fields of `Score` or of `Answer`; a packet answers an image or a
        token. ``m_axis_tuser`` is 1 in the only beat that answers an error.
    """

    def __init__(self, design: Design, image: NetworkImage):
        self.network: Network | Decoder
        if isinstance(design, DecoderDesign):
            self.network = Decoder(design, image)
        else:
            self.network = Network(design, image)
        super().__init__(network_pins(design))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.network = network = self.network
        m.domains.sync = sync = ClockDomain()
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            network.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(network.i.ready & self.aresetn),
            self.m_axis_tvalid.eq(network.o.valid & self.aresetn),
            network.o.ready.eq(self.m_axis_tready),
        ]
        for name, pin in self._pins("s_axis", network.i.payload):
            m.d.comb += network.i.payload[name].eq(pin)
        for name, pin in self._pins("m_axis", network.o.payload):
            m.d.comb += pin.eq(network.o.payload[name])
        return m

    def _pins(self, port, payload):
        """Fields of a payload that have a pin, each with it."""
        pins = {name: f"{port}_{SIGNALS[name]}" for name in payload.shape().members}
        return [(name, getattr(self, pin)) for name, pin in pins.items() if hasattr(self, pin)]


def _beats(design):
    """What enters a network and what leaves it, a beat each."""
    if isinstance(design, DecoderDesign):
        return TokenBeat(design), Answer(design)
    return Pixel(design), Score(design)


def _port(name, beat, along, against):
    """Pins of a stream; a field without bits has none."""
    fields = {
        pin: Shape.cast(beat.members[field]).width
        for field, pin in SIGNALS.items() if field in beat.members
    }
    pins = {"tdata": fields.pop("tdata"), "tvalid": 1, "tready": 1} | fields
    return {
        f"{name}_{pin}": (against if pin == "tready" else along)(width)
        for pin, width in pins.items() if width
    }
