# SPDX-License-Identifier: Apache-2.0
"""Images for a network on the chip, in one checked file."""

from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.files import rendered, write_atomic
from ecoformer.inputs import read_arrays, sealed
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["load_images", "save_images"]

NAME = "images"


def save_images(path: str | Path, pixels: np.ndarray) -> None:
    """Write ``pixels`` uint8 [n, channels, S, S] to the ``.npz`` file ``path``, with a checksum."""
    write_atomic(path, sealed(rendered(lambda file: np.savez_compressed(file, images=pixels))))


def load_images(path: str | Path, design: NetworkDesign) -> np.ndarray:
    """The array ``images`` of the ``.npz`` file ``path``: uint8 [n, channels, S, S].

    Raises
    ------
    EcoformerError
        Missing, damaged, or not images of the network's size.
    """
    path = Path(path)
    if not path.is_file():
        raise EcoformerError(f"{path}: no such images; leave out -w or write them")
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise EcoformerError(f"{path}: damaged images ({error}); make them again") from error
    if arrays.keys() != {NAME}:
        raise EcoformerError(
            f"{path}: must hold one array, {NAME}, not {', '.join(sorted(arrays)) or 'none'}; "
            "write them with numpy.savez_compressed(path, images=…)"
        )
    pixels = arrays[NAME]
    wanted = (design.channels, design.image_size, design.image_size)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted or not len(pixels):
        shape = ", ".join(map(str, wanted))
        raise EcoformerError(
            f"{path}: images must be uint8 [n, {shape}] for this network, n ≥ 1, not "
            f"{pixels.dtype} {list(pixels.shape)}; make them again"
        )
    return pixels
