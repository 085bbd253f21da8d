# SPDX-License-Identifier: Apache-2.0
"""A generated engine as its driver sees it: registers, parameters, and tokens as bytes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer.driver.errors import DeviceError

__all__ = ["Design", "Field", "Register", "read_facts"]

BESIDE_PACKETS = ("DENOMINATOR", "SET_REFUSED")
"""Flags of ERRORS that say nothing of a packet."""


@dataclass(frozen=True)
class Field:
    """Bits ``high`` to ``low`` of a register."""

    name: str
    high: int
    low: int

    def get(self, word: int) -> int:
        """Its number in the register value ``word``."""
        return word >> self.low & (1 << (self.high - self.low + 1)) - 1


@dataclass(frozen=True)
class Register:
    """A register of the engine."""

    name: str
    offset: int
    access: str
    reset: int | None
    fields: tuple[Field, ...]


class Design:
    """What ``ecoformer generate`` wrote into a folder about its engine.

    Parameters
    ----------
    folder : path
        Its ``manifest.json``, ``registers.json`` and ``parameters.bin`` are read.

    Members
    -------
    head_dim, value_dim, code_bits, bus_bytes, tuser_width, next_set_depth, max_tokens : int
        As in the configuration.
    registers : dict of str to Register
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        facts = read_facts(self.folder / "manifest.json")
        if "config" not in facts:
            raise DeviceError(
                f"{self.folder}: holds a network, not an engine; use NetworkDevice, or name a "
                "folder that 'ecoformer generate' wrote for an engine"
            )
        config = facts["config"]
        self.head_dim, self.value_dim = config["head_dim"], config["value_dim"]
        self.code_bits, self.bus_bytes = config["code_bits"], config["bus_bytes"]
        self.tuser_width, self.max_tokens = config["tuser_width"], config["max_tokens"]
        if config["queries"] == "cross":
            raise DeviceError(
                f"{self.folder}: the engine's queries come on a stream of their own, which this "
                "driver does not send; send packets to both streams with logic of your own"
            )
        self._hash, self._sides = config["hash"], 2 if config["queries"] == "separate" else 1
        self._token_width, self._value_width = config["token_width"], config["value_width"]
        self._tkeep, self.next_set_depth = config["tkeep"], config["next_set_depth"]
        self._element_bytes = -(-config["output_width"] // 8)
        self.output_fraction = config["output_fraction"]
        self.registers = {
            entry["name"]: Register(
                entry["name"], entry["offset"], entry["access"], entry["reset"],
                tuple(Field(f["name"], f["high"], f["low"]) for f in entry["fields"]),
            )
            for entry in read_facts(self.folder / "registers.json")["registers"]
        }

    @property
    def elements(self) -> int:
        """Elements of a token as it is passed in: those of x or of its code, or of q and k."""
        return self._sides * (self.code_bits if self._hash == "codes" else self.head_dim)

    @property
    def packet_errors(self) -> int:
        """Flags of ERRORS that say that a packet was bad."""
        flags = self.registers["ERRORS"].fields
        return sum(1 << flag.low for flag in flags if flag.name not in BESIDE_PACKETS)

    @property
    def has_null_bytes(self) -> bool:
        """Whether tokens or results have null bytes, by ``tkeep``: their padding to whole beats."""
        key = -(-self.code_bits // 8) if self._hash == "codes" else self.head_dim
        sizes = self._sides * key + self.value_dim, self.value_dim * self._element_bytes
        return self._tkeep and any(size % self.bus_bytes for size in sizes)

    def answer_bytes(self, tokens: int) -> int:
        """Bytes of the results of a sequence of so many tokens."""
        return tokens * self._beats(self.value_dim * self._element_bytes) * self.bus_bytes

    def parameters(self) -> np.ndarray:
        """The words of every set in ``parameters.bin``: uint32 [sets, words, 2]."""
        path = self.folder / "parameters.bin"
        try:
            words = np.fromfile(path, "<u4").reshape(-1, 2)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"{path}: cannot be read ({error}); run 'ecoformer generate' again"
            ) from error
        starts = np.flatnonzero(words[:, 0] == words[0, 0]) if len(words) else np.zeros(0)
        if not len(starts) or len(words) % len(starts):
            raise DeviceError(f"{path}: damaged; run 'ecoformer generate' again")
        return words.reshape(len(starts), -1, 2)

    def pack(self, tokens: np.ndarray, values: np.ndarray) -> bytes:
        """One sequence as whole beats.

        Parameters
        ----------
        tokens : int array [N, elements]
        values : int array [N, E]

        Raises
        ------
        ValueError
            Another shape, or a number that its width does not hold.
        """
        length = len(tokens)
        if tokens.shape != (length, self.elements) or values.shape != (length, self.value_dim):
            raise ValueError(
                f"a sequence must be [N, {self.elements}] tokens and [N, {self.value_dim}] values, "
                f"not {list(tokens.shape)} and {list(values.shape)}"
            )
        if not 1 <= length <= self.max_tokens:
            raise ValueError(f"a sequence must have 1…{self.max_tokens} tokens, not {length}")
        _check_range("values", values, self._value_width)
        if self._hash == "codes":
            if not np.isin(tokens, (-1, 1)).all():
                raise ValueError("codes must be -1 or 1")
            sides = np.split(tokens > 0, self._sides, axis=1)
            fields = [np.packbits(side, axis=1, bitorder="little") for side in sides]
        else:
            _check_range("tokens", tokens, self._token_width)
            fields = [tokens.astype(np.int8).view(np.uint8)]
        raw = np.concatenate([*fields, values.astype(np.int8).view(np.uint8)], axis=1)
        whole = np.zeros((length, self._beats(raw.shape[1]) * self.bus_bytes), np.uint8)
        whole[:, : raw.shape[1]] = raw
        return whole.tobytes()

    def unpack(self, data: bytes) -> np.ndarray:
        """Results of one sequence: int64 [N, E] in units of 2^-``output_fraction``."""
        width = self._element_bytes
        rows = np.frombuffer(data, np.uint8).reshape(-1, self.answer_bytes(1))
        parts = rows[:, : self.value_dim * width].reshape(len(rows), self.value_dim, width)
        whole = (parts.astype(np.int64) << (8 * np.arange(width))).sum(axis=2)
        return whole - (whole >> (8 * width - 1) << (8 * width))

    def _beats(self, count):
        return -(-count // self.bus_bytes)


def read_facts(path: Path) -> dict[str, Any]:
    """The object in a JSON file that ``generate`` wrote; raises `DeviceError` if it cannot."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{path}: cannot be read ({error}); name a folder that 'ecoformer generate' wrote"
        ) from error


def _check_range(what, array, width):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(f"{what} must be {low}…{high}, not {array.min()}…{array.max()}")
