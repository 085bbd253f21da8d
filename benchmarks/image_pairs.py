# SPDX-License-Identifier: Apache-2.0
"""Pairs of views of photographs with their features, and how right their matches are."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.matching import Matching, describe, detector, within
from benchmarks.photographs import to_learn_from, to_measure_on
from benchmarks.precision import mixed_precision
from benchmarks.views import carried, draw_view

__all__ = ["Pair", "pairs_to_learn_from", "pairs_to_measure_on"]

NEAR = 3.0
"""Pixels within which two points are the same."""
FEWEST = 50
"""True matches of a pair that is measured: views that hardly overlap say nothing."""
THRESHOLD = 0.1
"""Least score of a match, as in the package."""


@dataclass(frozen=True)
class Pair:
    """Two views of one photograph, with points [N, 2] in pixels and descriptors [N, 128].

    The strongest points come first.

    Parameters
    ----------
    points, descriptors : (Tensor, Tensor)
    homography : ndarray [3, 3]
        From the first view to the second.
    """

    points: tuple[torch.Tensor, torch.Tensor]
    descriptors: tuple[torch.Tensor, torch.Tensor]
    homography: np.ndarray

    @property
    def batch(self) -> dict[str, torch.Tensor]:
        """What the network is called with."""
        first, second = (within(points)[None] for points in self.points)
        return {
            "points0": first, "descriptors0": self.descriptors[0][None],
            "points1": second, "descriptors1": self.descriptors[1][None],
        }

    def strongest(self, count: int) -> "Pair":
        """The pair with its ``count`` strongest points in each view."""
        points, descriptors = (
            (first[:count], second[:count]) for first, second in (self.points, self.descriptors)
        )
        return Pair(points, descriptors, self.homography)

    @property
    def distances(self) -> np.ndarray:
        """Pixels [M, N] in the second view between points of the first and its own."""
        first, second = (points.double().numpy() for points in self.points)
        return np.linalg.norm(carried(first, self.homography)[:, None] - second, axis=-1)

    @property
    def truth(self) -> np.ndarray:
        """Which points show the same: bool [M, N], each other's nearest within `NEAR`."""
        distances = self.distances
        return _mutual(-distances) & (distances < NEAR)

    def precision_and_recall(self, answer: Matching) -> tuple[float, float]:
        """Of the matches the share that is right; of the true ones the share that is found."""
        scores = answer.scores[0, :-1, :-1].float().exp().numpy()
        matches, truth = _mutual(scores) & (scores > THRESHOLD), self.truth
        right = matches & (self.distances < NEAR)
        precision = right.sum() / max(1, matches.sum())
        return float(precision), float((matches & truth).sum() / truth.sum())


def pairs_to_learn_from(views: int, points: int, seed: int, folder: Path) -> list[Pair]:
    """All pairs of ``views`` views of every photograph, in random order."""
    photographs = ((str(i), image) for i, image in enumerate(to_learn_from()))
    groups = _described(photographs, views, points, seed, folder / "learned")
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    return [_pair(*pairs[i]) for i in order]


def pairs_to_measure_on(views: int, points: int, seed: int, folder: Path) -> list[Pair]:
    """The first view of every photograph with each of the others, where they overlap."""
    groups = _described(to_measure_on(), views, points, seed + 1, folder / "measured")
    pairs = [_pair(group[0], other) for group in groups if group for other in group[1:]]
    return [pair for pair in pairs if pair.truth.sum() >= FEWEST]


def _described(
    photographs: Iterable[tuple[str, Image.Image]], views: int, points: int, seed: int,
    folder: Path,
) -> list[list[tuple]]:
    """Points, descriptors and homography of the views of every photograph, kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    network, groups = detector(), []
    for number, (name, photograph) in enumerate(photographs):
        path = folder / f"{name}-{views}-{points}-{seed}.pt"
        if not path.exists():
            chance = np.random.default_rng([seed, number])
            drawn = [draw_view(photograph, chance) for _ in range(views)]
            with mixed_precision():
                found = [(describe(network, view, points), to) for view, to in drawn]
            kept = [(*features, torch.from_numpy(to)) for features, to in found if features]
            torch.save(kept, path)
            print(path.name, len(found), flush=True)
        groups.append(torch.load(path, weights_only=True))
    return groups


def _pair(first, second):
    points, descriptors, (from_first, from_second) = zip(first, second, strict=True)
    return Pair(points, descriptors, torch.linalg.solve(from_second, from_first).numpy())


def _mutual(scores):
    """Where a score is the greatest of its row and of its column: bool [M, N]."""
    rows, columns = scores.shape
    is_best = scores.argmax(1)[:, None] == np.arange(columns)
    return is_best & (scores.argmax(0) == np.arange(rows)[:, None])
