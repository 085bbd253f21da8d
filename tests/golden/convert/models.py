# SPDX-License-Identifier: Apache-2.0
"""Small networks of several kinds, and batches for them."""

import pytest
import torch
from torch import nn

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.readouts import readout
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer

transformers = pytest.importorskip("transformers")

CONFIG = AttentionConfig(hash="linear", code_bits=16, queries="separate")
QUICK = DistillConfig(steps=8)
SIZES = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
    initializer_range=0.3,  # large enough for attention to matter
)


def make_text(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(10) < torch.tensor([[10], [6], [8], [3]])
    return [
        {"input_ids": torch.randint(3, 50, (4, 10), generator=generator),
         "attention_mask": mask.long()}
        for _ in range(count)
    ]


def make_pixels(count=3, size=16):
    generator = torch.Generator().manual_seed(0)
    return [{"pixel_values": torch.randn(4, 3, size, size, generator=generator)}
            for _ in range(count)]


def bert():
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=16, **SIZES)
    return transformers.BertModel(config), make_text()


def albert():
    config = transformers.AlbertConfig(
        vocab_size=50, embedding_size=8, max_position_embeddings=16, **SIZES
    )
    return transformers.AlbertModel(config), make_text()


def vit():
    config = transformers.ViTConfig(image_size=16, patch_size=4, **SIZES)
    return transformers.ViTForImageClassification(config), make_pixels()


def encoder():
    # An even number of heads, as torch's fused softmax kernel wants, which must not be used.
    layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    generator = torch.Generator().manual_seed(0)
    padding = torch.arange(10) >= torch.tensor([[10], [6], [8], [3]])
    batches = [
        {"src": torch.randn(4, 10, 24, generator=generator), "src_key_padding_mask": padding}
        for _ in range(3)
    ]
    return model, batches


def own():
    model = VisionTransformer(NetworkConfig(image_size=16, width=24, heads=4, depth=2))
    images = torch.randint(0, 256, (3, 4, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    return model, list(images.byte())


FAMILIES = {"bert": bert, "albert": albert, "vit": vit, "encoder": encoder, "own": own}


def answer(model, batch):
    with torch.no_grad():
        return readout(run_model(model, batch), batch)


def gpt(**sizes):
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=32, n_embd=24, n_layer=2, n_head=4, initializer_range=0.3,
        bos_token_id=1, eos_token_id=2, **sizes,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def grouped():
    config = transformers.LlamaConfig(
        vocab_size=50, max_position_embeddings=32, num_key_value_heads=2, **SIZES
    )
    return transformers.LlamaForCausalLM(config).eval()


def answer_logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits
