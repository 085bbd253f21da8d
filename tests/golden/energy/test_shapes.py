# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.golden.energy.shapes import Convolution, Linear, Network, Norm, Stage


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
