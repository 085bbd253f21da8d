# SPDX-License-Identifier: Apache-2.0
"""Attention of a block in a pyramid, one class for each way; parameters have their public names.

Tokens are those of an image, row by row: x [B, N, width] with N = rows · columns of its ``grid``.
"""

from collections.abc import Callable

import torch
from torch import nn

from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.pyramid_config import PyramidConfig

__all__ = [
    "FullAttention", "Grid", "ReducedAttention", "SharedAttention", "StageAttention",
    "WindowAttention", "make_attention",
]

Grid = tuple[int, int]
"""Rows and columns of tokens."""


class StageAttention(nn.Module):
    """What all have in common: heads, the attention itself, and the projection behind it.

    Parameters
    ----------
    width : int
        Elements of a token.
    core : SoftmaxAttention
        The attention between the projections.

    Members
    -------
    core : SoftmaxAttention or EcoFormerAttention
    proj : Linear
    """

    def __init__(self, width: int, core: SoftmaxAttention):
        super().__init__()
        self.heads = core.heads
        self.core = core
        self.proj = nn.Linear(width, width)

    def _split(self, x, parts=1):
        """Heads of ``parts`` projections behind each other: Tensor or list of [B, H, N, D]."""
        split = x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return split[0] if parts == 1 else list(split)

    def _join(self, o):
        return self.proj(o.transpose(1, 2).flatten(2))  # [B, H, N, E] -> [B, N, width]


class FullAttention(StageAttention):
    """Every token with every token: ``qkv``, ``proj``."""

    def __init__(self, width: int, core: SoftmaxAttention):
        super().__init__(width, core)
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Attended tokens [B, N, width]."""
        return self._join(self.core(*self._split(self.qkv(x), 3)))


class SharedAttention(StageAttention):
    """The same with one projection for queries and keys: ``to_qk``, ``to_v``, ``proj``."""

    def __init__(self, width: int, core: SoftmaxAttention):
        super().__init__(width, core)
        self.to_qk = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Attended tokens [B, N, width]."""
        qk = self._split(self.to_qk(x))
        return self._join(self.core(qk, qk, self._split(self.to_v(x))))


class ReducedAttention(StageAttention):
    """Keys and values of squares of tokens: ``q``, ``kv``, ``proj``, and ``sr``, ``norm``.

    Source: PVTv2, arXiv 2106.13797, §3.1; global attention of Twins, arXiv 2104.13840, §3.2.

    Parameters
    ----------
    width, core
        Same as :class:`StageAttention`.
    ratio : int
        Side of a square; with 1 there is no ``sr`` and no ``norm``.
    eps : float
        Of ``norm``.
    """

    def __init__(self, width: int, core: SoftmaxAttention, ratio: int, eps: float):
        super().__init__(width, core)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.ratio = ratio
        if ratio > 1:
            self.sr = nn.Conv2d(width, width, ratio, ratio)
            self.norm = nn.LayerNorm(width, eps)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Attended tokens [B, N, width]."""
        k, v = self._split(self.kv(self._reduce(x, grid)), 2)
        return self._join(self.core(self._split(self.q(x)), k, v))

    def _reduce(self, x, grid):
        if self.ratio == 1:
            return x
        squares = self.sr(x.transpose(1, 2).unflatten(2, grid))
        return self.norm(squares.flatten(2).transpose(1, 2))


class WindowAttention(FullAttention):
    """Attention among the tokens of each square window: ``qkv``, ``proj``.

    Source: locally grouped attention of Twins, arXiv 2104.13840, §3.2.

    Parameters
    ----------
    width, core
        Same as :class:`StageAttention`.
    side : int
        Tokens along one side of a window.
    """

    def __init__(self, width: int, core: SoftmaxAttention, side: int):
        super().__init__(width, core)
        self.side = side

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Attended tokens [B, N, width].

        Raises
        ------
        ValueError
            The grid is not a whole number of windows.
        """
        rows, columns = (length // self.side for length in grid)
        if (rows * self.side, columns * self.side) != grid:
            raise ValueError(
                f"tokens must be whole windows of {self.side} × {self.side}, not "
                f"{grid[0]} × {grid[1]}"
            )
        x = x.unflatten(1, (rows, self.side, columns, self.side)).transpose(2, 3)
        windows = super().forward(x.flatten(3, 4).flatten(0, 2), grid)
        x = windows.unflatten(0, (-1, rows, columns)).unflatten(3, (self.side, self.side))
        return x.transpose(2, 3).flatten(1, 4)


def make_attention(
    config: PyramidConfig, ecoformer: AttentionConfig, stage: int, block: int, layer: int
) -> StageAttention:
    """Attention of one block.

    Parameters
    ----------
    config : PyramidConfig
    ecoformer : AttentionConfig
        Shape of ``ecoformer`` attention.
    stage, block : int
        Counted from 0, the block within its stage.
    layer : int
        Number of the block in the whole network.
    """
    width, heads = config.widths[stage], config.heads[stage]
    softmax = SoftmaxAttention(heads, layer=layer)
    kinds: dict[str, Callable[[], StageAttention]] = {
        "reduced": lambda: ORIGINALS[config.family](config, softmax, stage, block),
        "softmax": lambda: FullAttention(width, softmax),
        "softmax-shared": lambda: SharedAttention(width, softmax),
        "ecoformer": lambda: SharedAttention(
            width, EcoFormerAttention(heads, width // heads, ecoformer, layer=layer)
        ),
    }
    return kinds[config.attention[stage]]()


def _reduced(config, core, stage, block):
    ratio = config.reductions[stage]
    return ReducedAttention(config.widths[stage], core, ratio, config.inner_norm_eps)


def _windows_in_turn(config, core, stage, block):
    if block % 2:
        return _reduced(config, core, stage, block)
    return WindowAttention(config.widths[stage], core, config.window)


ORIGINALS = {"pvt_v2": _reduced, "twins_svt": _windows_in_turn}
"""Makes the ``reduced`` attention of a block, by family."""
