# SPDX-License-Identifier: Apache-2.0
"""Layers counted by hooks, beside an independent description of the same networks."""

from dataclasses import replace

import pytest
import torch

from ecoformer.golden.energy.modules import layers_of
from ecoformer.golden.energy.named import NETWORKS
from ecoformer.golden.energy.shapes import ARMS, PARTS, Attention, Network, Stage
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig

SMALL = PyramidConfig(
    widths=(8, 16, 40, 64), depths=(1, 2, 1, 1), heads=(1, 2, 5, 8), mlp_ratios=(2, 2, 1, 1),
    classes=5,
)


def described(config, image_size):
    """The same network as a shape file describes it: stages, no modules."""
    twins = config.family == "twins_svt"
    return Network(name="described", image_size=image_size, classes=config.classes, stages=tuple(
        Stage(
            width=width, depth=depth, heads=heads, mlp_ratio=ratio, embedding_norm=True,
            patch=(2 if number else 4) if twins else (3 if number else 7),
            stride=2 if number else 4, mlp_convolution=not twins, position_convolution=twins,
            norm=not twins or number == 3, attention="softmax" if number == 3 else "ecoformer",
        )
        for number, (width, depth, heads, ratio) in enumerate(
            zip(config.widths, config.depths, config.heads, config.mlp_ratios, strict=True)
        )
    ))


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("name", ["PVTv2-B0", "Twins-SVT-S"])
def test_modules_count_as_their_description_does(name, arm):
    network = NETWORKS[name].resized(256)
    counted, listed = network.layers(arm), described(network.config, 256).layers(arm)
    assert len({layer.name for layer in counted}) == len(counted)
    assert {layer.part for layer in counted} == set(PARTS)
    assert [replace(layer, name="") for layer in counted] == [
        replace(layer, name="") for layer in listed
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_named_networks_have_the_published_tokens_heads_and_attention(name):
    heads = (2, 4, 8, 16) if name.startswith("Twins") else (1, 2, 5, 8)
    for arm in ARMS:
        layers = [layer for layer in NETWORKS[name].layers(arm) if isinstance(layer, Attention)]
        seen = dict.fromkeys((a.tokens, a.heads, a.kind) for a in layers)
        swapped = [arm] * 3 + ["softmax"]
        assert list(seen) == list(zip((3136, 784, 196, 49), heads, swapped, strict=True))
        dims = {a.head_dim for a in layers}
        assert dims == ({32} if name in ("PVTv2-B0", "Twins-SVT-S") else {64})


def test_a_network_with_weights_counts_the_same_and_stays_as_it_was():
    model = make_pyramid(SMALL).eval()
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    assert [layer.name for layer in layers_of(model, image)][:4] == [
        "patch_embed1.proj", "patch_embed1.norm", "block1.0.norm1", "block1.0.attn.to_qk+to_v",
    ]
    assert torch.equal(model(image), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_what_cannot_be_counted_is_refused():
    with torch.device("meta"):
        reduced = make_pyramid(SMALL.attending(("reduced",) * 4))
        image = torch.empty(1, 3, 64, 64)
    with pytest.raises(ValueError, match="block1.0.attn.core must have as many keys as queries"):
        layers_of(reduced, image)
    with pytest.raises(ValueError, match="image_size must leave tokens for every stage, not be 8"):
        NETWORKS["Twins-SVT-S"].resized(8).layers("softmax")
