# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A whole vision transformer as a pipeline: pixels in, scores out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.network.block import linear_of
from ecoformer.hw.network.chain import Chain
from ecoformer.hw.network.elementwise import Positions
from ecoformer.hw.network.linear import Linear
from ecoformer.hw.network.patches import Patches, Pixel
from ecoformer.hw.network.pool import Pool
from ecoformer.hw.network.scores import Score, Scores
from ecoformer.spec.network.design import ACTIVATION_WIDTH, NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Network"]


class Network(Chain):
    """Every layer of a vision transformer, each at work on a token of its own.

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

    design: NetworkDesign

    def __init__(self, design: NetworkDesign, image: NetworkImage):
        image.check(design)
        self.patches = Patches(design)
        self.stem = linear_of(design, image, ["stem"], Patches(design).latency)
        self.positions = Positions(
            image.arrays["positions"], design.residual_width, design.loadable
        )
        super().__init__(
            design,
            image,
            {
                "i": In(stream.Signature(Pixel(design))),
                "o": Out(stream.Signature(Score(design))),
            },
            self.stem.latency + self.positions.latency,
        )
        self.pool = Pool(design.width, design.tokens, ACTIVATION_WIDTH, design.pooled_width)
        self.most = Patches.IMAGES + 4 + -(-self.tokens // design.tokens)
        self.scores = Scores(design, self.most)

    @property
    def _before_classifier(self):
        # One sum comes for every image: it never waits for room.
        return 0

    @property
    def links(self) -> dict[str, wiring.PureInterface]:
        """What every layer sends, by the layer's name in `golden.integer.network.forward`."""
        return {
            "stem": self.positions.o, **self.block_links, "norm": self.norm.o,
            "pooled": self.pool.o, "scores": self.classifier.o,
        }

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer, by the names and in the order of `NetworkDesign.linear_hardware`."""
        return {"stem": self.stem, **super().linears}

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.patches = patches = self.patches
        m.submodules.scores = scores = self.scores
        source = self.link(m, patches.o, {
            "stem": self.stem, "positions": self.positions, **self.middle, "pool": self.pool,
            "classifier": self.classifier,
        })
        connect(m, source, scores.i)
        connect(m, flipped(self.i), patches.i)
        connect(m, scores.o, flipped(self.o))
        m.d.comb += [
            patches.ready.eq(scores.ready),
            scores.image.eq(patches.image),
            scores.bad.eq(patches.bad),
        ]
        self.add_loads(m, [self.stem, self.positions], scores)
        self.probe(m)
        return m
