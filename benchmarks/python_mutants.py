# SPDX-License-Identifier: Apache-2.0
"""Mutants of the contract and of the integer model: do the tests notice a fault anywhere?

Cosmic Ray changes operators, numbers, conditions and loops, one in every place where it can. With
each run the tests of the module's own name, those of its room, the recorded digests and what else
uses it, up to the first that fails. What was found is kept in build/python-mutants by commit: a run
that was stopped goes on. After a change the test that noticed a mutant before is tried first.
"""

import contextlib
import importlib
import os
import re
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path

from benchmarks.mutation.apart import apart
from benchmarks.mutation.record import Record
from benchmarks.mutation.source import PASSED, Mutant, draw, import_instead, passes, watched
from benchmarks.results.records import ROOT
from benchmarks.results.section import arguments, begin
from ecoformer.progress import LineProgress

__all__ = ["ROOMS", "main"]

ROOMS = {"ecoformer.spec": "ecoformer/spec", "ecoformer.golden.integer": "golden/integer"}
MIRRORS = ("tests/spec", "tests/golden/integer")
STAGES = (
    ("tests/golden/integer",), ("tests/test_digests.py",), ("tests/spec",),
    ("tests/golden/quantize", "tests/docs/test_numbers.py"),
)
"""Fast tests of these rooms and what uses them, after those of the module's own name; by cost."""
OURS = {"ecoformer", "tests", "benchmarks", "__main__"}
"""Packages that a process with a mutant imports itself."""
FAST = (
    "-m", "not slow and not full and not prove", "-p", "no:xdist", "-p", "no:randomly",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # plugins that are imported already
)
SECONDS, BYTES = 10, 4 << 30
"""CPU time beyond five times the usual one, and memory; a mutant that takes more is noticed."""
WAIT = 1200
"""Seconds by the clock, for tests that wait for ever."""
FOLDER = ROOT / "build" / "python-mutants"
REASONS = {
    r": if TYPE_CHECKING": "types are imported, or not",
    r"engines (> 1|== 1) .*-> .*engines (!= 1|<= 1)|engines == 1 -> .*engines <= 1":
        "there is at least one engine",
    r"reshape\(.*, -1\)": "NumPy takes any negative size for the one that follows",
    r"arithmetic:\d+: return signed_width\(isqrt\(": "no D makes the widths differ",
    r"codes:\d+: return np.packbits\(.* > 0": "codes are 1 and -1",
    r"frames:\d+: .*byte \^ FLIP.*-> .*byte - FLIP": "both bytes have the bit that is flipped",
    r"spec\.(dataflows|families)\..*rng\.(integers|choice|random)\(":
        "how random parameters are spread is no part of the contract",
    r"value_term is ValueTerm\.SUM -> .* >= ValueTerm\.SUM": "no other name comes after it",
    r"lookup_cycles: ClassVar\[int\] = 0 -> .* -1": "the rule before it is as strict",
}
"""Why a mutant is no fault, by a pattern of its text."""
OPEN = "open"


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--every", type=int, default=1, help="try one mutant of so many")
    parser.add_argument("--workers", type=int, default=1, help="mutants at the same time")
    run = begin(parser)
    options = run.options
    modules = watched(ROOT, ROOMS)
    mutants = draw(modules, options.seed)[:: options.every]
    kept = FOLDER / f"{run.commit}{'-trial' if options.dry_run else ''}.jsonl"
    record, progress = Record(kept), LineProgress()
    noticed = Record(FOLDER / "noticed.jsonl")
    os.chdir(ROOT)
    answer, *needed = apart(_needed, WAIT).splitlines()
    if answer != PASSED:
        raise ValueError(f"without a mutant fails: {answer}")
    usual, libraries = list(map(float, needed[: len(STAGES)])), needed[len(STAGES) :]
    for module in libraries:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    with ProcessPoolExecutor(options.workers) as workers:
        waiting = [mutant for mutant in mutants if ("tests", mutant.number) not in record]
        hints = [noticed.found.get((f"{mutant}", 0), "") for mutant in waiting]
        answers = workers.map(partial(_judge, usual=usual), waiting, hints)
        for done, (mutant, why) in enumerate(zip(waiting, answers), 1):
            record.get("tests", mutant.number, partial(str, why))
            if "::" in why:
                noticed.get(f"{mutant}", 0, partial(str, why))
            progress.update("mutants", done, len(waiting))
    alive = [mutant for mutant in mutants if record["tests", mutant.number] == PASSED]
    rows = []
    for room, group in groupby(mutants, key=_room):
        members = list(group)
        left = [mutant for mutant in members if mutant in alive]
        same = [mutant for mutant in left if _reason(mutant) != OPEN]
        rows.append([
            f"`{room}`", len({mutant.module for mutant in members}), len(members), len(same),
            f"{(len(members) - len(left)) / max(1, len(members) - len(same)):.1%}",
            len(left) - len(same),
        ])
    run.write_section(
        "mutants", "python", "Mutants of the contract and the integer model",
        ["room", "modules", "mutants", "no fault", "killed", "survivors"],
        rows,
        headline=f"{len(mutants)} mutants of Python, {sum(row[-1] for row in rows)} survive",
        tools=("cosmic-ray", "pytest"), modules=[*modules],
    )
    run.write_section(
        "mutants", "python-survivors", "Python mutants that no test notices",
        ["module", "line", "before", "after", "why"],
        [
            [mutant.module, mutant.line, f"`{_cell(mutant.before)}`", f"`{_cell(mutant.after)}`",
             _reason(mutant)]
            for mutant in alive
        ],
        headline=f"{sum(_reason(mutant) == OPEN for mutant in alive)} without a reason",
        tools=("cosmic-ray", "pytest"), modules=[*modules],
    )
    return 0


def _needed() -> str:
    """What the tests answer without a mutant, the CPU seconds of every stage, and the libraries
    that they import, line by line.

    Processes that are forked where these are imported already start with the tests at once.
    """
    seconds, answer = [], PASSED
    for stage in STAGES:
        begun = time.process_time()
        answer = _tests(None, [(stage, WAIT)]) if answer == PASSED else answer
        seconds.append(time.process_time() - begun)
    libraries = (name for name in sys.modules if name.partition(".")[0] not in OURS)
    return "\n".join([answer, *map(str, seconds), *libraries])


def _judge(mutant: Mutant, hint: str, usual: Sequence[float]) -> str:
    """The first test that fails with a mutant, ``hint`` before all others, or :data:`PASSED`."""
    bounds = [SECONDS + 5 * seconds for seconds in (0.0, *usual)]
    if hint and apart(partial(_tests, mutant, [((hint,), max(bounds))]), WAIT) == hint:
        return hint
    stages = list(zip([_mirrors(mutant), *STAGES], bounds))
    return apart(partial(_tests, mutant, stages), WAIT)


def _tests(mutant: Mutant | None, stages: Sequence[tuple[Sequence[str], float]]) -> str:
    """Run stages of tests, each with its bound of CPU time."""
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    if mutant:
        import_instead(mutant)
    for tests, seconds in stages:
        bound = int(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (bound, resource.RLIM_INFINITY))
        answer = passes([*tests, *FAST]) if tests else PASSED
        if answer != PASSED:
            return answer
    return PASSED


def _mirrors(mutant: Mutant) -> list[str]:
    """Test files of the module's own name."""
    stem = mutant.path.stem
    return [str(path) for folder in MIRRORS for path in Path(folder).glob(f"test_{stem}.py")]


def _room(mutant):
    return mutant.module.rpartition(".")[0]


def _reason(mutant):
    return next((why for text, why in REASONS.items() if re.search(text, str(mutant))), OPEN)


def _cell(text):
    return text.replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    sys.exit(main())
