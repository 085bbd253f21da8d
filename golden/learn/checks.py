# SPDX-License-Identifier: Apache-2.0
"""What must go together before a training begins; each raises `EcoformerError` with the rule."""

from dataclasses import asdict

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.data import DataSet
from ecoformer.golden.learn.group import Group
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.decoder import DecoderConfig
from ecoformer.golden.networks.network import Network, Shape

__all__ = ["check_group", "check_learner", "check_pictures", "check_shape", "check_start"]


def check_learner(attention: AttentionConfig, training: TrainingConfig, tokens: int) -> None:
    """Whether hashes can be learned as ``training`` says."""
    try:
        training.check_attention(attention, tokens)
    except ValueError as error:
        raise EcoformerError(f"[training] {error}; correct the configuration") from error


def check_start(network: Shape, start: Network) -> None:
    """Whether ``start`` is a softmax network of the shape that is trained."""
    if start.attention_config is not None:
        raise EcoformerError("start: it has EcoFormer attention; give a softmax network")
    if start.config.softmax_form != network.softmax_form:
        raise EcoformerError(
            f"start: its shape is not that of [network]: {asdict(start.config)}; correct the "
            "configuration"
        )


def check_shape(network: Shape, data: DataSet) -> None:
    """Whether the network takes the images that the data set has; text was read for it."""
    if isinstance(network, DecoderConfig):
        return
    _, channels, height, _ = data.train.images.shape
    for name, want in (("image_size", height), ("channels", channels), ("classes", data.classes)):
        if getattr(network, name) != want:
            raise EcoformerError(
                f"[network] {name} must be {want} for the data set {data.name}, not "
                f"{getattr(network, name)}; correct the configuration"
            )


def check_pictures(training: TrainingConfig, data: DataSet) -> None:
    """Whether what changes pictures is given pictures."""
    if data.alphabet:
        return
    channels = data.train.images.shape[1]
    if training.changes_pictures and channels not in (1, 3):
        raise EcoformerError(
            "[training] crop_area, flip, randaugment and erasing must be left out for the data set "
            f"{data.name}: its {channels} channels are no picture; correct the configuration"
        )


def check_group(training: TrainingConfig, data: DataSet, group: Group) -> None:
    """Every process must have an image of every batch and of every part."""
    least = min(len(data.train) % training.batch or training.batch, len(data.validation))
    if min(least, len(data.held_out)) < group.size:
        raise EcoformerError(
            f"[training] batch must leave at least {group.size} images, one for each process, in "
            f"the last batch and in each part of the data, not {least}; correct the configuration "
            "or start fewer processes"
        )
