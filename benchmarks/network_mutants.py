# SPDX-License-Identifier: Apache-2.0
"""Mutants of small networks of either kind: does verification notice a fault anywhere?

As `benchmarks.mutants` does it with engines.
"""

import sys

from benchmarks.mutation.campaign import add_options, campaign
from benchmarks.mutation.subjects import NetworkSubject
from benchmarks.results.section import arguments, begin
from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["NETWORKS", "main"]

_HEAD = dict(
    head_dim=4, value_dim=4, code_bits=2, max_tokens=16, hash="linear", cycles_per_token=16
)
_TEXT = dict(mask="causal", contexts=3, cycles_per_token=8)
NETWORKS = {
    "image": NetworkDesign(
        image_size=2, channels=1, patch=1, width=4, heads=1, depth=1, hidden=4, classes=3,
        cycles_per_token=16, loadable=True, attention=Config(**_HEAD),
    ),
    "image, ternary, two heads": NetworkDesign(
        image_size=2, channels=2, patch=1, width=8, heads=2, depth=1, hidden=6, classes=2,
        cycles_per_token=32, weights="ternary", loadable=True,
        attention=Config(**_HEAD | {"weights": "ternary", "queries": "separate"}),
    ),
    "text": DecoderDesign(
        vocabulary=5, positions=3, width=4, heads=1, depth=1, hidden=32, cycles_per_token=16,
        loadable=True, attention=Config(**_HEAD | _TEXT),
    ),
    "text, best token": DecoderDesign(
        vocabulary=7, positions=4, width=4, heads=1, depth=1, hidden=6, cycles_per_token=16,
        answer="best", weights="pow2", loadable=True,
        attention=Config(**_HEAD | _TEXT | {"hash": "rbf", "anchors": 3, "value_term": "own"}),
    ),
}
"""As small as they can be, so that a mutant takes a second. Parameters can be loaded: others must
show what those that are there from the start do not.
"""
REASONS: dict[str, str] = {}


def main() -> int:
    parser = arguments(__doc__)
    add_options(parser, list(NETWORKS), 800)
    run = begin(parser)
    subjects = {
        name: NetworkSubject(design, run.options.seed) for name, design in NETWORKS.items()
    }
    campaign(run, subjects, "network", REASONS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
