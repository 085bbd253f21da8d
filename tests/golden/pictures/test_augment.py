# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from ecoformer.golden.pictures.augment import augment, erase, random_box
from ecoformer.golden.pictures.config import PictureConfig


def gradient(width, height):
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([columns, rows, rows + columns], -1).astype(np.uint8))


def test_nothing_is_changed_by_default():
    image = gradient(20, 20)
    pixels = augment(image, 20, PictureConfig(), np.random.default_rng(0))
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    assert np.array_equal(pixels, np.array(image).transpose(2, 0, 1))
    assert not PictureConfig().changes_pictures and not PictureConfig(mixup=1).changes_pictures


def test_crops_have_the_published_areas_and_aspects():
    rng = np.random.default_rng(0)
    boxes = [random_box(100, 80, (0.08, 1.0), (3 / 4, 4 / 3), rng) for _ in range(2_000)]
    sizes = np.array([(right - left, lower - upper) for left, upper, right, lower in boxes])
    assert np.min(boxes) >= 0 and (np.max(boxes, 0)[2:] <= (100, 80)).all()
    areas, aspects = sizes.prod(1) / 8_000, sizes[:, 0] / sizes[:, 1]
    assert 0.075 < areas.min() < 0.1 and areas.max() > 0.9
    assert 0.73 < aspects.min() < 0.77 and 1.30 < aspects.max() < 1.37
    assert random_box(100, 1, (1.0, 1.0), (1.0, 1.0), rng) is None


def test_a_picture_too_narrow_for_a_crop_gives_its_middle():
    config = PictureConfig(crop_area=0.99)
    pixels = augment(gradient(120, 8), 8, config, np.random.default_rng(0))
    assert pixels.shape == (3, 8, 8)
    assert pixels[0, 0].tolist() == [*range(56, 64)]


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3)])
def test_everything_at_once_gives_a_picture_of_the_size(mode, channels):
    config = PictureConfig(crop_area=0.08, flip=0.5, randaugment=2, erasing=1.0)
    image = gradient(50, 30).convert(mode)
    for seed in range(30):
        pixels = augment(image, 24, config, np.random.default_rng(seed))
        assert pixels.shape == (channels, 24, 24) and pixels.dtype == np.uint8
        assert np.array_equal(pixels, augment(image, 24, config, np.random.default_rng(seed)))


def test_half_of_the_pictures_are_mirrored():
    image = gradient(16, 16)
    mirrored = 0
    for seed in range(400):
        pixels = augment(image, 16, PictureConfig(flip=0.5), np.random.default_rng(seed))
        mirrored += pixels[0, 0, 0] == 15
    assert 160 < mirrored < 240


def test_erased_rectangles_are_noise_of_the_published_sizes():
    rng = np.random.default_rng(0)
    shares, noise = [], []
    for _ in range(300):
        pixels = np.zeros((3, 40, 40), np.uint8)
        erase(pixels, rng)
        rows, columns = np.nonzero(pixels.any(0))
        box = pixels[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        shares.append(box[0].size / 1_600)
        noise.append(box.mean())
    assert 0.01 < min(shares) < 0.04 and 0.3 < max(shares) < 0.36
    assert 120 < np.mean(noise) < 135


@pytest.mark.parametrize("field, value, text", [
    ("flip", 1.5, "^flip must be 0…1, not 1.5$"),
    ("crop_area", 0, "^crop_area must be 0.001…1, not 0$"),
    ("randaugment", 99, "^randaugment must be 0…15, not 99$"),
    ("randaugment_magnitude", 11, "^randaugment_magnitude must be 0…10, not 11$"),
    ("mixup", -1, "^mixup must be 0…100.0, not -1$"),
])
def test_values_out_of_range_are_refused(field, value, text):
    with pytest.raises(ValueError, match=text):
        PictureConfig(**{field: value})
