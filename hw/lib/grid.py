# SPDX-License-Identifier: Apache-2.0
"""Lanes cut into the rows and columns of a grid of cells."""

__all__ = ["split_range"]


def split_range(extent: int, size: int) -> list[range]:
    """``range(extent)`` cut into ranges of ``size``; the last may be shorter."""
    return [range(i, min(i + size, extent)) for i in range(0, extent, size)]
