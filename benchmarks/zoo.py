# SPDX-License-Identifier: Apache-2.0
"""Small networks with random weights, of every family that attends, and inputs for them."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["NETWORKS", "make"]

WIDTH, HEADS, WORDS, IMAGE = 24, 4, 50, 32
SIZES = dict(
    hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=32,
    initializer_range=0.3,  # large enough for attention to matter
)
TEXT = dict(vocab_size=WORDS, max_position_embeddings=32, pad_token_id=0, **SIZES)
PATCHES = dict(image_size=IMAGE, patch_size=8, **SIZES)
BATCHES = 3


def make(name: str) -> tuple[nn.Module, list[Any]]:
    """The network of this name in evaluation mode, and batches that it is called with."""
    torch.manual_seed(0)
    model, batch = NETWORKS[name]()
    return model.eval(), [batch() for _ in range(BATCHES)]


def _words(count=4, length=10, name="input_ids"):
    return {name: torch.randint(3, WORDS, (count, length))}


def _text():
    lengths = torch.tensor([[10], [6], [8], [3]])
    return _words() | {"attention_mask": (torch.arange(10) < lengths).long()}


def _pixels(size=IMAGE):
    return {"pixel_values": torch.randn(4, 3, size, size)}


def _both():
    return _text() | _pixels()


def _pairs():
    return _text() | _words(length=7, name="decoder_input_ids")


def _tokens(*shape):
    return lambda: torch.randn(*shape or (4, 10, WIDTH))


def _of(kind: str, batch: Callable[[], Any], config: str = "", **sizes: Any) -> Callable:
    """A model of ``transformers`` of class ``kind``."""
    def build():
        shape = getattr(transformers, config or f"{kind.removesuffix('Model')}Config")
        return getattr(transformers, kind)(shape(**sizes)), batch

    return build


def _pair_of_towers(kind: str) -> Callable:
    """A model of texts and images."""
    def build():
        text = {k: v for k, v in TEXT.items() if k != "initializer_range"}
        images = {k: v for k, v in PATCHES.items() if k != "initializer_range"}
        extra = {"eos_token_id": 2, "bos_token_id": 1}
        shape = getattr(transformers, f"{kind}Config")(
            text_config=text | extra, vision_config=images, projection_dim=16
        )
        return getattr(transformers, f"{kind}Model")(shape), _both

    return build


class Timm(nn.Module):
    """Attention as most code of vision transformers writes it."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, N, 3, HEADS, C // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        o = scaled_dot_product_attention(q, k, v)
        return x + self.proj(o.transpose(1, 2).reshape(B, N, C))


class Windows(nn.Module):
    """Attention inside windows, in five dimensions."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(3, 0, 1, 4, 2, 5)
        return x + scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(3)


class Matcher(nn.Module):
    """Points of two images that attend to their own image and to the other, as in LightGlue."""

    def __init__(self):
        super().__init__()
        self.own, self.other = (nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))

    def forward(self, a, b):
        for layer, swap in ((self.own, False), (self.other, True)):
            (qa, ka, va), (qb, kb, vb) = (
                layer(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4) for x in (a, b)
            )
            if swap:
                ka, va, kb, vb = kb, vb, ka, va
            a, b = (
                x + scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
                for x, q, k, v in ((a, qa, ka, va), (b, qb, kb, vb))
            )
        return a, b


class ByHand(nn.Module):
    """Softmax written out."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x):
        parts = (self.q, self.k, self.v)
        q, k, v = (part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        weights = (q @ k.transpose(-2, -1) / 6**0.5).softmax(-1)
        return x + (weights @ v).transpose(1, 2).flatten(2)


class Weighted(nn.Module):
    """A network that uses the weights of its attention."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x):
        o, weights = self.attention(x, x, x)
        return weights @ o


def _encoder():
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True)
    padding = torch.arange(10) >= torch.tensor([[10], [6], [8], [3]])
    return nn.TransformerEncoder(layer, 2), lambda: {
        "src": torch.randn(4, 10, WIDTH), "src_key_padding_mask": padding
    }


def _causal_encoder():
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32)
    mask = nn.Transformer.generate_square_subsequent_mask(10)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), lambda: {
        "src": torch.randn(10, 4, WIDTH), "mask": mask, "is_causal": True
    }


def _transformer():
    model = nn.Transformer(WIDTH, HEADS, 1, 1, 32, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    return model, lambda: {
        "src": torch.randn(4, 10, WIDTH), "tgt": torch.randn(4, 7, WIDTH), "tgt_mask": mask
    }


LLAMA = dict(TEXT, head_dim=6)
SEQ2SEQ = dict(
    vocab_size=WORDS, d_model=WIDTH, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
    decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=32,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
)

NETWORKS: dict[str, Callable[[], tuple[nn.Module, Callable[[], Any]]]] = {
    "nn.TransformerEncoder": _encoder,
    "nn.TransformerEncoder, causal": _causal_encoder,
    "nn.Transformer": _transformer,
    "nn.MultiheadAttention, weights used": lambda: (Weighted(), _tokens()),
    "timm style": lambda: (nn.Sequential(Timm(), Timm()), _tokens()),
    "windows": lambda: (Windows(), _tokens(2, 3, 10, WIDTH)),
    "LightGlue style": lambda: (
        Matcher(), lambda: (torch.randn(2, 10, WIDTH), torch.randn(2, 12, WIDTH))
    ),
    "by hand": lambda: (ByHand(), _tokens()),
    "by hand and not": lambda: (nn.Sequential(Timm(), ByHand()), _tokens()),
    "ViT": _of("ViTModel", _pixels, **PATCHES),
    "DeiT": _of("DeiTModel", _pixels, **PATCHES),
    "DINOv2": _of("Dinov2Model", _pixels, **PATCHES),
    "BEiT": _of("BeitModel", _pixels, **PATCHES),
    "Swin": _of(
        "SwinModel", _pixels, image_size=IMAGE, patch_size=4, embed_dim=12, depths=[1, 1],
        num_heads=[2, 4], window_size=4,
    ),
    "PVTv2": _of(
        "PvtV2ForImageClassification", lambda: _pixels(64), "PvtV2Config", image_size=64,
        hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, num_attention_heads=[1, 2, 3, 4],
        sr_ratios=[8, 4, 2, 1], mlp_ratios=[2] * 4,
    ),
    "Segformer": _of(
        "SegformerModel", lambda: _pixels(64), hidden_sizes=[8, 16, 24, 32], depths=[1] * 4,
        num_attention_heads=[1, 2, 3, 4], decoder_hidden_size=16,
    ),
    "BERT": _of("BertModel", _text, **TEXT),
    "RoBERTa": _of("RobertaModel", _text, **TEXT),
    "DistilBERT": _of(
        "DistilBertModel", _text, vocab_size=WORDS, dim=WIDTH, n_layers=2, n_heads=HEADS,
        hidden_dim=32, max_position_embeddings=32,
    ),
    "ALBERT": _of("AlbertModel", _text, embedding_size=8, **TEXT),
    "ELECTRA": _of("ElectraModel", _text, embedding_size=8, **TEXT),
    "MPNet": _of("MPNetModel", _text, **TEXT),
    "DeBERTa": _of("DebertaV2Model", _text, "DebertaV2Config", relative_attention=True,
                   pos_att_type=["p2c", "c2p"], **TEXT),
    "ModernBERT": _of(
        "ModernBertModel", _text, global_attn_every_n_layers=2, local_attention=8,
        bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, **TEXT
    ),
    "CLIP": _pair_of_towers("CLIP"),
    "SigLIP": _pair_of_towers("Siglip"),
    "GPT-2": _of("GPT2LMHeadModel", _text, "GPT2Config", vocab_size=WORDS, n_positions=32,
                 n_embd=WIDTH, n_layer=2, n_head=HEADS, bos_token_id=1, eos_token_id=2),
    "GPT-NeoX": _of("GPTNeoXModel", _text, **TEXT, bos_token_id=1, eos_token_id=2),
    "OPT": _of("OPTModel", _text, vocab_size=WORDS, hidden_size=WIDTH, num_hidden_layers=2,
               ffn_dim=32, num_attention_heads=HEADS, max_position_embeddings=32,
               word_embed_proj_dim=WIDTH, pad_token_id=0, bos_token_id=1, eos_token_id=2),
    "Llama": _of("LlamaForCausalLM", _text, "LlamaConfig", **LLAMA),
    "Llama, grouped queries": _of(
        "LlamaForCausalLM", _text, "LlamaConfig", num_key_value_heads=2, **LLAMA
    ),
    "Mistral": _of("MistralModel", _text, num_key_value_heads=2, sliding_window=4, **LLAMA),
    "Qwen2": _of("Qwen2Model", _text, num_key_value_heads=2, **TEXT),
    "Gemma 2": _of("Gemma2Model", _text, num_key_value_heads=2, **LLAMA),
    "BART": _of("BartModel", _pairs, **SEQ2SEQ),
    "Whisper": _of(
        "WhisperModel",
        lambda: {"input_features": torch.randn(2, 8, 40)}
        | _words(2, 7, "decoder_input_ids"),
        max_source_positions=20, max_target_positions=32, num_mel_bins=8,
        **{k: v for k, v in SEQ2SEQ.items() if k != "max_position_embeddings"},
    ),
    "T5": _of("T5Model", _pairs, vocab_size=WORDS, d_model=WIDTH, d_kv=6, d_ff=32, num_layers=1,
              num_heads=HEADS, decoder_start_token_id=0),
    "DETR decoder": lambda: (
        nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, 32, batch_first=True), 1),
        lambda: (torch.randn(2, 5, WIDTH), torch.randn(2, 10, WIDTH)),
    ),
    "wav2vec 2.0": _of(
        "Wav2Vec2Model", lambda: torch.randn(2, 800), conv_dim=(8, 8), conv_kernel=(10, 4),
        conv_stride=(5, 4), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, **SIZES
    ),
}
"""Makes a network and what makes a batch, by name."""
