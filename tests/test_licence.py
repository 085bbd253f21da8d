# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence in its first line, in the form of SPDX."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("ecoformer", "hw", "golden", "sim", "tests", "benchmarks", "examples")
COMMENT = {".py": "#", ".cpp": "//", ".v": "//"}


def first_lines(path):
    """The first line; the second, too, after a pragma, which Amaranth reads in the first only."""
    lines = path.read_text().splitlines()
    return lines[:2] if lines[0].startswith("# amaranth:") else lines[:1]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_source_file_names_its_licence(folder):
    missing = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in COMMENT and path.read_text()
        if f"{COMMENT[path.suffix]} SPDX-License-Identifier: Apache-2.0" not in first_lines(path)
    ]
    assert not missing, "\n".join(missing)
