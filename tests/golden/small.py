# SPDX-License-Identifier: Apache-2.0
"""A small EcoFormer network with random weights and calibrated hashes, and its engine."""

import torch

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.recording import record
from ecoformer.spec.config import Config

NETWORK = NetworkConfig(image_size=16, patch=4, width=24, heads=3, depth=2)
CONFIG = Config(
    head_dim=8, value_dim=8, code_bits=12, anchors=9, max_tokens=16, parameter_sets=6, bus_bytes=4
)


def make_images():
    return torch.randint(0, 256, (24, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()


def make_tape(model, images):
    return record(model.attention_layers(), lambda: model(images))


def make_model(images, frozen=True, **attention):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(NETWORK, AttentionConfig(code_bits=12, anchors=9, **attention))
    model.eval()
    if frozen:
        for layer, (call,) in zip(model.attention_layers(), make_tape(model, images)):
            layer.hash.calibrate(call.k)
            layer.hashes[-1].calibrate(call.q)  # the same one where queries are shared
    return model
