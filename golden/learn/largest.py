# SPDX-License-Identifier: Apache-2.0
"""The largest of several recalled values: attention finds them, then they have to be compared.

A sequence holds 13 pairs of a key and a value, all keys different, and three queries, each of
which is another one of the keys; the label is the largest of their values. Tokens are pixels as in
:mod:`golden.learn.recall`, with a channel for each key and each value.

The operator is one of ListOps (Nangia and Bowman, arXiv 1804.06028), its arguments are recalled.
"""

import numpy as np

from ecoformer.golden.learn.recall import CHANNELS, KEYS, ON, SIDE, VALUES

__all__ = ["QUERIES", "draw"]

QUERIES = 3


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` sequences.

    Returns
    -------
    images : uint8 array [count, 42, 4, 4]
        A pixel of a pair has two channels on, that of a query one.
    labels : int64 array [count]
        All are equally frequent.
    """
    tokens = SIDE * SIDE
    rows = np.arange(count)[:, None]
    keys = rng.random((count, KEYS)).argsort(1)[:, :tokens]  # all different
    values = rng.integers(VALUES, size=(count, tokens))
    order = rng.random((count, tokens)).argsort(1)
    query, asked = order[:, :QUERIES], order[:, QUERIES : 2 * QUERIES]
    keys[rows, query] = keys[rows, asked]
    labels = rng.integers(VALUES, size=count)
    # At most the label, and the first of the places, which are in random order, has it.
    values[rows, asked] = (rng.random(asked.shape) * (labels[:, None] + 1)).astype(int)
    values[rows[:, 0], asked[:, 0]] = labels
    images = np.zeros((count, CHANNELS, tokens), np.uint8)
    places = np.arange(tokens)
    images[rows, keys, places] = ON
    images[rows, KEYS + values, places] = ON
    images[rows, KEYS:, query] = 0
    return images.reshape(count, CHANNELS, SIDE, SIDE), labels
