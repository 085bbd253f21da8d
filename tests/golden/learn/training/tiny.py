# SPDX-License-Identifier: Apache-2.0
"""A training that takes a second: a small network, and images of bars."""

import torch

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import NetworkConfig

NETWORK = NetworkConfig(image_size=8, patch=4, width=8, heads=2, depth=2, classes=3)
ATTENTION = AttentionConfig(code_bits=4, anchors=3)
TRAINING = TrainingConfig(
    pretrain_epochs=3,
    tune_epochs=2,
    pretrain_lr=1e-2,
    tune_lrs=(1e-3, 1e-2),
    batch=16,
    shift=1,
    hash_images=8,
    hash_iterations=5,
)


def bars(count, seed):
    """Images with one bright third: top, middle or bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 2] += 150
    return Split(images, labels)


def bar_data():
    """Images to learn from, for validation, and held out."""
    return DataSet("mnist", 3, bars(96, 0), bars(30, 1), bars(60, 2))
