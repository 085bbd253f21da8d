# SPDX-License-Identifier: Apache-2.0
"""Tasks that cannot be done without attention, drawn at random from a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecoformer.golden.learn import frames, largest, recall

__all__ = ["DRAWN", "HELD_OUT", "PARTS", "Task"]

HELD_OUT = "held_out"
PARTS = {"train": 50_000, "validation": 2_000, HELD_OUT: 2_000}
"""Examples of each part."""


@dataclass(frozen=True)
class Task:
    """How the examples of a task are drawn.

    Parameters
    ----------
    draw : callable
        ``draw(count, rng)`` gives uint8 images [count, channels, side, side] and int64 labels; with
        ``of_digits`` also given uint8 digits [n, 28, 28] and what they show [n].
    classes : int
        Number of labels.
    of_digits : bool
        Whether each part is drawn from the MNIST digits of the same part, so that held-out
        examples hold no digit that was learned from.
    """

    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    classes: int
    of_digits: bool = False


DRAWN = {
    "recall": Task(recall.draw, recall.VALUES),
    "largest": Task(largest.draw, recall.VALUES),
    "frames": Task(frames.draw, frames.DIGITS, of_digits=True),
}
"""Tasks by name."""
