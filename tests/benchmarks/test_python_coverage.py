# SPDX-License-Identifier: Apache-2.0
from benchmarks.python_coverage import rooms


def counted(statements, lines, branches, covered):
    return {"summary": {
        "num_statements": statements, "covered_lines": lines, "num_branches": branches,
        "covered_branches": covered,
    }}


def test_files_are_counted_by_room_and_together():
    assert rooms({
        "sim/bench.py": counted(10, 9, 4, 1),
        "hw/hash/rbf.py": counted(6, 6, 0, 0),
        "hw/hash/deep/er.py": counted(4, 0, 0, 0),
        "sim/rows.py": counted(10, 10, 0, 0),
    }) == [
        ("hw/hash", 2, "60.0% of 10", "–"),
        ("sim", 2, "95.0% of 20", "25.0% of 4"),
        ("all", 4, "83.3% of 30", "25.0% of 4"),
    ]
