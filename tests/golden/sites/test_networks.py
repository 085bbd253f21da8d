# SPDX-License-Identifier: Apache-2.0
"""Every family of networks that attends: converted wholly, in part, or refused with the reason."""

import warnings

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.same import answers
from ecoformer.golden.convert.saved import load_converted, save_converted
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.sites.choosing import find_sites

pytest.importorskip("transformers")

from benchmarks.zoo import NETWORKS, make  # noqa: E402

CONFIG = AttentionConfig(hash="linear", code_bits=16, queries="separate")
BY_HAND = "exact softmax computed by hand"
BIAS = "a learned bias is added to the scores"
WINDOW = "a mask that is neither padding nor causal"
WHOLE = {
    "nn.TransformerEncoder": "full full",
    "nn.TransformerEncoder, causal": "causal causal",
    "nn.Transformer": "full causal cross",
    "nn.MultiheadAttention, weights used": "full",
    "timm style": "full full",
    "windows": "full",
    "LightGlue style": "full full cross cross",
    "ViT": "full full",
    "DeiT": "full full",
    "DINOv2": "full full",
    "BEiT": "full full",
    "Segformer": "cross cross cross full",
    "BERT": "full full",
    "RoBERTa": "full full",
    "DistilBERT": "full full",
    "ALBERT": "full full",
    "ELECTRA": "full full",
    "CLIP": "full full causal causal",
    "SigLIP": "full full cross full full",
    "GPT-2": "causal causal",
    "GPT-NeoX": "causal causal",
    "OPT": "causal causal",
    "Llama": "causal causal",
    "Llama, grouped queries": "causal causal",
    "Qwen2": "causal causal",
    "BART": "full causal cross",
    "Whisper": "full causal cross",
    "DETR decoder": "full cross",
    "wav2vec 2.0": "full full",
}
"""What is converted, attention by attention, of networks that are converted wholly."""
PARTLY = {
    "by hand and not": (["full"], [BY_HAND]),
    "ModernBERT": (["full"], [WINDOW]),
    "T5": (["cross"], [BIAS, BIAS]),
}
"""What is converted of the others, and why the rest is not."""
NOT = {
    "by hand": BY_HAND, "PVTv2": BY_HAND, "MPNet": BY_HAND, "DeBERTa": BY_HAND, "Gemma 2": BY_HAND,
    "Swin": BIAS, "Mistral": WINDOW,
}
"""Why nothing of a network is converted."""
ALIKE = {"DeiT", "DINOv2", "RoBERTa", "ELECTRA", "GPT-NeoX", "OPT", "Llama", "Qwen2", "SigLIP"}
"""Networks that attend as others here do."""


def test_every_network_is_expected_to_be_something():
    assert sorted([*WHOLE, *PARTLY, *NOT]) == sorted(NETWORKS)
    assert len(NETWORKS) >= 35 and len(WHOLE) + len(PARTLY) >= 28


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full) if n in ALIKE else n for n in NETWORKS]
)
def test_a_network_is_converted_or_refused_with_the_reason(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries about tiny configurations
        model, batches = make(name)
        sites = find_sites(model, lambda: run_model(model, batches[0]))
        kinds = ["cross" if site.cross else site.mask for site in sites if site.reason is None]
        reasons = [site.reason for site in sites if site.reason is not None]
        if name in NOT:
            assert not kinds and all(reason.startswith(NOT[name]) for reason in reasons)
            with pytest.raises(EcoformerError, match=f"no attention that can be.*{NOT[name]}"):
                convert(model, CONFIG, batches, DistillConfig(steps=1))
            return
        wanted, why = PARTLY.get(name) or (WHOLE[name].split(), [])
        assert kinds == wanted and len(reasons) == len(why)
        assert all(map(str.startswith, reasons, why))
        skip = [site.path for site in sites if site.reason is not None]
        if skip:
            with pytest.raises(EcoformerError, match=f"{why[0]}.*; skip .* to convert the rest$"):
                convert(model, CONFIG, batches, DistillConfig(steps=1))
        converted = convert(model, CONFIG, batches, DistillConfig(steps=2), skip=skip)
        assert len(cores_of(converted)) == len(kinds)
        before, after = answers(model, batches[1]), answers(converted, batches[1])
        assert all(x.isfinite().all() for x in after)
        assert any(not torch.allclose(x, y, atol=1e-3) for x, y in zip(before, after))
        save_converted(converted, tmp_path / "model.pt")
        loaded = load_converted(tmp_path / "model.pt", model)
        assert all(map(torch.equal, answers(loaded, batches[1]), after))
