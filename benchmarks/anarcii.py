# SPDX-License-Identifier: Apache-2.0
"""A pretrained encoder-decoder with every attention replaced, on three engines.

ANARCII numbers the residues of antibodies: one layer of self-attention in its mode "speed", two
in "accuracy", and as many of causal and of cross attention, 4 heads of 32 each. It learns here,
without labels, to answer what it answered, on antibodies recombined from germline genes and in
spite of mistakes that it is told to have made; real antibodies only measure. These are numbered
token by token, the most likely one each time, with the cache of the original: the causal engine
keeps the state of every head of every sequence on the chip and gets one token of each per step.
"""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import nn

from benchmarks.antibodies import JUNCTION, LONG_JUNCTION, real_antibodies, recombined
from benchmarks.attending import Engines, simulated
from benchmarks.numbering import END, Numbering, encoded, load, misheard, numbered
from benchmarks.precision import mixed_precision
from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, SIMULATING, arguments, begin
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["main"]

KEPT = ROOT / "build" / "anarcii"
LONGEST = 180
BATCH = 16
"""Sequences numbered at once; all their contexts fit on the chip."""
HEADS, WIDTH = 4, 32
HELD_OUT = 16
"""Batches that decide which step is kept."""
KINDS = {
    "self": {"queries": "separate"},
    "causal": {"queries": "separate", "mask": "causal"},
    "cross": {"queries": "cross"},
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, default=1, choices=(1, 2))
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--weights", default="int8")
    parser.add_argument("--learned", type=int, default=16_000, help="sequences to learn from")
    parser.add_argument("--times", type=int, default=4, help="with other mistakes each time")
    parser.add_argument("--layer-steps", type=int, default=30)
    parser.add_argument("--steps", type=int, default=10_000, help="of all weights")
    parser.add_argument("--lr", type=float, default=5e-4, help="of hashes five times as much")
    parser.add_argument("--longer", type=int, default=8_000, help="with longer junctions, then")
    parser.add_argument("--longer-steps", type=int, nargs="*", default=[5_000, 3_000])
    parser.add_argument("--longer-lr", type=float, nargs="*", default=[3e-4, 2e-4])
    parser.add_argument("--tested", type=int, default=19 * BATCH)
    parser.add_argument("--simulated", type=int, default=4, help="batches of the tested on the RTL")
    run = begin(parser)
    options = run.options
    torch.set_num_threads(1)

    original = load(options.layers)
    train = batches_of(original, options.learned, options.seed + 1, options.times)
    longer = [
        batches_of(original, options.longer, options.seed + 2 + i, options.times, LONG_JUNCTION)
        for i in range(len(options.longer_steps))
    ]
    tests = Tests(original, encoded(real_antibodies(options.seed)[-options.tested :], BATCH))
    rows = []

    def measure(attention, trained, network, scores):
        rows.append([attention, trained, *scores])
        print(*rows[-1], flush=True)

    attention = AttentionConfig(
        hash="linear", weights=options.weights, code_bits=options.bits, queries="separate"
    )
    for stage, network in learn(original, train, longer, attention, options):
        answers = tests.numbered_by(network)
        measure("EcoFormer, float", stage, network, tests.scores(answers))
    engines = engines_of(network, attention, train, options.layers)
    with engines.attending(IntegerEngine):
        integers = tests.numbered_by(network)
    measure("EcoFormer, integer model", stage, network, tests.scores(integers))
    some = [*range(0, len(tests.sources), -(-len(tests.sources) // options.simulated))]
    with engines.attending(simulated) as checked:
        simulations = tests.numbered_by(network, some)
    scores = tests.scores(simulations, some)
    differing = sum(
        int((got != integers[i]).sum()) for got, i in zip(simulations, some, strict=True)
    )
    words = sum(one.words for one in checked)
    wrong = sum(one.mismatches for one in checked)
    measure("EcoFormer, RTL", stage, network, scores)
    run.write_section(
        "conversion", "anarcii", "An encoder-decoder that numbers antibodies, on three engines",
        ["attention", "trained", "sequences", "positions", "numbered as the original",
         "chains as the original", "whole sequences as the original"],
        rows,
        headline=f"ANARCII: {rows[-2][4]} of positions as the original in integers, "
        f"{wrong} of {words:,} words differ on the RTL",
        tools=(*LEARNING, *SIMULATING),
        notes=[
            f"RTL against the integer model: {differing} of "
            f"{sum(x.numel() for x in simulations):,} tokens and {wrong} of {words:,} words "
            f"differ, on three engines with b = {options.bits} and {options.weights} weights.",
            f"{options.learned:,} recombined sequences to learn from, then {options.longer:,} with "
            "longer junctions each time; real ones to measure. A "
            "position is a residue that the original gives a number or calls an insertion.",
        ],
    )


def learn(
    original: Numbering, train: list[dict], longer: list[list[dict]], attention: AttentionConfig,
    options: Namespace,
) -> Iterator[tuple[str, nn.Module]]:
    """The converted network after the stages of learning, as (name of the stage, network)."""
    name = f"{options.layers}-{options.weights}-{options.bits}-{options.learned}-{options.times}"
    folder = KEPT / f"{name}-{options.layer_steps}-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        network = convert(
            original, attention, train[:16], DistillConfig(steps=options.layer_steps),
            options.seed, progress, folder,
        )
    yield f"layer by layer, {options.layer_steps} steps each", network
    network.misled = True
    folder = folder / f"{options.steps}-{options.lr:g}"
    tune(network, train, options.steps, options.lr, original, folder, options.seed)
    yield f"all weights, {options.steps} steps", network
    passes = zip(longer, options.longer_steps, options.longer_lr, strict=True)
    for batches, steps, lr in passes:
        folder = folder / f"{options.longer}-{steps}-{lr:g}"
        tune(network, batches, steps, lr, original, folder, options.seed)
        yield f"all weights again, {steps} steps with longer junctions", network


def tune(
    network: nn.Module, batches: list[dict], steps: int, lr: float, original: Numbering,
    folder: Path, seed: int,
) -> None:
    """Train all weights, hashes at five times the rate, in bfloat16 except for the hashes."""
    folder.mkdir(exist_ok=True)
    learning = DistillConfig(
        steps=steps, held_out=HELD_OUT / len(batches), disagreement="divergence", clip=1.0
    )
    groups = everything(network, 5 * lr, lr)
    with mixed_precision(), show_progress() as progress:
        refine(network, batches, learning, wanted, seed, groups, progress, folder, original)


def wanted(logits: torch.Tensor, batch: dict) -> torch.Tensor:
    """Logits up to the end of the original's answer."""
    return logits * ((batch["target"] == END).cumsum(1) == 0)[..., None]


def batches_of(
    original: Numbering, count: int, seed: int, times: int, junctions: dict = JUNCTION
) -> list[dict]:
    """Recombined sequences and what the original answers, in random order.

    A decoder that only hears what is right learns to count on from it, and goes on counting after
    its first mistake. So it hears mistakes, others each of the ``times`` that it sees a sequence.
    """
    path = KEPT / f"answers-{len(original.network.encoder.layers)}-{count}-{seed}.pt"
    sources = encoded(recombined(count, seed, junctions), BATCH)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save([original.decode(source) for source in sources], path)
    answers = torch.load(path, weights_only=True)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(sources), generator=generator).tolist()
    learned, held_out = order[:-HELD_OUT], order[-HELD_OUT:]
    batches = []
    for i in [*learned * times, *held_out]:
        target = answers[i][:, :-1]
        heard = misheard(target, generator)
        batches.append({"source": sources[i], "target": target, "heard": heard})
    return batches


class Tests:
    """Real antibodies, and what the original answers.

    Parameters
    ----------
    original : Numbering
    sources : list of Tensor [B, N]
    """

    def __init__(self, original: Numbering, sources: list[torch.Tensor]):
        self.sources = sources
        self.right = self.numbered_by(original)

    def numbered_by(
        self, network: nn.Module, some: Iterable[int] | None = None
    ) -> list[torch.Tensor]:
        """Tokens [B, N + 1] of every batch, or of some."""
        some = range(len(self.sources)) if some is None else some
        return [network.decode(self.sources[i]) for i in some]

    def scores(
        self, answers: list[torch.Tensor], some: Iterable[int] | None = None
    ) -> tuple[int, str, str, str, str]:
        """Sequences, positions, and which shares of positions, chains and sequences are right."""
        some = range(len(self.sources)) if some is None else some
        shares = []
        for i, answer in zip(some, answers, strict=True):
            source, right = self.sources[i], self.right[i]
            positions = numbered(source, right)
            same = (answer[:, 2:] == right[:, 2:]) & numbered(source, answer)
            chain = answer[:, 1] == right[:, 1]
            whole = (same | ~positions).all(1) & chain
            shares.append([(same & positions).sum(), positions.sum(), chain.sum(), whole.sum(),
                           len(source)])
        same, positions, chains, whole, sequences = torch.tensor(shares).sum(0).tolist()
        return (
            sequences, f"{positions:,}", f"{same / positions:.2%}", f"{chains / sequences:.1%}",
            f"{whole / sequences:.1%}",
        )


def engines_of(
    network: nn.Module, attention: AttentionConfig, train: list[dict], layers: int
) -> Engines:
    """An engine for every kind of attention of a converted network, calibrated on some data."""
    configs = []
    for kind, own in KINDS.items():
        shape = attention.in_hardware | own
        if kind == "causal":
            shape["contexts"] = BATCH * layers * HEADS
        configs.append(Config(
            head_dim=WIDTH, value_dim=WIDTH, max_tokens=LONGEST, cycles_per_token=16,
            parameter_sets=layers * HEADS, bus_bytes=8, **shape,
        ))
    return Engines(network, configs, train[:8])


if __name__ == "__main__":
    main()
