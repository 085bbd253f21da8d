# SPDX-License-Identifier: Apache-2.0
"""The folder of a network that ``generate --network`` wrote, read back and checked."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer import files
from ecoformer.errors import EcoformerError
from ecoformer.inputs import parse_json, read_bytes
from ecoformer.outputs import read_record
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.pixels import load_images

__all__ = [
    "DESIGN", "IMAGES", "KIND", "MARK", "NetworkFolder", "PARAMETERS", "is_network", "refuse",
]

MARK = "manifest.json"
KIND = "network"
"""What the manifest of a network has as its ``kind``; that of an engine has none."""
DESIGN = "network.toml"
PARAMETERS = "network.safetensors"
IMAGES = "vectors/images.npz"


@dataclass(frozen=True)
class NetworkFolder:
    """A folder that ``generate --network`` wrote.

    Parameters
    ----------
    folder : Path
    design : NetworkDesign
    image : NetworkImage
    manifest : dict
    verilog : Path
    builds : Path or None
        ``--build-dir``.
    """

    folder: Path
    design: NetworkDesign
    image: NetworkImage
    manifest: dict[str, Any]
    verilog: Path
    builds: Path | None = None

    @classmethod
    def load(cls, folder: str | Path, builds: Path | None = None) -> "NetworkFolder":
        """Read the network in ``folder``; its Verilog may have been edited, the rest must be whole.

        Raises `EcoformerError` if there is none, or if it is damaged.
        """
        folder = Path(folder)
        manifest = read_record(folder, MARK, "generate --network", (DESIGN, PARAMETERS))
        design = NetworkDesign.load(folder / DESIGN)
        image = NetworkImage.load(folder / PARAMETERS, design)
        verilog = sorted((folder / "rtl").glob("*.v"))
        if len(verilog) != 1:
            raise EcoformerError(
                f"{folder / 'rtl'}: {len(verilog)} Verilog files, not 1; generate again"
            )
        return cls(folder, design, image, manifest, verilog[0], builds)

    @property
    def fingerprint(self) -> str:
        """Of the design."""
        return self.design.fingerprint

    @property
    def build_dir(self) -> Path:
        """Folder of simulator builds, which are kept by content: ``--build-dir``, or the cache."""
        return self.builds or files.cache_folder("builds")

    def pixels(self, path: Path | None = None) -> np.ndarray:
        """The images at ``path``, or else the network's own: uint8 [n, channels, S, S]."""
        return load_images(path or self.folder / IMAGES, self.design)


def is_network(folder: str | Path) -> bool:
    """Whether ``folder`` holds a network, by its manifest; a damaged one is for its reader."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return parse_json(read_bytes(Path(folder) / MARK)).get("kind") == KIND
    return False


def refuse(options: dict[str, object], instead: str) -> None:
    """Refuse ``options`` that are given, by name, because they mean nothing for a network.

    Parameters
    ----------
    options : dict
        Name to value; whatever is false is not given.
    instead : str
        What to do.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise EcoformerError(f"{', '.join(given)}: not for a whole network; {instead}")
