# SPDX-License-Identifier: Apache-2.0
"""Lines, branches and bits of the emitted Verilog that ``ecoformer verify`` exercises.

Verilator counts them in small engines of several kinds. A bit is covered if it rises and falls.
What is not covered is listed, module by module.
"""

import contextlib
import re
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.engines import FAULTY
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.plan import make_plan
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify_on

__all__ = ["main", "Points", "read_points"]

BUILDS = Path("build/coverage")
ENGINES = ("narrow bus", "a token every cycle, wide bus", "no tuser", "xnor", "tables")
"""Of `benchmarks.engines.FAULTY`."""
KINDS = ("line", "branch", "toggle")


@dataclass
class Points:
    """What Verilator counted.

    Parameters
    ----------
    all, covered : Counter
        Points by kind and module.
    holes : dict
        Points without a count: module → kind → names.
    """

    all: Counter = field(default_factory=Counter)
    covered: Counter = field(default_factory=Counter)
    holes: dict = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def share(self, kind: str, module: str | None = None) -> str:
        """Covered points of a kind, of one module or of all, as text."""
        counts = [
            sum(n for (k, m), n in counter.items() if k == kind and module in (None, m))
            for counter in (self.covered, self.all)
        ]
        return f"{counts[0] / counts[1]:.1%} of {counts[1]:,}" if counts[1] else "–"


def read_points(path: Path) -> Points:
    """The points of a coverage file of Verilator.

    A line of it has the fields ``\\x01key\\x02value``: ``page`` is ``v_kind/module``, ``o`` names
    the signal or the branch, ``l`` is the line.
    """
    points = Points()
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.match(r"C '(.*)' (\d+)$", text)
        if not match:
            continue
        fields = dict(part.split("\x02", 1) for part in match[1].split("\x01") if part)
        kind, module = fields["page"].removeprefix("v_").split("/", 1)
        points.all[kind, module] += 1
        if int(match[2]):
            points.covered[kind, module] += 1
        else:
            line = "" if kind == "toggle" else f" in line {fields['l']}"
            points.holes[module][kind].append(fields["o"].replace("___05F", "__") + line)
    return points


def main() -> None:
    run = begin(arguments(__doc__))
    rows, shown = [], {}
    for name in ENGINES:
        points = _measure(FAULTY[name], run.options.seed)
        rows.append([name, *(points.share(kind) for kind in KINDS)])
        shown[name] = points
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    for name, points in shown.items():
        _print(name, points)
    run.write_section(
        "coverage", "verify", "What verify exercises",
        ["engine", *(f"{kind} coverage" for kind in KINDS)], rows,
        headline=f"{rows[0][1].split()[0]} of lines, {rows[0][2].split()[0]} of branches, "
        f"{rows[0][3].split()[0]} of bits",
        tools=SIMULATING, engines=[f"measured fault scripts, {name}" for name in ENGINES],
        modules=["ecoformer.sim.verification"],
    )


def _measure(config, seed):
    rng = np.random.default_rng(seed)
    image, workload = random_image(config, rng), random_workload(config, rng, 8)
    built = build(emit(config), BUILDS, simulator="compiled", coverage=True)
    with contextlib.closing(CompiledEngine(built.folder, seed)) as engine:
        result = verify_on(engine, config, make_plan(config, image, workload, seed=seed))
        if not result.ok:
            sys.exit("\n".join(map(str, result.mismatches[:20])))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "coverage.dat"
            engine.write_coverage(path)
            return read_points(path)


def _print(name, points):
    """Every module of an engine, and its holes."""
    print(f"\n{name}")
    for module in sorted({module for _, module in points.all}):
        shares = ", ".join(f"{kind} {points.share(kind, module)}" for kind in KINDS)
        print(f"  {module}: {shares}")
        for kind, names in points.holes[module].items():
            if kind == "toggle":
                names = [f"{signal} {', '.join(bits)}" for signal, bits in _signals(names).items()]
            for hole in names:
                print(f"    {kind}: {hole}")


def _signals(names):
    """Bits that do not move, by signal; ``signal[3]:0->1`` is how Verilator names a change."""
    signals = defaultdict(list)
    for name in names:
        signal, bit = re.match(r"(.*?)(?:\[(\d+)\])?:", name).groups()
        if (bit or "all") not in signals[signal]:
            signals[signal].append(bit or "all")
    return signals


if __name__ == "__main__":
    main()
