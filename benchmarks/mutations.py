# SPDX-License-Identifier: Apache-2.0
"""Random damage to files: of bytes, of text, and of arrays whose checksum stays as it was."""

import io
import random
import re
from collections.abc import Callable, Sequence

import numpy as np

from ecoformer.inputs import SEAL_BYTES

__all__ = ["BYTES", "TEXT", "Mutation", "arrays_of", "flip_bit", "image_of", "tensors_of"]

Mutation = Callable[[bytes, random.Random], bytes]
"""Other bytes, made of a file's."""

NUMBER = re.compile(rb"(?<![\w.])-?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
NUMBERS = (
    b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"-1", b"0", b"1e308", b"1e999", b"-1e308",
    b"9" * 20, b"9" * 400, b"9" * 5000, b"-" + b"9" * 30, b"2.5", b"true", b'"x"', b"[]",
    b"1" + b"_0" * 12, b"0x7fffffffffffffff", b"4294967296", b"1000000",
)
"""What a number may be replaced by."""
LONGEST = 16
"""Bytes that come or go at once."""


def flip_bit(data: bytes, rng: random.Random) -> bytes:
    place, found = rng.randrange(len(data) * 8), bytearray(data)
    found[place // 8] ^= 1 << place % 8
    return bytes(found)


def _delete(data, rng):
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, LONGEST) :]


def _insert(data, rng):
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.randint(1, LONGEST)) + data[start:]


def _truncate(data, rng):
    return data[: rng.randrange(len(data))]


def _overwrite(data, rng):
    start, count = rng.randrange(len(data)), rng.randint(1, LONGEST)
    fill = rng.choice((b"\0", b"\xff", rng.randbytes(1)))
    return data[:start] + fill * count + data[start + count :]


def _swap(data, rng):
    size = rng.randint(1, max(1, min(64, len(data) // 3)))
    one = rng.randrange(len(data) - 2 * size + 1) if len(data) > 2 * size else 0
    two = rng.randint(one + size, max(one + size, len(data) - size))
    middle = data[one + size : two]
    return data[:one] + data[two : two + size] + middle + data[one : one + size] + data[
        two + size :]


BYTES: tuple[Mutation, ...] = (flip_bit, _delete, _insert, _truncate, _overwrite, _swap)


def _tokens(data, rng):
    tokens = re.split(rb"(\W+)", data)
    if len(tokens) > 3:
        one, two = rng.sample(range(0, len(tokens), 2), 2)
        tokens[one], tokens[two] = tokens[two], tokens[one]
    return b"".join(tokens)


def _number(data, rng):
    found = list(NUMBER.finditer(data))
    if not found:
        return _overwrite(data, rng)
    chosen = rng.choice(found)
    return data[: chosen.start()] + rng.choice(NUMBERS) + data[chosen.end() :]


def _drop_line(data, rng):
    lines = data.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _double_line(data, rng):
    lines = data.splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


TEXT: tuple[Mutation, ...] = (
    *BYTES, _tokens, _number, _number, _number, _drop_line, _double_line,
)


def _altered(arrays, rng):
    """One array of ``arrays`` changed, dropped, renamed, or put in the place of another."""
    name = rng.choice(sorted(arrays))
    array = np.array(arrays[name])
    kind = rng.randrange(6)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[f"{name}_"] = arrays.pop(name)
    elif kind == 2:
        other = rng.choice(sorted(arrays))
        arrays[name], arrays[other] = arrays[other], arrays[name]
    elif kind == 3:
        arrays[name] = array.reshape(-1)[:-1]
    elif array.size:
        value = rng.choice((np.nan, np.inf, -1, 0, 127, 1e30))
        wide = array.astype(float) if not np.isfinite(value) else array.copy()
        with np.errstate(invalid="ignore"):
            wide.reshape(-1)[rng.randrange(array.size)] = min(value, 2**62)
        arrays[name] = wide
    return arrays


def arrays_of(data: bytes, rng: random.Random) -> bytes:
    """Changes an array of a sealed ``.npz`` file, whose seal stays."""
    with np.load(io.BytesIO(data)) as file:
        arrays = _altered({name: file[name] for name in file.files}, rng)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue() + data[-SEAL_BYTES:]


def image_of(data: bytes, rng: random.Random) -> bytes:
    """Changes an array of a ``.safetensors`` file; its metadata stay."""
    import json

    from safetensors.numpy import load, save

    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    arrays = {k: np.ascontiguousarray(v) for k, v in _altered(load(data), rng).items()}
    return save(arrays, metadata)


def tensors_of(data: bytes, rng: random.Random) -> bytes:
    """Changes a tensor somewhere in a sealed torch file, whose seal stays."""
    import torch

    content = torch.load(io.BytesIO(data), weights_only=True)
    holder, key = rng.choice(list(_tensors(content)))
    kind = rng.randrange(4)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1:
        holder[key] = holder[key].reshape(-1)[:-1].clone()
    elif holder[key].is_floating_point():
        changed = holder[key].clone()
        changed.reshape(-1)[0] = rng.choice((float("nan"), float("inf"), -1e30, 1.0))
        holder[key] = changed
    else:
        holder[key] = holder[key] + 1
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue() + data[-SEAL_BYTES:]


def _tensors(content):
    import torch

    items: Sequence = ()
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        if isinstance(value, torch.Tensor):
            if value.numel():
                yield content, key
        else:
            yield from _tensors(value)
