# SPDX-License-Identifier: Apache-2.0
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ecoformer.golden.pictures.picture import Unreadable, centre_crop, is_picture, read_picture

RED = (200, 30, 60)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def colour(path, channels=3):
    image = read_picture(path, channels)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
    return np.asarray(image)[2, 3].tolist()


@pytest.mark.parametrize("mode, name", [
    ("RGB", "a.png"), ("RGBA", "a.png"), ("P", "a.png"), ("P", "a.gif"), ("CMYK", "a.tif"),
    ("RGB", "a.bmp"), ("RGB", "a.webp"), ("RGB", "a.jpg"), ("CMYK", "a.jpg"), ("RGB", "a.ppm"),
])
def test_every_kind_gives_its_colours(mode, name, tmp_path):
    image = Image.new("RGB", (8, 6), RED)
    image = image.quantize() if mode == "P" else image.convert(mode)
    path = saved(image, tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    assert np.abs(np.subtract(colour(path), RED)).max() <= 3
    grey = Image.new("RGB", (1, 1), RED).convert("L").getpixel((0, 0))
    assert abs(colour(path, 1) - grey) <= 3


@pytest.mark.parametrize("mode, value, grey", [("L", 90, 90), ("LA", (90, 5), 90), ("1", 1, 255)])
def test_grey_pictures(mode, value, grey, tmp_path):
    path = saved(Image.new(mode, (8, 6), value), tmp_path / "a.png")
    assert colour(path) == [grey] * 3 and colour(path, 1) == grey


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    pixels = np.array([[0, 257, 32_768, 65_535] * 2] * 6, np.uint16)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert np.asarray(read_picture(path, 1))[0, :4].tolist() == [0, 1, 128, 255]
    path = saved(Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="^pixels of more than 16 bits$"):
        read_picture(path)
    path = saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), tmp_path / "b.tif")
    with pytest.raises(Unreadable, match="^pixels are floating-point numbers$"):
        read_picture(path)


def test_transparent_palettes_are_read_without_a_warning(tmp_path):
    image = Image.new("P", (8, 6), 1)
    image.putpalette([0, 0, 0, *RED])
    path = saved(image, tmp_path / "a.png", transparency=b"\x80\x70")
    assert colour(path) == [*RED]


def test_pictures_are_turned_as_exif_says(tmp_path):
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:2] = 255  # the top
    for orientation, side in ((1, "top"), (3, "bottom"), (6, "right"), (8, "left")):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif)
        turned = np.asarray(read_picture(path, 1))
        strips = {"top": turned[0], "bottom": turned[-1], "left": turned[:, 0],
                  "right": turned[:, -1]}
        assert [name for name, strip in strips.items() if strip.min() == 255] == [side]


def test_damaged_pictures_say_why(tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = saved(image, tmp_path / "a.jpg").read_bytes()
    cases = {
        "cut.jpg": whole[: len(whole) // 2], "empty.jpg": b"", "text.png": b"hello",
        "head.png": saved(image, tmp_path / "a.png").read_bytes()[:60],
        "page.jpg": b"<html></html>" * 9,
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable) as error:
            read_picture(tmp_path / name)
        assert str(error.value) and "\n" not in str(error.value)
    for place in range(100, len(whole), 97):  # a picture or a reason, never anything else
        (tmp_path / "b.jpg").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            assert read_picture(tmp_path / "b.jpg").size == (64, 64)
        except Unreadable as error:
            assert str(error)
    with pytest.raises(Unreadable, match="No such file"):
        read_picture(tmp_path / "none.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_picture(tmp_path / "pipe.jpg")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    for side in (10_000, 30_000):  # Pillow warns of the first and refuses the second
        path = saved(Image.new("L", (1, 1)), tmp_path / "bomb.png")
        content = bytearray(path.read_bytes())
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        path.write_bytes(content)
        with pytest.raises(Unreadable, match="decompression bomb"):
            read_picture(path)


def test_centre_crop_is_that_of_published_evaluations():
    # 256 pixels for 224: the shorter side of 500 × 375 becomes 256, the longer 341.
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (375, 500, 3), dtype=np.uint8))
    bicubic = Image.Resampling.BICUBIC
    wanted = np.array(image.resize((341, 256), bicubic))[16:240, 58:282]
    assert np.array_equal(centre_crop(image, 224, 0.875, bicubic), wanted.transpose(2, 0, 1))
    small = image.crop((0, 0, 32, 32))
    assert np.array_equal(
        centre_crop(small, 32, 1.0, bicubic), np.array(small).transpose(2, 0, 1)
    )
    for size in ((1, 90), (90, 1), (3, 2)):
        assert centre_crop(image.resize(size), 24, 0.875, bicubic).shape == (3, 24, 24)
    assert centre_crop(image.convert("L"), 24, 0.9, bicubic).shape == (1, 24, 24)


def test_names_of_pictures():
    assert is_picture("a.JPEG") and is_picture("b.png")
    assert not is_picture("Thumbs.db") and not is_picture("jpg")
