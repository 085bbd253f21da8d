# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import softmax_attention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import ECOFORMER, NAMED, SOFTMAX, PyramidConfig
from ecoformer.golden.networks.pyramid_file import load_pyramid, save_pyramid
from ecoformer.golden.networks.pyramid_swap import swap_attention
from ecoformer.golden.networks.transformers_pvt import from_transformers
from ecoformer.golden.recording import record

SMALL = PyramidConfig(
    widths=(8, 16, 40, 64), depths=(1, 2, 1, 1), heads=(1, 2, 5, 8), mlp_ratios=(2, 2, 1, 1),
    classes=5,
)
ORIGINAL = ("reduced",) * 4
PARAMETERS = {
    "PVTv2-B0": "3.7", "PVTv2-B1": "14.0", "PVTv2-B2": "25.4", "PVTv2-B3": "45.2",
    "PVTv2-B4": "62.6", "Twins-SVT-S": "24.1",
}
"""Millions, as published for the original networks (github.com/whai362/PVT and timm)."""


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", NAMED)
def test_original_networks_have_the_published_parameters(name):
    with torch.device("meta"):
        model = make_pyramid(NAMED[name].attending(ORIGINAL))
    total = sum(p.numel() for p in model.parameters())
    assert f"{total / 1e6:.1f}" == PARAMETERS[name]


def test_weights_of_transformers_give_its_logits():
    transformers = pytest.importorskip("transformers")
    shape = transformers.PvtV2Config(
        hidden_sizes=[8, 16, 40, 64], depths=[1, 2, 1, 1], mlp_ratios=[2, 2, 1, 1], num_labels=5
    )
    theirs = transformers.PvtV2ForImageClassification(shape).eval()
    for parameter in theirs.parameters():  # its own are too small to tell anything
        parameter.data += 0.1 * torch.randn_like(parameter)
    ours = from_transformers(theirs)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x).logits, rtol=0, atol=1e-5)
    shape.linear_attention = True
    with pytest.raises(EcoformerError, match="not a PVTv2 for classification with softmax"):
        from_transformers(transformers.PvtV2ForImageClassification(shape))


@pytest.mark.parametrize("start", [SOFTMAX, ORIGINAL, ("softmax-shared",) * 4])
def test_swapped_attention_starts_from_the_same_projections(start):
    model = make_pyramid(SMALL.attending(start))
    swapped = swap_attention(model, ECOFORMER)
    given, state = model.state_dict(), swapped.state_dict()
    for number, width in enumerate(SMALL.widths[:3], 1):
        name = f"block{number}.0.attn"
        for kind, first, last in (("to_qk", "q", 0), ("to_v", "kv", width)):
            source = {
                SOFTMAX: ("qkv", 2 * width * (kind == "to_v")), ORIGINAL: (first, last),
            }.get(start, (kind, 0))
            want = given[f"{name}.{source[0]}.weight"][source[1] :][:width]
            assert torch.equal(state[f"{name}.{kind}.weight"], want)
    shared = [key for key in state if key in given]
    assert len(shared) > 40
    assert all(torch.equal(state[key], given[key]) for key in shared)


def test_windows_attend_to_nothing_else():
    twins = replace(SMALL, family="twins_svt", window=2, attention=ORIGINAL)
    block = make_pyramid(twins).blocks[0][0].attn
    x, grid = torch.randn(1, 16, 8), (4, 4)
    seen = block(x, grid).view(4, 4, 8)
    q, k, v = (
        part.view(4, 4, 8)[2:, :2].reshape(1, 1, 4, 8) for part in block.qkv(x).chunk(3, -1)
    )
    alone = block.proj(softmax_attention(q, k, v)).view(2, 2, 8)
    torch.testing.assert_close(seen[2:, :2], alone)
    with pytest.raises(ValueError, match="^tokens must be whole windows of 2 × 2, not 2 × 3"):
        block(torch.randn(1, 6, 8), (2, 3))


def test_cores_are_recorded_and_overridden_in_order():
    model = make_pyramid(SMALL).eval()
    tape = record(model.cores, lambda: model(torch.randn(1, 3, 64, 64)))
    assert [tuple(call.k.shape[1:3]) for (call,) in tape] == [(1, 256), (2, 64), (2, 64), (5, 16)]


def test_a_file_keeps_the_network(tmp_path):
    attention = AttentionConfig(value_term="own", code_bits=6, anchors=7)
    model = make_pyramid(SMALL, attention).eval()
    save_pyramid(model, path := tmp_path / "network.pt")
    again = load_pyramid(path)
    assert (again.config, again.ecoformer) == (SMALL, attention)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), again(x))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(EcoformerError, match="network.pt: damaged network file"):
        load_pyramid(path)


def test_pixels_are_normalised_by_colour():
    pixels = make_pyramid(SMALL).pixels(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8))
    want = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(pixels.flatten(), want)


@pytest.mark.parametrize(
    "values, error, why",
    [
        ({"family": "vit"}, ValueError, "family must be 'pvt_v2' or 'twins_svt', not 'vit'"),
        ({"widths": (8, 16)}, TypeError, r"widths must have 4 values, not \(8, 16\)"),
        ({"heads": (1, 2, 3, 8)}, ValueError, "heads must divide widths, not be 3 for 40"),
        ({"depths": (1, 1, 1, 0)}, ValueError, "depths must be 1…1000, not 0"),
        ({"attention": ("own",) * 4}, ValueError, "attention of a stage must be 'reduced' or"),
        ({"norm_eps": 2}, ValueError, "norm_eps must be 0…1, not 2"),
    ],
)
def test_impossible_shapes_are_refused(values, error, why):
    with pytest.raises(error, match=why):
        replace(SMALL, **values)


def test_separate_queries_are_refused():
    with pytest.raises(ValueError, match="^queries must be 'shared' in this network"):
        make_pyramid(SMALL, AttentionConfig(queries="separate"))
