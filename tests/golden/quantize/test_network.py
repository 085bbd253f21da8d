# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.integer.network.forward import run, trace
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.quantize.float_trace import float_trace
from ecoformer.golden.quantize.network import network_shape, quantise_network
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign
from tests.golden.small import CONFIG

SHAPES = {
    "shared": {},
    "separate": {"attention": {"queries": "separate"}},
    "own value": {"attention": {"value_term": "own"}},
    "linear": {"attention": {"hash": "linear"}},
    "one head": {"network": {"heads": 1, "width": 8, "mlp_ratio": 3}},
    "colours": {"network": {"channels": 3, "image_size": 8, "patch": 2}},
    "one token": {"network": {"image_size": 4}},
}
"""Networks and attention by what is special about them."""


def make(name):
    """A random network with nothing at its neutral value, and images."""
    changes = SHAPES[name]
    shape = NetworkConfig(**{
        "image_size": 16, "patch": 4, "width": 24, "heads": 3, "depth": 2,
    } | changes.get("network", {}))
    attention = AttentionConfig(code_bits=12, anchors=9, **changes.get("attention", {}))
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(shape, attention).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight += 0.3 * torch.randn(module.weight.shape, generator=generator)
                module.bias += 0.5 * torch.randn(module.bias.shape, generator=generator)
        model.position += 0.3 * torch.randn(model.position.shape, generator=generator)
    size = 200, shape.channels, shape.image_size, shape.image_size
    images = torch.randint(0, 256, size, generator=generator).byte()
    for layer, calls in zip(model.attention_layers(), _tape(model, images)):
        layer.hash.calibrate(calls.k)
        layer.hashes[-1].calibrate(calls.q)
    config = replace(
        CONFIG, head_dim=shape.head_dim, value_dim=shape.head_dim, bus_bytes=8,
        **attention.in_hardware,
    )
    return model, config, images


def network_design(model, config, **options):
    return NetworkDesign(**network_shape(model), attention=config, **options)


def _tape(model, images):
    from tests.golden.small import make_tape

    return [calls[0] for calls in make_tape(model, images)]


@pytest.fixture(scope="module", params=SHAPES)
def case(request):
    model, config, images = make(request.param)
    design = network_design(model, config)
    return model, design, quantise_network(design, model, images[:100]), images


def test_the_float_trace_is_the_network(case):
    model, design, quantised, images = case
    floats = dict(float_trace(model, images[:5]))
    with torch.no_grad():
        torch.testing.assert_close(floats["scores"], model(images[:5]))
    integers = list(trace(design, quantised.image, images[:5].numpy()))
    assert [name for name, _ in integers] == list(floats)
    for name, tensor in integers:
        assert tensor.shape == tuple(floats[name].shape), name


def test_every_tensor_is_about_that_of_the_float_network(case):
    """On images that were not calibrated on; a code bit that flips moves attention most."""
    model, design, quantised, images = case
    floats = dict(float_trace(model, images[100:]))
    for name, integers in trace(design, quantised.image, images[100:].numpy()):
        wanted, got = floats[name].double().numpy(), quantised.floats(name, integers)
        error = np.sqrt(np.square(got - wanted).mean() / np.square(wanted).mean())
        assert error < (0.2 if name.endswith("attention") else 0.12), (name, error)


def test_scores_and_labels_agree(case):
    model, design, quantised, images = case
    scores = run(design, quantised.image, images[100:].numpy())
    with torch.no_grad():
        wanted = model(images[100:]).numpy()
    apart = wanted - wanted.mean(axis=0)  # what tells images from each other
    own = scores - scores.mean(axis=0)
    assert np.corrcoef(own.ravel(), apart.ravel())[0, 1] > 0.9
    assert (scores.argmax(1) == wanted.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("residual_width, error", [(8, 0.3), (12, 0.08), (16, 0.08), (18, 0.08)])
def test_the_width_between_blocks(residual_width, error):
    model, config, images = make("shared")
    design = network_design(model, config, residual_width=residual_width)
    quantised = quantise_network(design, model, images[:100])
    last = dict(trace(design, quantised.image, images[100:].numpy()))["blocks.1.residual2"]
    wanted = dict(float_trace(model, images[100:]))["blocks.1.residual2"].double().numpy()
    got = quantised.floats("blocks.1.residual2", last)
    assert np.sqrt(np.square(got - wanted).mean() / np.square(wanted).mean()) < error


@pytest.mark.parametrize("weights, least", [("pow2", 0.8), ("ternary", 0.3)])
def test_coarse_weights(weights, least):
    model, config, images = make("shared")
    design = network_design(model, config, weights=weights)
    quantised = quantise_network(design, model, images[:100])
    quantised.image.check(design)
    last = dict(trace(design, quantised.image, images[100:].numpy()))["blocks.1.residual2"]
    wanted = dict(float_trace(model, images[100:]))["blocks.1.residual2"].numpy()
    assert np.corrcoef(last.ravel(), wanted.ravel())[0, 1] > least


# -- refusals ----------------------------------------------------------------------------------


def refusal(model, config, **options):
    with pytest.raises(EcoformerError) as caught:
        network_design(model, config, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_networks_are_refused_by_name():
    attention = AttentionConfig(code_bits=12, anchors=9)
    for changes, rule in (
        ({"stem": "convolutions"}, "stem must be 'patches' for a network on the chip, not 'conv"),
        ({"mlp_convolution": True}, "mlp_convolution must be False for a network on the chip, not"),
    ):
        shape = NetworkConfig(image_size=16, width=24, heads=3, depth=1, **changes)
        text = refusal(VisionTransformer(shape, attention), CONFIG)
        assert text.startswith(f"[network] {rule}") and text.endswith("; train such a network")
    softmax = VisionTransformer(NetworkConfig(image_size=16, width=24, heads=3, depth=1))
    assert refusal(softmax, CONFIG) == (
        "model: it has softmax attention; train one with EcoFormer attention"
    )


def test_another_attention_than_that_of_the_engine_is_refused():
    model, config, images = make("shared")
    design = network_design(model, replace(config, code_bits=11))
    with pytest.raises(EcoformerError, match="^.engine. code_bits must be 12 for this model"):
        quantise_network(design, model, images)


def test_hashes_of_unit_tokens_are_refused_with_the_reason():
    SHAPES["unit tokens"] = {"attention": {"hash": "linear", "normalise": True}}
    try:
        model, config, images = make("unit tokens")
    finally:
        del SHAPES["unit tokens"]
    design = network_design(model, config)
    with pytest.raises(EcoformerError, match="unit_tokens.*no.* between the layers of a network"):
        quantise_network(design, model, images)


def test_the_engine_decides_only_what_the_attention_computes():
    model, config, images = make("shared")
    assert isinstance(config, Config)
    other = replace(config, cycles_per_token=64, parameter_sets=1, tuser_width=0, max_tokens=1_000)
    one, two = (
        quantise_network(network_design(model, c), model, images[:20]) for c in (config, other)
    )
    assert one.design.bits_fingerprint == two.design.bits_fingerprint
    for name, array in one.image.arrays.items():
        np.testing.assert_array_equal(array, two.image.arrays[name])
