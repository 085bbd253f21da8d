# SPDX-License-Identifier: Apache-2.0
"""A pretrained sentence encoder with all 72 heads on one engine: embeddings of held-out sentences.

all-MiniLM-L6-v2 is converted layer by layer and trained without labels as in
:mod:`benchmarks.minilm`, for half an hour on a CPU. Sentences of two kinds are then embedded by the
network as published, with its attention in float, by the integer model, and by the RTL inside the
network, every word of which is compared with the integer model.
"""

import random

from transformers import AutoModel, AutoTokenizer

from benchmarks.attending import Engines, simulated
from benchmarks.minilm import KEPT, LENGTH, MODEL, embeddings, tokenised, tune
from benchmarks.packages import download
from benchmarks.results.section import LEARNING, SIMULATING, arguments, begin
from benchmarks.texts import prose, sentiment, spliced
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["main"]

KINDS = ("movie", "editorial")
WIDTH = 32


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--weights", default="int8")
    parser.add_argument("--sentences", type=int, default=8000, help="for calibration")
    parser.add_argument("--layer-steps", type=int, default=60)
    parser.add_argument("--layer-lr", type=float, default=0.02)
    parser.add_argument("--tune", type=int, default=4000, help="steps of all weights")
    parser.add_argument("--tune-lr", type=float, default=5e-4)
    parser.add_argument("--tune-batch", type=int, default=32, help="sentences of a step")
    parser.add_argument("--spliced", type=int, default=60_000, help="made of two others")
    parser.add_argument("--tested", type=int, default=200, help="sentences of each kind")
    run = begin(parser)
    options = run.options
    options.tune_readout, options.device = "layers-embedding", "cpu"

    folder = next(download(MODEL).glob("*/model"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    chance = random.Random(options.seed)
    movie, editorial, *others = sentiment()
    for kind in (movie, editorial):
        chance.shuffle(kind)
    tests = {
        name: tokenised(tokenizer, sorted(texts[: options.tested], key=len), 20)
        for name, texts in zip(KINDS, (movie, editorial), strict=True)
    }
    published = {name: embeddings(model.eval(), part) for name, part in tests.items()}
    rest = movie[options.tested :]
    texts = rest + sum(others, []) + prose()
    texts += spliced(texts, options.spliced, chance)

    def batches(texts, size):
        """Sentences of like length share a batch; batches in random order."""
        made = tokenised(tokenizer, sorted(texts, key=len), size, multiple=8)
        return chance.sample(made, len(made))

    learned = batches(rest[: options.sentences], 32)
    rows = []

    def measure(attention, trained, found):
        cosines = [(found[name] * published[name]).sum(1).mean().item() for name in KINDS]
        mean = sum(cosines) / len(cosines)
        rows.append([attention, trained, *(f"{x:.4f}" for x in (*cosines, mean))])
        print(*rows[-1], flush=True)

    def embedded():
        return {name: embeddings(network, part) for name, part in tests.items()}

    attention = AttentionConfig(
        hash="linear", weights=options.weights, code_bits=options.bits, queries="separate"
    )
    folder = KEPT / "engine" / f"{options.weights}-{options.bits}"
    folder.mkdir(parents=True, exist_ok=True)
    layer = DistillConfig(steps=options.layer_steps, lr=options.layer_lr)
    with show_progress() as progress:
        network = convert(model, attention, learned[:12], layer, options.seed, progress, folder)
    measure("float", f"layer by layer, {options.layer_steps} steps each", embedded())
    folder = folder / f"{options.tune}-{options.tune_batch}-{options.tune_lr:g}"
    tune(
        network, model, batches(texts, options.tune_batch), options.tune, options.tune_lr, folder,
        options,
    )
    stage = f"all weights, {options.tune} steps of {options.tune_batch} sentences"
    measure("float", stage, embedded())

    config = Config(
        head_dim=WIDTH, value_dim=WIDTH, max_tokens=LENGTH, cycles_per_token=16, bus_bytes=8,
        parameter_sets=model.config.num_hidden_layers * model.config.num_attention_heads,
        **attention.in_hardware,
    )
    engines = Engines(network.eval(), [config], learned[:8])
    with engines.attending(IntegerEngine):
        integers = embedded()
    measure("integer model", stage, integers)
    with engines.attending(simulated) as checked:
        simulations = embedded()
    measure("RTL", stage, simulations)
    differing = sum(
        int((simulations[name] != integers[name]).any(1).sum()) for name in KINDS
    )
    count = len(KINDS) * options.tested
    words = sum(one.words for one in checked)
    wrong = sum(one.mismatches for one in checked)
    run.write_section(
        "conversion", "minilm-engine", "A sentence encoder with all 72 heads on one engine",
        ["attention", "trained", *(f"cosine, {name}" for name in KINDS), "mean"],
        rows,
        headline=f"{differing} of {count} embeddings and {wrong} of {words:,} words differ on the "
        "RTL",
        tools=("transformers", *LEARNING, *SIMULATING),
        notes=[
            f"RTL against the integer model: {differing} of {count} embeddings and {wrong} of "
            f"{words:,} words differ, b = {options.bits}, {options.weights} weights.",
            "Cosines are to the network as published, over sentences that nothing was learned "
            "from; of editorials none was learned from at all.",
        ],
    )


if __name__ == "__main__":
    main()
