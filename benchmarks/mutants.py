# SPDX-License-Identifier: Apache-2.0
"""Mutants of small engines of every kind: does verification notice a fault anywhere?

Yosys puts single faults into the netlists. Each must be noticed by the default ``verify`` or be
proved to be none; the generated testbench, and more of both for what is left, are measured beside
it.
"""

import sys

from benchmarks.mutation.campaign import add_options, campaign
from benchmarks.mutation.subjects import EngineSubject
from benchmarks.results.section import arguments, begin
from ecoformer.spec.config import Config

__all__ = ["ENGINES", "main"]

_SMALL = dict(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=5, cycles_per_token=4,
    parameter_sets=2, bus_bytes=2,
)
ENGINES = {
    name: Config(**_SMALL | changes)
    for name, changes in {
        "rbf": {},
        "linear, ternary, no tuser": {"hash": "linear", "weights": "ternary", "tuser_width": 0},
        "systolic": {
            "hash": "linear", "weights": "pow2", "cycles_per_token": 1, "bus_bytes": 8,
            "state_banks": 3, "value_term": "own",
        },
        "serial": {"cycles_per_token": 64, "bus_bytes": 1, "output_width": 8},
        "tables": {"dataflow": "bucketed"},
        "xnor, codes": {"dataflow": "xnor", "hash": "codes"},
    }.items()
}
"""As small as they can be, so that a mutant takes a fraction of a second."""
REASONS = {
    r"registers\.counters: .*\[(1[6-9]|2\d|3[01])\]":
        "a bit of a counter that no scene counts up to",
    r"normaliser\.divider_0: .*stage_0_divisor\[6\]":
        "no legal parameters make a denominator of so many bits",
}


def main() -> int:
    parser = arguments(__doc__)
    add_options(parser, list(ENGINES), 2400)
    run = begin(parser)
    subjects = {name: EngineSubject(config, run.options.seed) for name, config in ENGINES.items()}
    campaign(run, subjects, "engine", REASONS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
