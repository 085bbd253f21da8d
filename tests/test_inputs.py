# SPDX-License-Identifier: Apache-2.0
import io
import json
import os
import random
import zipfile

import numpy as np
import pytest

from ecoformer import inputs
from ecoformer.inputs import parse_json, read_arrays, read_bytes, read_text, sealed, unsealed

ARRAYS = {"x": np.arange(6.0).reshape(2, 3), "y": np.arange(4), "z": np.array([True, False])}


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(header, content=b""):
    text = (str(header) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_arrays(path)
    return str(error.value)


def test_arrays_come_back_sealed_or_not(tmp_path):
    for content in (npz(**ARRAYS), sealed(npz(**ARRAYS))):
        (tmp_path / "a.npz").write_bytes(content)
        found = read_arrays(tmp_path / "a.npz")
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype and found[name].flags.writeable


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path):
    whole = sealed(npz(x=np.arange(3)))
    for place in range(0, len(whole) * 8, 7):
        bad = bytearray(whole)
        bad[place // 8] ^= 1 << place % 8
        refusal(tmp_path / "a", bytes(bad))


def test_random_damage_of_any_archive_is_noticed_or_harmless(tmp_path):
    whole, path, harmless = npz(**ARRAYS), tmp_path / "a", 0
    for seed in range(300):
        rng = random.Random(seed)
        bad = bytearray(whole)
        start, count = rng.randrange(len(bad)), rng.randrange(1, 9)
        bad[start : start + count] = rng.randbytes(rng.randrange(0, 9))
        path.write_bytes(bad)
        try:
            found = read_arrays(path)
        except ValueError:
            continue
        harmless += 1
        for name, array in found.items():
            np.testing.assert_array_equal(array, ARRAYS[name])
    assert harmless < 100


@pytest.mark.parametrize(
    "header, content, why",
    [
        ({"descr": "<f8", "fortran_order": False, "shape": (1 << 60,)}, b"", "the bytes of its"),
        ({"descr": "<f8", "fortran_order": False, "shape": (-1,)}, b"", "the bytes of its shape"),
        ({"descr": "|O", "fortran_order": False, "shape": (1,)}, b"\x80" * 8, "holds object, not"),
        ({"descr": "<U4", "fortran_order": False, "shape": (1,)}, b"\0" * 16, "not numbers"),
        ({"descr": [("a", "<i8")], "fortran_order": False, "shape": (1,)}, b"\0" * 8, "not num"),
        ({"descr": "<f8", "fortran_order": False, "shape": (1,)},
         np.array([np.nan]).tobytes(), "not finite"),
        ({"descr": "<f4", "fortran_order": False, "shape": (1,)},
         np.array([np.inf], "<f4").tobytes(), "not finite"),
    ],
)
def test_headers_are_checked_before_memory_is_taken(tmp_path, header, content, why):
    assert why in refusal(tmp_path / "a", archive(x=npy(header, content)))


def test_bombs_and_crowded_archives_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LARGEST", 1 << 20)
    bomb = archive(x=npy({}, bytes(1 << 21)))
    assert len(bomb) < 10_000
    (tmp_path / "a").write_bytes(bomb)
    with pytest.raises(ValueError, match="arrays of .* more than 1,048,576"):
        read_arrays(tmp_path / "a", 1 << 20)
    one = npz(x=np.arange(3))
    for content, why in (
        (b"", "not a whole"), (b"PK", "not a whole"), (b"\0" * 99, "not a whole"),
        (b"before" + one, "before or behind"), (one + b"behind", "before or behind"),
        (archive(**{"x": one}).replace(b"x.npy", b"x.txt"), "not an array"),
    ):
        assert why in refusal(tmp_path / "a", content)
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = io.BytesIO(one)
        with zipfile.ZipFile(twice, "a") as file:
            file.writestr("x.npy", "")
    assert "twice" in refusal(tmp_path / "a", twice.getvalue())


def test_seals():
    assert unsealed(sealed(b"content")) == b"content"
    for bad in (b"", b"content", sealed(b"content")[:-1], sealed(b"content") + b"x",
                sealed(b"content").replace(b"content", b"contenu")):
        with pytest.raises(ValueError, match="checksum"):
            unsealed(bad)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-Infinity", "1e999", '{"a": 1, "a": 2}', "[" * 100_000, "{", ""]
)
def test_json_is_finite_with_every_key_once(text):
    with pytest.raises(ValueError):
        parse_json(text)
    assert parse_json('{"a": [1, 2.5e3, null, "x"]}') == {"a": [1, 2500.0, None, "x"]}


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            read_bytes(path)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(ValueError, match="5 bytes, more than 4"):
        read_bytes(tmp_path / "large", 4)
    assert read_bytes(tmp_path / "large", 5) == b"12345"
    (tmp_path / "text").write_bytes("\ufeffgröße".encode())
    assert read_text(tmp_path / "text") == "größe"
    with pytest.raises(ValueError):
        (tmp_path / "text").write_bytes(json.dumps("größe", ensure_ascii=False).encode("latin-1"))
        read_text(tmp_path / "text")
