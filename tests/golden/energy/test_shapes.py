# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.golden.energy.named import NETWORKS
from ecoformer.golden.energy.shapes import (
    ARMS,
    PARTS,
    Attention,
    Convolution,
    Linear,
    Network,
    Norm,
    Stage,
)

PVT_PARAMETERS = {"PVTv2-B1": "14.0", "PVTv2-B2": "25.4", "PVTv2-B3": "45.2", "PVTv2-B4": "62.6"}
"""Millions, from the table of the PVTv2 release (github.com/whai362/PVT)."""
REDUCTION = (8, 4, 2)
"""Spatial reduction of stages 1 to 3, which the released PVTv2 has and EcoFormer has not."""


def parameters(layers):
    return sum(
        2 * layer.width if isinstance(layer, Norm) else layer.weights + layer.outputs
        for layer in layers
        if isinstance(layer, (Norm, Convolution, Linear))
    )


@pytest.mark.parametrize("name", PVT_PARAMETERS)
def test_the_published_parameters_follow_from_the_shapes(name):
    network = NETWORKS[name]
    reductions = sum(
        stage.depth * (stage.width**2 * ratio**2 + stage.width + 2 * stage.width)
        for stage, ratio in zip(network.stages, REDUCTION, strict=False)
    )
    total = parameters(network.layers("softmax")) + reductions
    assert f"{total / 1e6:.1f}" == PVT_PARAMETERS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_named_networks_have_the_published_tokens_heads_and_attention(name):
    heads = (2, 4, 8, 16) if name.startswith("Twins") else (1, 2, 5, 8)
    for arm in ARMS:
        layers = [layer for layer in NETWORKS[name].layers(arm) if isinstance(layer, Attention)]
        assert {layer.part for layer in layers} == {"attention"}
        seen = dict.fromkeys((a.tokens, a.heads, a.kind) for a in layers)
        swapped = [arm] * 3 + ["softmax"]
        assert list(seen) == list(zip((3136, 784, 196, 49), heads, swapped, strict=True))
        dims = {a.head_dim for a in layers}
        assert dims == ({32} if name in ("PVTv2-B0", "Twins-SVT-S") else {64})


def test_shared_projection_is_the_only_other_difference_between_the_arms():
    softmax, ecoformer = (NETWORKS["PVTv2-B0"].layers(arm) for arm in ARMS)
    different = [
        (a, b) for a, b in zip(softmax, ecoformer, strict=True)
        if a != b and not isinstance(a, Attention)
    ]
    assert len(different) == 6  # blocks of stages 1 to 3
    for a, b in different:
        assert (a.outputs, b.outputs) == (3 * a.inputs, 2 * a.inputs)


def test_layers_are_named_once_and_belong_to_a_part():
    layers = NETWORKS["Twins-SVT-S"].layers("ecoformer")
    assert len({layer.name for layer in layers}) == len(layers)
    assert {layer.part for layer in layers} == set(PARTS)


@pytest.mark.parametrize(
    "patch, stride, side, tokens",
    [(7, 4, 224, 56), (7, 4, 225, 57), (3, 2, 56, 28), (4, 4, 224, 56), (4, 4, 227, 56),
     (1, 1, 9, 9), (0, 1, 9, 9)],
)
def test_tokens_follow_from_patches(patch, stride, side, tokens):
    assert Stage(width=2, depth=1, heads=1, patch=patch, stride=stride).side(side) == tokens


@pytest.mark.parametrize("patch, stem", [(3, "patches"), (4, "convolutions")])
@pytest.mark.parametrize("convolution", [False, True], ids=["plain-mlp", "mlp-convolution"])
def test_a_vision_transformer_counts_as_its_modules_do(convolution, patch, stem):
    torch = pytest.importorskip("torch")
    from ecoformer.golden.attention_config import AttentionConfig
    from ecoformer.golden.energy.sources import _vision_transformer
    from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer

    shape = NetworkConfig(
        image_size=12, channels=2, patch=patch, stem=stem, width=12, heads=3, depth=2,
        classes=7, mlp_convolution=convolution,
    )
    for arm, attention in (("softmax", None), ("ecoformer", AttentionConfig(code_bits=5))):
        model = VisionTransformer(shape, attention)
        seen = {Linear: 0, Convolution: 0, Norm: 0}

        def hook(module, inputs, output, seen=seen):
            positions = output.numel() // output.shape[-1]
            if isinstance(module, torch.nn.Linear):
                seen[Linear] += positions * module.weight.numel()
            elif isinstance(module, torch.nn.Conv2d):
                seen[Convolution] += output[0, 0].numel() * module.weight.numel()
            elif isinstance(module, torch.nn.LayerNorm):
                seen[Norm] += output.numel()

        for module in model.modules():
            module.register_forward_hook(hook)
        model(torch.zeros(1, 2, 12, 12, dtype=torch.uint8))
        counted = dict.fromkeys(seen, 0)
        for layer in _vision_transformer("vit", shape).layers(arm):
            if type(layer) in counted:
                each = layer.width if isinstance(layer, Norm) else layer.weights
                counted[type(layer)] += layer.tokens * each
        assert counted == seen


@pytest.mark.parametrize(
    "values, why",
    [
        ({"width": 0}, "width must be 1…1000000, not 0"),
        ({"heads": 3}, "heads must divide width = 8, not be 3"),
        ({"mlp_ratio": "4"}, "mlp_ratio must be a number, not '4'"),
        ({"attention": "linear"}, "attention must be 'softmax' or 'ecoformer', not 'linear'"),
        ({"norm": 1}, "norm must be true or false, not 1"),
        ({"stride": 2}, "patch must be given with stride = 2"),
        ({"depth": 0}, "patch must be given with depth = 0"),
    ],
)
def test_impossible_stages_are_refused(values, why):
    with pytest.raises((TypeError, ValueError), match=why):
        Stage(**{"width": 8, "depth": 1, "heads": 2} | values)


def test_impossible_networks_are_refused():
    plain = Stage(width=8, depth=1, heads=2)
    patches = Stage(width=8, depth=1, heads=2, patch=4, stride=4)
    for values, why in (
        ({"stages": ()}, "at least one stage"),
        ({"stages": (plain,)}, "image_size or tokens must be given"),
        ({"stages": (plain,), "image_size": 8, "tokens": 8}, "only one of them"),
        ({"stages": (patches,), "tokens": 8}, "for the convolutions of stage 1"),
        ({"stages": (patches, patches), "image_size": 8}, "leave tokens for stage 2"),
    ):
        with pytest.raises(ValueError, match=why):
            Network(name="x", **values)
    with pytest.raises(ValueError, match="has no images"):
        Network(name="x", stages=(plain,), tokens=8).resized(224)
