# SPDX-License-Identifier: Apache-2.0
"""What all packages have in common: their names, paths and bytes."""

import re

from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.emit.packages.files import package_files, package_paths


def test_the_same_configuration_gives_the_same_bytes(design):
    again = package_files(design.config, manifest(design.config, "my_engine"))
    assert [*again] == package_paths("my_engine")
    for path, text in again.items():
        assert (design.folder / path).read_text() == text
        assert text.isascii() and text.endswith("\n") and not text.endswith("\n\n")
        assert not re.search(r"/tmp|/home|@[A-Z]+@", text), "a path of this machine, or a word"


def test_every_file_is_named_after_the_engine(generated):
    """Two engines in one flow never collide, but where a tool prescribes the name."""
    other = package_files(generated("plain").config, manifest(generated("plain").config, "other"))
    assert not any("my_engine" in text for text in other.values())
