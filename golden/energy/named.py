# SPDX-License-Identifier: Apache-2.0
"""The networks of the paper, counted from their modules, and the figures published for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecoformer.golden.energy.shapes import ARMS, Layer
from ecoformer.golden.networks.pyramid_config import ECOFORMER, NAMED, SOFTMAX, PyramidConfig
from ecoformer.spec.checks import check_choice

__all__ = ["NETWORKS", "PUBLISHED", "SOURCE", "PyramidNetwork"]

ATTENTION_OF_ARM = {"softmax": SOFTMAX, "ecoformer": ECOFORMER}
"""How the stages attend. In both every token attends to all, as in the paper's comparison."""


@dataclass(frozen=True, kw_only=True)
class PyramidNetwork:
    """A network of :mod:`golden.networks.pyramid`, to be counted; needs torch.

    Parameters
    ----------
    name : str
    config : PyramidConfig
    image_size : int
        Pixels along one side of a square image.
    """

    name: str
    config: PyramidConfig
    image_size: int = 224
    tokens: int = 0

    def resized(self, image_size: int) -> PyramidNetwork:
        """The same network on images of another size."""
        return replace(self, image_size=image_size)

    def layers(self, arm: str) -> list[Layer]:
        """Every counted layer of the ``arm`` of :data:`ARMS`, in order."""
        from ecoformer.golden.energy.modules import pyramid_layers

        check_choice("arm", arm, ARMS)
        return list(pyramid_layers(self.config.attending(ATTENTION_OF_ARM[arm]), self.image_size))


NETWORKS = {name: PyramidNetwork(name=name, config=config) for name, config in NAMED.items()}
"""Every named network."""

SOURCE = "arXiv 2209.09004 and the table of its released code (github.com/ziplab/EcoFormer)"

PUBLISHED = {
    "ecoformer": {
        "PVTv2-B0": ("0.54", "0.56", "2.5"),
        "PVTv2-B1": ("2.03", "2.09", "9.4"),
        "PVTv2-B2": ("3.85", "3.97", "17.8"),
        "PVTv2-B3": ("6.54", "6.75", "30.25"),
        "PVTv2-B4": ("9.57", "9.82", "44.25"),
        "Twins-SVT-S": ("2.72", "2.81", "12.6"),
    },
    "softmax": {"PVTv2-B0": ("2.02", "1.99", "9.25")},
}
"""Multiplications (B), additions (B) and energy (B pJ) at 224 × 224, digits as in :data:`SOURCE`.

The one difference of this count is the additions of B3: 6.72. With them the energy is the published
30.25; with the published 6.75 it would be 30.28.
"""
