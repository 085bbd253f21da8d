# SPDX-License-Identifier: Apache-2.0
"""The folder of a network that ``generate --network`` wrote, read back and checked."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoformer import files
from ecoformer.errors import EcoformerError
from ecoformer.inputs import parse_json, read_bytes
from ecoformer.outputs import read_record
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design, load_design
from ecoformer.spec.network.pixels import load_images
from ecoformer.spec.network.tape import Tape

if TYPE_CHECKING:
    from ecoformer.sim.network.subjects import Stimuli

__all__ = [
    "DESIGN", "IMAGES", "KIND", "MARK", "NetworkFolder", "PACKET", "PARAMETERS", "TOKENS",
    "is_network", "load_stimuli", "refuse", "stimuli_file",
]

MARK = "manifest.json"
KIND = "network"
"""What the manifest of a network has as its ``kind``; that of an engine has none."""
DESIGN = "network.toml"
PARAMETERS = "network.safetensors"
PACKET = "parameters.bin"
"""The same as a parameter packet, where it can be loaded."""
IMAGES = "vectors/images.npz"
TOKENS = "vectors/tokens.npz"


@dataclass(frozen=True)
class NetworkFolder:
    """A folder that ``generate --network`` wrote.

    Parameters
    ----------
    folder : Path
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
    manifest : dict
    verilog : Path
    builds : Path or None
        ``--build-dir``.
    """

    folder: Path
    design: Design
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
        design = load_design(folder / DESIGN)
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

    def stimuli(self, path: Path | None = None) -> "Stimuli":
        """The images or tokens at ``path``, or else the network's own."""
        return load_stimuli(path or self.folder / stimuli_file(self.design), self.design)


def stimuli_file(design: Design | None) -> str:
    """Name of the images or tokens in the folder of a network."""
    return TOKENS if isinstance(design, DecoderDesign) else IMAGES


def load_stimuli(path: str | Path, design: Design) -> "Stimuli":
    """The images in the file ``path`` if ``design`` is a vision transformer, else the tokens.

    Raises `EcoformerError` if it is missing, damaged, or not for this network.
    """
    if isinstance(design, DecoderDesign):
        return Tape.load(path, design)
    return load_images(path, design)


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
