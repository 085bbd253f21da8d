"""Every formal proof: what is claimed, of what, by which method, and whether it holds."""

import sys
from pathlib import Path

import pytest

from benchmarks.results import write_section

ROOT = Path(__file__).parents[1]
TESTS = [str(ROOT / "tests" / name) for name in ("formal", "hw/attention/test_xnor.py")]


class Proofs:
    """Collects the rows that the fixture ``proof`` reports."""

    def __init__(self):
        self.rows = []

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == "proof":
                component, configuration, claims, method, depth, solver, seconds, proved = value
                self.rows.append([
                    claims, component, configuration, method, depth or "unlimited", solver, seconds,
                    "proved" if proved and report.passed else "**not proved**",
                ])  # fmt: skip


def main():
    proofs = Proofs()
    status = pytest.main(
        ["-m", "prove or not prove", "-k", "not exhaustively", *TESTS, *sys.argv[1:]], [proofs]
    )
    write_section(
        "Formal proofs",
        "make prove",
        0,
        ["property", "component", "configuration", "method", "depth", "solver", "seconds",
         "result"],
        proofs.rows,
    )  # fmt: skip
    sys.exit(status)


if __name__ == "__main__":
    main()
