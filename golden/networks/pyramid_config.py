# SPDX-License-Identifier: Apache-2.0
"""Shapes of the pyramid networks that EcoFormer was published with; needs no torch.

Sources: PVTv2, arXiv 2106.13797, table 1; Twins-SVT, arXiv 2104.13840, table 2; where they attend
how, arXiv 2209.09004, §4 and its released code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ecoformer.spec.checks import check_choice, check_number

__all__ = ["ATTENTIONS", "ECOFORMER", "FAMILIES", "NAMED", "PyramidConfig", "SOFTMAX"]

FAMILIES = ("pvt_v2", "twins_svt")
"""Kinds of pyramids."""

ATTENTIONS = ("reduced", "softmax", "softmax-shared", "ecoformer")
"""How a stage attends. ``reduced``: as the original network does, with keys and values of a reduced
image, and in Twins in every other block among the tokens of a window. ``softmax``: all tokens with
all. ``softmax-shared``: the same with one projection for queries and keys. ``ecoformer``."""

STAGES = 4
LARGEST, DEEPEST = 8_192, 1_000
"""Bounds of every size and of a depth, checked before any memory is taken."""

SOFTMAX = ("softmax",) * STAGES
"""Attention of the softmax network that EcoFormer is compared with."""
ECOFORMER = ("ecoformer", "ecoformer", "ecoformer", "softmax")
"""Attention of the published EcoFormer networks: the last stage, of 49 tokens, keeps softmax."""


@dataclass(frozen=True, kw_only=True)
class PyramidConfig:
    """Shape of a pyramid of four stages, each of half the side of the one before.

    The defaults are those of PVTv2-B0.

    Parameters
    ----------
    family : str
        ``pvt_v2``: overlapping patches, a convolution in the MLP, a norm behind every stage.
        ``twins_svt``: plain patches, a convolution for positions behind the first block of every
        stage.
    widths, depths, heads, mlp_ratios : tuple of 4 int
        Elements of a token, blocks, heads, and hidden width of the MLP over the width.
    reductions : tuple of 4 int
        Side of the square of tokens that ``reduced`` attention makes one key and value of.
    attention : tuple of 4 str
        One of :data:`ATTENTIONS` for every stage.
    window : int
        Side of the windows of ``reduced`` attention in ``twins_svt``.
    image_size : int
        Pixels along one side of the square images that it is trained on; it takes others, too.
    channels, classes : int
        Colours of a pixel, and labels.
    norm_eps, inner_norm_eps : float
        Added to the variance by the norms of blocks and stages, and by those behind patches and
        reductions.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type, outside its range, or one that does not divide.
    """

    family: str = "pvt_v2"
    widths: tuple[int, ...] = (32, 64, 160, 256)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (1, 2, 5, 8)
    mlp_ratios: tuple[int, ...] = (8, 8, 4, 4)
    reductions: tuple[int, ...] = (8, 4, 2, 1)
    attention: tuple[str, ...] = ECOFORMER
    window: int = 7
    image_size: int = 224
    channels: int = 3
    classes: int = 1_000
    norm_eps: float = 1e-6
    inner_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_choice("family", self.family, FAMILIES)
        for name in ("widths", "depths", "heads", "mlp_ratios", "reductions", "attention"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or len(values) != STAGES:
                raise TypeError(f"{name} must have {STAGES} values, not {values!r}")
            for value in values:
                if name == "attention":
                    check_choice("attention of a stage", value, ATTENTIONS)
                else:
                    check_number(name, value, int, 1, DEEPEST if name == "depths" else LARGEST)
        for width, heads in zip(self.widths, self.heads):
            if width % heads:
                raise ValueError(f"heads must divide widths, not be {heads} for {width}")
        for name in ("window", "image_size", "channels", "classes"):
            check_number(name, getattr(self, name), int, 1, LARGEST)
        for name in ("norm_eps", "inner_norm_eps"):
            check_number(name, getattr(self, name), float, 0, 1)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The configuration of plain values, as JSON holds them: lists stand for tuples."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**fields)

    @property
    def stride(self) -> int:
        """Pixels per side that become one token of the last stage."""
        return 4 << STAGES - 1

    def resembles(self, other: PyramidConfig) -> bool:
        """Whether both have the same family, widths and depths."""
        same = ("family", "widths", "depths")
        return all(getattr(self, name) == getattr(other, name) for name in same)

    def attending(self, attention: tuple[str, ...]) -> PyramidConfig:
        """The same network with other attention."""
        return replace(self, attention=attention)

    @property
    def softmax_form(self) -> PyramidConfig:
        """The same network with softmax in the place of EcoFormer attention."""
        kinds = (kind if kind != "ecoformer" else "softmax" for kind in self.attention)
        return self.attending(tuple(kinds))

    @property
    def tokens(self) -> int:
        """Tokens of an image in the first stage with EcoFormer attention, the longest sequence."""
        side = self.image_size
        for stage, kind in enumerate(self.attention):
            stride = 2 if stage else 4
            side = -(-side // stride) if self.family == "pvt_v2" else side // stride
            if kind == "ecoformer":
                return side * side
        return 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def _pvt_v2(widths, depths):
    return PyramidConfig(
        family="pvt_v2", widths=widths, depths=depths, heads=(1, 2, 5, 8), mlp_ratios=(8, 8, 4, 4)
    )


_WIDE = (64, 128, 320, 512)
NAMED = {
    "PVTv2-B0": _pvt_v2((32, 64, 160, 256), (2, 2, 2, 2)),
    "PVTv2-B1": _pvt_v2(_WIDE, (2, 2, 2, 2)),
    "PVTv2-B2": _pvt_v2(_WIDE, (3, 4, 6, 3)),
    "PVTv2-B3": _pvt_v2(_WIDE, (3, 4, 18, 3)),
    "PVTv2-B4": _pvt_v2(_WIDE, (3, 8, 27, 3)),
    "Twins-SVT-S": PyramidConfig(
        family="twins_svt", widths=(64, 128, 256, 512), depths=(2, 2, 10, 4),
        heads=(2, 4, 8, 16), mlp_ratios=(4, 4, 4, 4),
    ),
}
"""Published networks, in their EcoFormer form."""
