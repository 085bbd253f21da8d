# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The pin-level top of networks: two AXI4-Stream ports, and two more to load parameters."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ecoformer.hw.network.answers import Answer
from ecoformer.hw.network.decoder import Decoder
from ecoformer.hw.network.embedding import TokenBeat
from ecoformer.hw.network.loader import Gate, LoadByte, Loader, LoadReply
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
    pins: dict[str, wiring.Member] = {"aclk": In(1), "aresetn": In(1)}
    for name, beat in _beats(design).items():
        pins |= _port(name, beat, *((In, Out) if name.startswith("s_") else (Out, In)))
    return pins


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
    s_axis_load_*, m_axis_load_* : if the design is loadable, the fields of `LoadByte`, whose packet
        is a parameter packet, and of `LoadReply`, a beat that answers it.
    """

    def __init__(self, design: Design, image: NetworkImage):
        self.network: Network | Decoder
        if isinstance(design, DecoderDesign):
            self.network = Decoder(design, image)
        else:
            self.network = Network(design, image)
        self.design = design
        super().__init__(network_pins(design))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.network = network = self.network
        m.domains.sync = sync = ClockDomain()
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        self._enter(m, "s_axis", network.i, self._load(m) if self.design.loadable else None)
        self._leave(m, "m_axis", network.o)
        return m

    def _load(self, m):
        """Add what loads parameters; returns whether a beat may enter meanwhile."""
        network = self.network
        m.submodules.loader = loader = Loader(self.design)
        m.submodules.gate = gate = Gate(network.most)
        connect(m, loader.load, network.load)
        connect(m, network.loaded, loader.loaded)
        enters, leaves = network.i, network.o
        m.d.comb += [
            network.whole.eq(loader.whole),
            gate.hold.eq(loader.hold),
            gate.taken.eq(enters.valid & enters.ready),
            gate.last.eq(enters.payload.last if "last" in enters.payload.shape().members else 1),
            gate.answered.eq(leaves.valid & leaves.ready & leaves.payload.last),
            loader.idle.eq(gate.idle),
        ]
        self._enter(m, "s_axis_load", loader.i)
        self._leave(m, "m_axis_load", loader.o)
        return gate.open

    def _enter(self, m, port, stream, passes=None):
        """Connect the pins of ``port`` to a stream that takes beats, while ``passes`` if given."""
        valid, ready = getattr(self, f"{port}_tvalid"), stream.ready
        if passes is not None:
            valid, ready = valid & passes, ready & passes
        m.d.comb += [
            stream.valid.eq(valid), getattr(self, f"{port}_tready").eq(ready & self.aresetn),
        ]
        for name, pin in self._pins(port, stream.payload):
            m.d.comb += stream.payload[name].eq(pin)

    def _leave(self, m, port, stream):
        """Connect the pins of ``port`` to a stream that offers beats."""
        m.d.comb += [
            getattr(self, f"{port}_tvalid").eq(stream.valid & self.aresetn),
            stream.ready.eq(getattr(self, f"{port}_tready")),
        ]
        for name, pin in self._pins(port, stream.payload):
            m.d.comb += pin.eq(stream.payload[name])

    def _pins(self, port, payload):
        """Fields of a payload that have a pin, each with it."""
        pins = {name: f"{port}_{SIGNALS[name]}" for name in payload.shape().members}
        return [(name, getattr(self, pin)) for name, pin in pins.items() if hasattr(self, pin)]


def _beats(design):
    """What a beat of each port is."""
    if isinstance(design, DecoderDesign):
        beats = {"s_axis": TokenBeat(design), "m_axis": Answer(design)}
    else:
        beats = {"s_axis": Pixel(design), "m_axis": Score(design)}
    loads = {"s_axis_load": LoadByte(), "m_axis_load": LoadReply()} if design.loadable else {}
    return beats | loads


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
