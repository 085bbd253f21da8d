# SPDX-License-Identifier: Apache-2.0
"""The data that a configuration names: a known data set, any folder of pictures, or any text."""

from collections.abc import Callable

import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.data import FOLDER, DataSet, Split, stratify
from ecoformer.golden.learn.recipe import TEXTS, TrainingConfig
from ecoformer.golden.learn.text import open_text
from ecoformer.golden.networks.decoder import DecoderConfig
from ecoformer.golden.networks.network import Shape
from ecoformer.golden.pictures.files import Failures, PictureFiles
from ecoformer.golden.pictures.folder import Part, find_held_out, find_parts

__all__ = ["open_data", "open_held_out"]

VALIDATION_SHARE, MOST_VALIDATION = 20, 10_000
"""One of so many training pictures is for validation where val/ or test/ is held out, up to so
many."""


def open_data(
    training: TrainingConfig,
    network: Shape,
    workers: int = 0,
    note: Callable[[str], object] = lambda line: None,
) -> DataSet:
    """The data of ``training``, as ``network`` wants them.

    Of a folder, ``test/`` is held out and ``val/`` validates; where only one of them is there, it
    is held out, and a part of ``train/`` validates.

    Parameters
    ----------
    training : TrainingConfig
    network : NetworkConfig, PyramidConfig or DecoderConfig
        Its size and channels are those of pictures, its positions and alphabet those of text.
    workers : int
        Processes that read pictures; 0: this one.
    note : callable
        Called with a line for every picture that cannot be read and is let pass.

    Raises
    ------
    EcoformerError
        Data are missing or damaged, or not what the network takes.
    """
    if isinstance(network, DecoderConfig):
        _check_text(training)
        return open_text(training, network)
    if training.data in TEXTS:
        raise EcoformerError(
            f"[training] data = {training.data!r} is text, which a [decoder] takes; give images "
            "for a [network]"
        )
    if training.data != FOLDER:
        return datasets.load(training.data, training.data_path or None, training.seed)
    split = _splitter(training, network, workers, note)
    parts = find_parts(training.data_path)
    train = split(parts["train"])
    if parts.keys() == {"train", "val", "test"}:
        validation, held_out = split(parts["val"]), split(parts["test"])
    else:
        size = min(MOST_VALIDATION, -(-len(train) // VALIDATION_SHARE))
        rest, cut = stratify(parts["train"].labels, size, training.seed)
        train, validation = train.take(torch.from_numpy(rest)), train.take(torch.from_numpy(cut))
        held_out = split(parts["val" if "val" in parts else "test"])
    return DataSet(FOLDER, len(parts["train"].classes), train, validation, held_out)


def open_held_out(
    training: TrainingConfig,
    network: Shape,
    workers: int = 0,
    note: Callable[[str], object] = lambda line: None,
) -> Split:
    """What is held out of the data of ``training``; parameters and errors as above.

    A folder need not hold training pictures then, and may hold the folders of classes itself.
    """
    if training.data != FOLDER:
        return open_data(training, network, workers, note).held_out
    return _splitter(training, network, workers, note)(find_held_out(training.data_path))


def _check_text(training):
    """Whether all that ``training`` says can be done with text."""
    if training.data not in TEXTS:
        rule = " or ".join(map(repr, TEXTS))
        raise EcoformerError(
            f"[training] data must be {rule} for a [decoder], not {training.data!r}; correct the "
            "configuration"
        )
    pictures = training.mixup or training.cutmix or training.changes_pictures
    given = {
        "mixup, cutmix, crop_area, flip, randaugment and erasing": pictures,
        "limit_epochs": training.limit_epochs,
    }
    for names, value in given.items():
        if value:
            raise EcoformerError(
                f"[training] {names} must be left out with data = {training.data!r}: a [decoder] "
                "is not trained so; correct the configuration"
            )


def _splitter(training, network, workers, note):
    """Makes a split of a part of a folder."""
    if not training.data_path:
        raise EcoformerError(
            "[training] data_path must name a folder with data = 'folder'; it must hold "
            "train/CLASS/ and val/CLASS/ or test/CLASS/"
        )
    if network.channels not in (1, 3):
        raise EcoformerError(
            f"[network] channels must be 1 (grey) or 3 (RGB) for pictures, not {network.channels}; "
            "correct the configuration"
        )
    failures = Failures(training.unreadable, note)

    def split(part: Part) -> Split:
        files = PictureFiles(
            part.folder, part.names, network.image_size, network.channels, training, failures,
            workers,
        )
        return Split(files, torch.from_numpy(part.labels))

    return split
