# SPDX-License-Identifier: Apache-2.0
"""Which families of networks can be converted: small ones with random weights.

Every attention of a network is found and replaced, or named with the reason why not; hashes learn
in a few steps, so that all stages run.
"""

import sys
import warnings
from collections import Counter

import transformers

from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.zoo import NETWORKS, make
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.sites.choosing import find_sites

__all__ = ["main"]

CONFIG = AttentionConfig(hash="linear", code_bits=16, queries="separate")


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=8, help="per layer")
    run = begin(parser)
    warnings.simplefilter("ignore")  # of libraries about tiny configurations
    transformers.logging.set_verbosity_error()
    rows = []
    for name in run.options.networks:
        rows.append([name, *examine(name, run.options.steps)])
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    wholly = sum(not row[-1] for row in rows)
    partly = sum(bool(row[-1]) and row[2] > 0 for row in rows)
    run.write_section(
        "conversion", "models", "Families of networks",
        ["network", "attention", "converted", "of them causal", "cross", "why the rest is left"],
        rows,
        headline=f"{len(rows)} families: {wholly} converted wholly, {partly} in part",
        tools=("transformers", *LEARNING),
    )


def examine(name: str, steps: int) -> list:
    """What was found in a network, and what was converted of it."""
    model, batches = make(name)
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    chosen = [site for site in sites if site.reason is None]
    left = [site for site in sites if site.reason is not None]
    count = 0
    if chosen:
        skip = [site.path for site in left]
        converted = convert(model, CONFIG, batches, DistillConfig(steps=steps), skip=skip)
        count = len(cores_of(converted))
    reasons = Counter(site.reason.partition(",")[0].partition(" (")[0] for site in left)
    return [
        len(sites), count, sum(site.mask == "causal" for site in chosen),
        sum(site.cross for site in chosen),
        "; ".join(f"{number} × {reason}" for reason, number in reasons.items()),
    ]


if __name__ == "__main__":
    main()
