# SPDX-License-Identifier: Apache-2.0
"""Frames: which handwritten digit has the same frame around it as the empty cell?

A canvas has 3 × 3 cells. Eight hold an MNIST digit at half its size, each in a frame of its own;
one is empty, and its frame is that of one of the others, whose digit is the label. A frame has four
sides in one of three shades each, so there are 81 of them.

This is associative recall (:mod:`golden.learn.recall`) on real images: the values have to be
recognised.
"""

import numpy as np

__all__ = ["CELL", "DIGITS", "FRAMES", "GRID", "SHADES", "SIDE", "draw"]

GRID, CELL, DIGITS = 3, 14, 10
SIDE = GRID * CELL
SHADES = np.array([0, 128, 255], np.uint8)
FRAMES = len(SHADES) ** 4


def draw(
    count: int, rng: np.random.Generator, digits: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` canvases.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    digits : uint8 array [n, 28, 28]
        From which cells are filled.
    classes : int array [n]
        What they show, 0…9.

    Returns
    -------
    images : uint8 array [count, 1, 42, 42]
    labels : int64 array [count]
    """
    cells = GRID * GRID
    rows = np.arange(count)
    which = rng.integers(len(digits), size=(count, cells))
    frames = rng.random((count, FRAMES)).argsort(1)[:, :cells]  # all different
    empty = rng.integers(cells, size=count)
    asked = (empty + rng.integers(1, cells, size=count)) % cells
    frames[rows, empty] = frames[rows, asked]
    images = _halve(digits)[which]  # [count, cells, 14, 14]
    images[rows, empty] = 0
    top, bottom, left, right = np.moveaxis(SHADES[_sides(frames)], -1, 0)[..., None]
    images[..., 0, :], images[..., -1, :] = top, bottom
    images[..., :, 0], images[..., :, -1] = left, right
    canvas = images.reshape(count, GRID, GRID, CELL, CELL).swapaxes(2, 3)
    labels = classes[which[rows, asked]].astype(np.int64)
    return np.ascontiguousarray(canvas).reshape(count, 1, SIDE, SIDE), labels


def _sides(frames):
    """Number of the shade of each of the four sides: its digits in base 3."""
    return np.stack(np.unravel_index(frames, (len(SHADES),) * 4), -1)


def _halve(digits):
    """Means of 2 × 2 pixels."""
    count, height, width = digits.shape
    blocks = digits.reshape(count, height // 2, 2, width // 2, 2)
    return (blocks.mean((2, 4)) + 0.5).astype(np.uint8)
