# SPDX-License-Identifier: Apache-2.0
"""Views of one photograph under random homographies, and where they show the same point.

Drawn in the manner of LightGlue's own pretraining: scale, rotation, perspective and place of the
view, then contrast, brightness, gamma, blur and noise.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["SIZE", "carried", "draw_view"]

SIZE = 640, 480
"""Pixels of a view, width and height."""
SCALES = 0.5, 1.0
"""Width of a view over the greatest that fits into the photograph."""
ANGLE = math.radians(30)
JITTER = 0.15
"""How far a corner moves at most, in widths and heights of the view."""
MAGNIFIED = 1.25
"""Most pixels of a view for one of the photograph, once its detail is smoothed."""


def draw_view(
    photograph: Image.Image, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One view: uint8 [height, width, 3], and the homography [3, 3] from it to the photograph."""
    corners = _corners(photograph.size, chance)
    homography = _homography(_frame(), corners)
    # PIL interpolates between neighbours only: where a view is reduced, smooth before.
    reduction = float(np.linalg.norm(corners[1] - corners[0])) / SIZE[0]
    source = photograph
    if reduction > MAGNIFIED:
        source = photograph.filter(ImageFilter.GaussianBlur(0.5 * reduction))
    coefficients = (homography / homography[2, 2]).flatten()[:8]
    view = source.transform(
        SIZE, Image.Transform.PERSPECTIVE, coefficients.tolist(), Image.Resampling.BICUBIC
    )
    return _photometric(view, chance), homography


def carried(points: np.ndarray, homography: np.ndarray) -> np.ndarray:
    """Points [N, 2] carried by a homography."""
    lifted = np.concatenate([points, np.ones_like(points[:, :1])], 1) @ homography.T
    return lifted[:, :2] / lifted[:, 2:]


def _corners(size, chance):
    """Corners of a view in a photograph of ``size``: a rectangle turned, pulled and moved."""
    fits = min(size[0] / SIZE[0], size[1] / SIZE[1])
    sides = fits * chance.uniform(*SCALES) * np.array(SIZE)
    corners = (_frame() / (np.array(SIZE) - 1) - 0.5) + chance.uniform(-JITTER, JITTER, (4, 2))
    angle = chance.uniform(-ANGLE, ANGLE)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = (corners * sides) @ turn.T
    extent = np.ptp(corners, 0)
    room = np.array(size) - 1
    corners *= min(1, *(room / extent))
    low = -corners.min(0)
    return corners + chance.uniform(low, np.maximum(low, room - corners.max(0)))


def _frame():
    """Corners of a view in its own pixels."""
    right, bottom = SIZE[0] - 1.0, SIZE[1] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def _homography(source, target):
    """The homography that carries four points to four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.append(np.linalg.solve(np.array(rows), target.flatten()), 1).reshape(3, 3)


def _photometric(view, chance):
    if chance.random() < 0.3:
        view = view.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1)))
    light = (np.asarray(view) / 255) ** chance.uniform(0.7, 1.4)
    light = (light - 0.5) * chance.uniform(0.7, 1.2) + 0.5 + chance.uniform(-0.12, 0.12)
    light += chance.normal(0, chance.uniform(0, 0.02), light.shape)
    return (light.clip(0, 1) * 255).round().astype(np.uint8)
