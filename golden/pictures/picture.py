# SPDX-License-Identifier: Apache-2.0
"""One picture of a file, whatever its kind: decoded, upright, 8 bits, grey or RGB."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ecoformer.errors import first_line
from ecoformer.inputs import read_bytes

__all__ = ["SUFFIXES", "Unreadable", "centre_crop", "is_picture", "read_picture"]

SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)
"""Ends of the names of pictures, in lower case."""
LARGEST = 1 << 28
"""Most bytes of a file."""
MODES = {1: "L", 3: "RGB"}
"""Pillow's name of the pixels, by channels."""


class Unreadable(ValueError):
    """A file that gives no picture; the text is the reason."""


def read_picture(path: str | os.PathLike, channels: int = 3) -> Image.Image:
    """The picture in ``path``, turned as its EXIF data say.

    Palettes, CMYK, transparency (dropped) and 16 bits (scaled) become 8 bits per channel; of an
    animation the first frame is taken.

    Parameters
    ----------
    path : path
    channels : int
        3: RGB; 1: grey.

    Raises
    ------
    Unreadable
        No picture, damaged, cut off, or of more than some 89 megapixels, Pillow's bound against
        files that grow when they are unpacked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of EXIF data that are not as they should be
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(read_bytes(path, LARGEST)))
            image.load()
            return _converted(_upright(image), MODES[channels])
        except OSError as error:
            raise Unreadable(error.strerror or first_line(error)) from error
        except Exception as error:  # whatever Pillow's decoders raise on damaged files
            raise Unreadable(first_line(error)) from error


def centre_crop(
    image: Image.Image, side: int, ratio: float, resampling: Image.Resampling
) -> np.ndarray:
    """The middle of ``image``, as networks are evaluated: uint8 [channels, side, side].

    Its shorter side is resized to ``side / ratio``; then the middle is cut out.
    """
    width, height = image.size
    shorter = max(side, int(side / ratio))
    scale = shorter / min(width, height)
    width, height = max(shorter, int(width * scale)), max(shorter, int(height * scale))
    if image.size != (width, height):
        image = image.resize((width, height), resampling)
    left, top = round((width - side) / 2), round((height - side) / 2)
    cut = np.array(image.crop((left, top, left + side, top + side)))
    return np.ascontiguousarray(cut.reshape(side, side, -1).transpose(2, 0, 1))


def is_picture(name: str) -> bool:
    """Whether a file of this name should be a picture."""
    return Path(name).suffix.lower() in SUFFIXES


def _upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data do not say how a picture is turned
        return image


def _converted(image, mode):
    if image.mode.startswith("I"):
        pixels = np.asarray(image, np.int64)
        if pixels.min() < 0 or pixels.max() >= 1 << 16:
            raise Unreadable("pixels of more than 16 bits")
        image = Image.fromarray(((pixels * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.mode == "F":
        raise Unreadable("pixels are floating-point numbers")
    if image.mode == "P":
        image = image.convert("RGBA")
    return image.convert(mode)
