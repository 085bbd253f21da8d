# SPDX-License-Identifier: Apache-2.0
"""From the pixels of an image to the windows that the stem sees, one for every token."""

import numpy as np

from ecoformer.spec.network.design import NetworkDesign

__all__ = ["patches"]


def patches(design: NetworkDesign, pixels: np.ndarray) -> np.ndarray:
    """Windows int64 [B, N, channels·kernel²] of images uint8 [B, channels, S, S].

    A pixel p counts as 2p - 255, one outside of the image as 0. Tokens are in raster order; the
    elements of a window by row, column and channel, the channel fastest.

    Raises
    ------
    TypeError, ValueError
        Other images than those of ``design``.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8:
        raise TypeError(f"pixels must be uint8, not {pixels.dtype}")
    wanted = design.channels, design.image_size, design.image_size
    if pixels.ndim != 4 or pixels.shape[1:] != wanted:
        raise ValueError(
            f"pixels must have shape [B, {', '.join(map(str, wanted))}], not {list(pixels.shape)}"
        )
    edge = design.patch - 1
    padded = np.pad(2 * pixels.astype(np.int64) - 255, ((0, 0), (0, 0), (edge, 0), (edge, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (design.kernel,) * 2, axis=(2, 3))
    ours = windows[:, :, :: design.patch, :: design.patch]  # [B, C, rows, columns, kernel, kernel]
    return ours.transpose(0, 2, 3, 4, 5, 1).reshape(len(pixels), design.tokens, -1)
