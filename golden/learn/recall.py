# SPDX-License-Identifier: Apache-2.0
"""Associative recall: a task that cannot be done without attention.

A sequence holds pairs of a key and a value, all keys different, and a query, which is one of the
keys; the label is the value of that key. As an image of 4 × 4 pixels, every pixel is a token: 15
pairs and a query, in random places. A pixel has a channel for each key and each value.

Source of the task: Ba et al., "Using Fast Weights to Attend to the Recent Past", arXiv 1610.06258.
"""

import numpy as np

__all__ = ["CHANNELS", "KEYS", "SIDE", "VALUES", "draw"]

KEYS, VALUES, SIDE = 32, 10, 4
CHANNELS = KEYS + VALUES
ON = 255


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` sequences.

    Returns
    -------
    images : uint8 array [count, 42, 4, 4]
        A pixel of a pair has two channels on, that of the query one.
    labels : int64 array [count]
    """
    tokens = SIDE * SIDE
    rows = np.arange(count)
    keys = rng.random((count, KEYS)).argsort(1)[:, :tokens]  # all different
    values = rng.integers(VALUES, size=(count, tokens))
    # The query takes the place of one pair and asks for another, 1…15 places further.
    query = rng.integers(tokens, size=count)
    asked = (query + rng.integers(1, tokens, size=count)) % tokens
    keys[rows, query] = keys[rows, asked]
    images = np.zeros((count, CHANNELS, tokens), np.uint8)
    places = np.arange(tokens)
    images[rows[:, None], keys, places] = ON
    images[rows[:, None], KEYS + values, places] = ON
    images[rows, KEYS:, query] = 0
    return images.reshape(count, CHANNELS, SIDE, SIDE), values[rows, asked]
