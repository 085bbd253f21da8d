# SPDX-License-Identifier: Apache-2.0
"""The networks of the paper, from their published shapes, and the figures published for them."""

from ecoformer.golden.energy.shapes import Network, Stage

__all__ = ["NETWORKS", "PUBLISHED", "SOURCE"]


def _pvt_v2(name, widths, depths):
    """PVTv2 (arXiv 2106.13797) without spatial reduction: the last stage keeps softmax."""
    return Network(name=name, image_size=224, classes=1_000, stages=tuple(
        Stage(
            width=width, depth=depth, heads=heads, mlp_ratio=ratio,
            patch=3 if number else 7, stride=2 if number else 4, embedding_norm=True,
            mlp_convolution=True, norm=True, attention="softmax" if number == 3 else "ecoformer",
        )
        for number, (width, depth, heads, ratio) in enumerate(
            zip(widths, depths, (1, 2, 5, 8), (8, 8, 4, 4))
        )
    ))


def _twins_svt(name, widths, depths, heads):
    """Twins-SVT (arXiv 2104.13840) as EcoFormer uses it: global attention in every block."""
    return Network(name=name, image_size=224, classes=1_000, stages=tuple(
        Stage(
            width=width, depth=depth, heads=head, mlp_ratio=4, patch=2 if number else 4,
            stride=2 if number else 4, embedding_norm=True, position_convolution=True,
            norm=number == 3, attention="softmax" if number == 3 else "ecoformer",
        )
        for number, (width, depth, head) in enumerate(zip(widths, depths, heads))
    ))


_SMALL, _WIDE = (32, 64, 160, 256), (64, 128, 320, 512)

NETWORKS = {
    network.name: network
    for network in (
        _pvt_v2("PVTv2-B0", _SMALL, (2, 2, 2, 2)),
        _pvt_v2("PVTv2-B1", _WIDE, (2, 2, 2, 2)),
        _pvt_v2("PVTv2-B2", _WIDE, (3, 4, 6, 3)),
        _pvt_v2("PVTv2-B3", _WIDE, (3, 4, 18, 3)),
        _pvt_v2("PVTv2-B4", _WIDE, (3, 8, 27, 3)),
        _twins_svt("Twins-SVT-S", (64, 128, 256, 512), (2, 2, 10, 4), (2, 4, 8, 16)),
    )
}
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

The one difference of this model is the additions of B3: 6.72. With them the energy is the published
30.25; with the published 6.75 it would be 30.28.
"""
