# SPDX-License-Identifier: Apache-2.0
"""LightGlue, a matcher of key points, with every attention replaced, on two engines.

Nine layers of self-attention in each of two images and of cross attention both ways, 4 heads of
64. It learns here, without labels, to answer what it answered: first the hashes of every layer,
then all hashes together, then all weights, on the states of every layer and, if wanted, on the
matches alone. Pairs of images are views of one photograph under known homographies, which say how
many of the matches are right and how many of the true ones are found; the photographs it is
measured on are others, with twice as many key points.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import normalize

from benchmarks.attending import Engines, simulated
from benchmarks.image_pairs import Pair, pairs_to_learn_from, pairs_to_measure_on
from benchmarks.matching import Matcher, Matching, load, nearest
from benchmarks.precision import mixed_precision
from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, SIMULATING, Measurement, arguments, begin
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert, replace_attention
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.quantize.evaluation import CheckedEngine
from ecoformer.golden.quantize.inference import override_attention
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["main"]

KEPT = ROOT / "build" / "lightglue"
HEADS, WIDTH, LAYERS = 4, 64, 9
HELD_OUT = 4
"""Pairs that decide which step of the training is kept."""
HASHED = 2
"""Pairs from which every layer learns its hashes."""
CALIBRATING = 8
"""Pairs that set the scales of the engines."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--weights", default="ternary")
    parser.add_argument("--views", type=int, default=4, help="of a photograph to learn from")
    parser.add_argument("--measured-views", type=int, default=6)
    parser.add_argument("--points", type=int, default=1024, help="of a view that is measured")
    parser.add_argument("--learned", type=int, default=512, help="points of one to learn from")
    parser.add_argument("--layer-steps", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30, help="of all hashes together")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--tune", type=int, default=650, help="steps of all weights")
    parser.add_argument("--sharpen", type=int, default=0, help="then so many on the matches alone")
    parser.add_argument("--tune-lr", type=float, default=5e-4)
    parser.add_argument("--glimpsed", type=int, default=5, help="pairs that measure a stage")
    parser.add_argument("--integers", type=int, default=5, help="pairs in integers")
    parser.add_argument("--simulated", type=int, default=1, help="pairs on the RTL")
    run = begin(parser)
    options = run.options
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)

    original = load()
    pairs = pairs_to_learn_from(options.views, options.points, options.seed, KEPT)
    train = [pair.strongest(options.learned).batch for pair in pairs]
    attention = AttentionConfig(
        hash="linear", weights=options.weights, code_bits=options.bits, queries="separate"
    )
    shape = options.measured_views, options.points, options.seed
    path = KEPT / f"original-{'-'.join(map(str, shape))}.pt"
    tests = Tests(original, pairs_to_measure_on(*shape, KEPT), path)
    tests.measure("softmax", "as published", None)
    tests.measure("nearest descriptors", "–", nearest)
    for name, network in controls(original, attention, train[0]):
        tests.measure(name, "hashes and weights as they are", network, options.glimpsed)
    *stages, (stage, network) = learn(original, train, attention, options)
    for earlier, unfinished in stages:
        tests.measure("EcoFormer, float", earlier, unfinished, options.glimpsed)
    tests.measure("EcoFormer, float", stage, network)
    configs = [
        engine(attention, options.points, 2 * LAYERS * HEADS, queries)
        for queries in ("separate", "cross")
    ]
    engines = Engines(network, configs, train[:CALIBRATING])
    with engines.attending(IntegerEngine):
        tests.measure("EcoFormer, integer model", stage, network, options.integers)
    with engines.attending(simulated) as checked:
        tests.measure("EcoFormer, RTL", stage, network, options.simulated)
    write(run, tests, checked, len(pairs))


class Tests:
    """Pairs to measure on, and the rows of what was measured.

    Parameters
    ----------
    original : Matcher
    pairs : list of Pair
    path : Path
        Where the scores of the original are kept.
    """

    def __init__(self, original: Matcher, pairs: list[Pair], path: Path):
        self.pairs = pairs
        self.rows: list[list] = []
        if not path.exists():
            torch.save(self.scores(original, range(len(pairs))), path)
        self.original = torch.load(path, weights_only=True)

    @torch.no_grad()
    def scores(
        self, network: Callable[..., Matching], some: Iterable[int]
    ) -> dict[int, tuple[float, float]]:
        """Precision and recall by number of the pair."""
        return {
            i: self.pairs[i].precision_and_recall(network(**self.pairs[i].batch)) for i in some
        }

    def measure(
        self, attention: str, trained: str, network: Callable[..., Matching] | None, count: int = 0
    ) -> None:
        """Add the row of a network, measured on ``count`` pairs spread over all, or on all.

        Without a network it is that of the original.
        """
        total = len(self.pairs)
        some = range(0, total, -(-total // count)) if count else range(total)
        scores = self.original if network is None else self.scores(network, some)
        found = torch.tensor([scores[i] for i in some]).mean(0).tolist()
        original = torch.tensor([self.original[i] for i in some]).mean(0).tolist()
        shares = [f"{share:.1%}" for both in zip(found, original) for share in both]
        self.rows.append([attention, trained, len(some), *shares])
        print(*self.rows[-1], flush=True)


def controls(
    original: Matcher, attention: AttentionConfig, batch: dict
) -> Iterator[tuple[str, nn.Module]]:
    """Networks with nothing learned, by name: attention to all alike, and random hashes."""
    network = replace_attention(original, attention, batch)
    for core in (cores := cores_of(network)):
        core.exact = False
    with override_attention(cores, mean_of_values):
        yield "mean of values", network
    yield "EcoFormer, float", network


def mean_of_values(layer, q, k, v, key_mask):
    """Attention that has no preference."""
    return v.mean(2, keepdim=True).expand(-1, -1, q.shape[2], -1)


def learn(
    original: Matcher, train: list[dict], attention: AttentionConfig, options: Namespace
) -> Iterator[tuple[str, nn.Module]]:
    """The converted network after every stage of learning, as (name of the stage, network)."""
    name = f"{options.weights}-{options.bits}-{options.views}-{options.learned}"
    folder = KEPT / f"{name}-{options.layer_steps}-{options.steps}-{options.lr:g}-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    layer = DistillConfig(steps=options.layer_steps)
    with show_progress() as progress:
        network = convert(
            original, attention, train[:HASHED], layer, options.seed, progress, folder
        )
    yield f"layer by layer, {options.layer_steps} steps each", deepcopy(network)
    held_out = HELD_OUT / len(train)
    joint = DistillConfig(steps=options.steps, lr=options.lr, held_out=held_out)
    with mixed_precision(), show_progress() as progress:
        refine(network, train, joint, agreement, options.seed, progress=progress, folder=folder)
    yield f"all hashes together, {options.steps} steps", deepcopy(network)
    rate = options.tune_lr
    for read, steps, what in (
        (agreement, options.tune, "all weights"), (matches, options.sharpen, "again, on matches")
    ):
        if not steps:
            continue
        learning = DistillConfig(steps=steps, held_out=held_out)
        groups = everything(network, 10 * rate, rate)
        folder = folder / f"{steps}-{rate:g}"
        folder.mkdir(exist_ok=True)
        with mixed_precision(), show_progress() as progress:
            refine(
                network, train, learning, read, options.seed, groups, progress, folder, original
            )
        yield f"{what}, {steps} steps", deepcopy(network)


def agreement(answer: Matching, batch: dict) -> torch.Tensor:
    """Directions of all points after every layer, and `matches`, which weigh about the same."""
    states = [normalize(x, dim=-1).flatten(1) for x in answer.states]
    return torch.cat([*states, LAYERS**0.5 * matches(answer, batch)], 1)


def matches(answer: Matching, batch: dict) -> torch.Tensor:
    """Roots of the probabilities of matches, whose squared error is Hellinger's distance."""
    return (answer.scores / 2).exp().flatten(1)


def engine(attention: AttentionConfig, points: int, sets: int, queries: str) -> Config:
    """The engine of some attention at sixteen cycles a token."""
    return Config(
        head_dim=WIDTH, value_dim=WIDTH, max_tokens=points, cycles_per_token=16,
        parameter_sets=sets, bus_bytes=16, **attention.in_hardware | {"queries": queries},
    )


def write(run: Measurement, tests: Tests, checked: list[CheckedEngine], learned: int) -> None:
    options, rows = run.options, tests.rows
    words, wrong = (sum(getattr(e, name) for e in checked) for name in ("words", "mismatches"))
    run.write_section(
        "conversion", "lightglue", "A matcher of key points, on two engines",
        ["attention", "trained", "pairs", "precision", "original", "recall", "original"],
        rows,
        headline=f"LightGlue: precision {rows[-2][3]} and recall {rows[-2][5]} in integers "
        f"({rows[-2][4]} and {rows[-2][6]} before), {wrong} of {words:,} words differ on the RTL",
        tools=(*LEARNING, "kornia", *SIMULATING),
        notes=[
            f"{options.points:,} DISK key points in each view of 640 × 480; a match is right "
            "within 3 pixels, a true one is of points that are each other's nearest within 3. "
            "Means over pairs, beside those of the original on the same pairs.",
            f"{learned:,} pairs to learn from, of {options.learned} points; b = {options.bits}, "
            f"{options.weights} weights.",
            f"RTL against the integer model: {wrong} of {words:,} words differ, on an engine for "
            "self-attention and one for cross attention.",
        ],
    )


if __name__ == "__main__":
    main()
