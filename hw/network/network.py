# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A whole network as a pipeline: pixels in, scores out."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.probe import PROBE
from ecoformer.hw.network.block import Block, linear_of, norm_of
from ecoformer.hw.network.elementwise import Positions
from ecoformer.hw.network.linear import Linear
from ecoformer.hw.network.patches import Patches, Pixel
from ecoformer.hw.network.pool import Pool
from ecoformer.hw.network.scores import Score, Scores
from ecoformer.spec.network.design import ACTIVATION_WIDTH, NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["BUSY_PROBE", "Network", "probe_name"]

BUSY_PROBE = "trace_busy"
"""Name of the signal that shows benches what works, in the order of `Network.busy`."""


class Network(wiring.Component):
    """Every layer of a network, each at work on a token of its own.

    Parameters
    ----------
    design : NetworkDesign
    image : NetworkImage
        What the memories of all layers hold from the start.

    Members
    -------
    i : ``In(stream.Signature(Pixel))``
        Images in raster order.
    o : ``Out(stream.Signature(Score))``
        Scores of every image, in the order of the images.
    """

    def __init__(self, design: NetworkDesign, image: NetworkImage):
        image.check(design)
        self.design = design
        self.patches = Patches(design)
        self.stem = linear_of(design, image, "stem")
        self.positions = Positions(image.arrays["positions"], design.residual_width)
        self.blocks: list[Block] = []
        entering = self.stem.latency + self.positions.latency
        for number in range(design.depth):
            self.blocks.append(Block(design, image, number, entering))
            entering = self.blocks[-1].leaving
        self.norm = norm_of(design, image, "norm", entering)
        self.pool = Pool(design.width, design.tokens, ACTIVATION_WIDTH, design.pooled_width)
        self.classifier = linear_of(design, image, "classifier")
        tokens = sum(block.tokens for block in self.blocks)
        self.scores = Scores(design, Patches.IMAGES + 4 + -(-tokens // design.tokens))
        super().__init__(
            {
                "i": In(stream.Signature(Pixel(design))),
                "o": Out(stream.Signature(Score(design))),
            }
        )

    @property
    def links(self) -> dict[str, wiring.PureInterface]:
        """What every layer sends, by the layer's name in `golden.integer.network.forward`."""
        blocks = {
            f"blocks.{number}.{name}": link
            for number, block in enumerate(self.blocks) for name, link in block.links.items()
        }
        return {
            "stem": self.positions.o, **blocks, "norm": self.norm.o, "pooled": self.pool.o,
            "scores": self.classifier.o,
        }

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer, by the names and in the order of `NetworkDesign.linears`."""
        blocks = {
            f"blocks.{number}.{name}": layer
            for number, block in enumerate(self.blocks) for name, layer in block.layers.items()
        }
        return {"stem": self.stem, **blocks, "classifier": self.classifier}

    @property
    def busy(self) -> dict[str, Value]:
        """What works in a cycle: a bit of every linear layer, and those of a head of a block.

        The heads of a block do the same at the same time; the bits of one are those of
        `spec.units.units`.
        """
        linears = {name: layer.busy for name, layer in self.linears.items()}
        heads = {
            f"blocks.{number}.attention": block.heads.paths[0].busy
            for number, block in enumerate(self.blocks)
        }
        return linears | heads

    def elaborate(self, platform) -> Module:
        m = Module()
        chain: list[tuple[str, Any]] = [
            ("stem", self.stem), ("positions", self.positions),
            *((f"block_{number}", block) for number, block in enumerate(self.blocks)),
            ("norm", self.norm), ("pool", self.pool), ("classifier", self.classifier),
        ]
        m.submodules.patches = patches = self.patches
        m.submodules.scores = scores = self.scores
        source = patches.o
        for name, layer in chain:
            m.submodules[name] = layer
            connect(m, source, layer.i)
            source = layer.o
        connect(m, source, scores.i)
        connect(m, flipped(self.i), patches.i)
        connect(m, scores.o, flipped(self.o))
        m.d.comb += [
            patches.ready.eq(scores.ready),
            scores.image.eq(patches.image),
            scores.bad.eq(patches.bad),
        ]
        # For benches: the element that a layer sends, and above it whether there is one.
        for name, link in self.links.items():
            probe = Signal(link.signature.width + 1, name=probe_name(name), attrs=PROBE)
            m.d.comb += probe.eq(Cat(link.element, link.valid))
        busy = Cat(*self.busy.values())
        works = Signal(len(busy), name=BUSY_PROBE, attrs=PROBE)
        m.d.comb += works.eq(busy)
        return m


def probe_name(layer: str) -> str:
    """Name of the signal that shows benches what a layer sends."""
    return "trace_" + layer.replace(".", "_")
