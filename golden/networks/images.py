# SPDX-License-Identifier: Apache-2.0
"""Images that networks are calibrated with: a user's own, or synthetic ones."""

from pathlib import Path

import numpy as np
import torch

from ecoformer.errors import EcoformerError, first_line

__all__ = ["read_images", "synthetic_images"]


def synthetic_images(count: int, side: int, seed: int = 0) -> torch.Tensor:
    """Coloured noise with the spectrum of photographs, amplitude falling as 1 / frequency.

    Returns
    -------
    uint8 Tensor [count, 3, side, side]
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / side)
    noise = np.fft.rfft2(rng.standard_normal((count, 3, side, side))) * amplitude
    # Colours of a photograph go together.
    noise = 0.7 * noise[:, :1] + 0.3 * noise
    waves = np.fft.irfft2(noise, (side, side))
    waves -= waves.mean((2, 3), keepdims=True)
    waves /= np.maximum(waves.std((2, 3), keepdims=True), 1e-12)
    return torch.from_numpy(np.clip(np.rint(127.5 + 60 * waves), 0, 255).astype(np.uint8))


def read_images(path: str | Path, count: int) -> torch.Tensor:
    """The first ``count`` images of an ``.npz`` file: uint8 Tensor [n, 3, height, width].

    Parameters
    ----------
    path : path
        Its array ``images`` is uint8 [n, 3, height, width].

    Raises
    ------
    EcoformerError
        No such file, or no such array.
    """
    path = Path(path)
    if not path.is_file():
        raise EcoformerError(f"{path}: no such file; give an .npz with an array 'images'")
    try:
        with np.load(path) as file:
            images = file["images"]
    except Exception as error:  # whatever numpy and zipfile raise on a damaged file
        raise EcoformerError(
            f"{path}: not an .npz with an array 'images' ({first_line(error)})"
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or not images.size:
        raise EcoformerError(
            f"{path}: images must be uint8 [n, 3, height, width], not {images.dtype} "
            f"{list(images.shape)}"
        )
    return torch.from_numpy(images[:count])
