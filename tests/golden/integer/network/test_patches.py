# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from ecoformer.golden.integer.network.patches import patches
from tests.golden.integer.network.designs import make_design

SHAPES = [(6, 2, 1), (6, 2, 3), (4, 4, 2), (3, 1, 4), (12, 3, 1)]


def pixels(size, channels, count=2):
    shape = count, channels, size, size
    return np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("size, patch, channels", SHAPES)
def test_a_window_holds_the_pixels_around_a_patch(size, patch, channels):
    design = make_design(image_size=size, patch=patch, channels=channels, cycles_per_token=128)
    images = pixels(size, channels)
    windows = patches(design, images)
    side, kernel = size // patch, 2 * patch - 1
    assert windows.shape == (2, side * side, channels * kernel**2) and windows.dtype == np.int64
    for image, row, column in np.ndindex(2, side, side):
        wanted = []
        for i, j, channel in np.ndindex(kernel, kernel, channels):
            y, x = row * patch - (patch - 1) + i, column * patch - (patch - 1) + j
            inside = 0 <= y < size and 0 <= x < size
            wanted.append(2 * int(images[image, channel, y, x]) - 255 if inside else 0)
        assert windows[image, row * side + column].tolist() == wanted


@pytest.mark.parametrize("size, patch, channels", SHAPES)
def test_products_with_windows_are_the_convolution_of_the_stem(size, patch, channels):
    design = make_design(image_size=size, patch=patch, channels=channels, cycles_per_token=128)
    images, kernel = pixels(size, channels), 2 * patch - 1
    weights = np.random.default_rng(0).integers(-128, 128, (channels * kernel**2, 5))
    tokens = patches(design, images) @ weights
    as_kernel = torch.tensor(weights.reshape(kernel, kernel, channels, 5).transpose(3, 2, 0, 1))
    signed = 2 * torch.tensor(images, dtype=torch.float64) - 255
    wanted = torch.nn.functional.conv2d(
        signed, as_kernel.double(), stride=patch, padding=patch - 1
    )
    assert torch.equal(torch.tensor(tokens).double(), wanted.flatten(2).transpose(1, 2))


def test_other_images_are_refused():
    design = make_design()
    with pytest.raises(TypeError, match="^pixels must be uint8, not int64$"):
        patches(design, pixels(6, 1).astype(np.int64))
    for wrong in (pixels(6, 2), pixels(5, 1), pixels(6, 1)[0]):
        with pytest.raises(ValueError, match=r"^pixels must have shape \[B, 1, 6, 6\], not \["):
            patches(design, wrong)
