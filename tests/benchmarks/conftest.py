# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
from argparse import Namespace

import pytest

from benchmarks.results.records import Records
from benchmarks.results.section import Measurement

FILES = {
    ".gitignore": "build/\n",
    "pyproject.toml": '[tool.setuptools.package-dir]\n"ecoformer.hw" = "hw"\n',
    "benchmarks/speed.py": (
        '"""Speed."""\nfrom ecoformer.hw.lane import LANES\nfrom ecoformer.limits import LIMIT\n'
    ),
    "hw/lane.py": "LANES = 4\n",
    "ecoformer/limits.py": 'LIMIT = 1\n"""The most."""\n',
    "ecoformer/preset.toml": "[engine]\nlanes = 4\n",
    "tests/digests.json": json.dumps({"preset k16": {"verilog": "aa"}}),
    "docs/results/speed.md": "# Speed\n\nHow fast.\n",
}


class Checkout:
    """A small repository with one benchmark."""

    def __init__(self, root):
        self.root = root
        self.records = Records(root)
        self.git("init", "-q")
        for path, text in FILES.items():
            self.write(path, text)
        self.commit()

    def git(self, *arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(command, cwd=self.root, check=True)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "Change")

    def measurement(self, **options):
        options = Namespace(**{"dry_run": False, "seed": 0, **options})
        return Measurement(options, "benchmarks.speed", ["--fast"], self.records)

    def measure(self, rows=(("k16", 3),), **details):
        self.measurement().write_section(
            "speed", "all", "All engines", ["engine", "speed"], rows, headline="k16: 3", **details
        )


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)
