# SPDX-License-Identifier: Apache-2.0
"""How benches hold packets: rows and numbers.

A row is a beat, the bytes of ``tdata`` and, where it exists, ``tkeep`` after. A number is what a
packet has beside its beats: its context above bit :data:`TID_SHIFT`, and below what ``tuser`` or
NEXT_SET says.

Bit i of ``tkeep`` is bit i mod 8 of byte ⌊i/8⌋ of what follows the data. Without ``tkeep`` a row is
the beat's data alone.
"""

from __future__ import annotations

import numpy as np

from ecoformer.spec.config import Config
from ecoformer.spec.wire import keeps, pack_outputs

__all__ = [
    "TID_SHIFT", "answer_rows", "data_of", "error_row", "first_mismatch", "keep_bytes", "row_bits",
    "row_bytes", "to_rows",
]

TID_SHIFT = 32
"""Bit of a packet's number from which it is ``tid``; below it is ``tuser``."""


def keep_bytes(config: Config) -> int:
    """Bytes of a row that hold ``tkeep``."""
    return sum(-(-bits // 8) for bits in config.wire.keep_fields.values())


def row_bytes(config: Config) -> int:
    """Bytes of a row."""
    return config.bus_bytes + keep_bytes(config)


def row_bits(config: Config) -> int:
    """Bits of a row as a number, byte 0 the lowest."""
    return 8 * config.bus_bytes + sum(config.wire.keep_fields.values())


def to_rows(config: Config, beats: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Rows of ``beats``, uint8 [n, bus_bytes], with ``tkeep``, bool [n, bus_bytes]."""
    bits = np.packbits(kept, axis=1, bitorder="little")[:, : keep_bytes(config)]
    return np.concatenate([beats, bits], axis=1)


def data_of(config: Config, rows: np.ndarray) -> np.ndarray:
    """The data in rows: uint8 [n, bus_bytes]."""
    return rows[:, : config.bus_bytes]


def first_mismatch(config: Config, rows: np.ndarray) -> int | None:
    """First beat of an input packet whose ``tkeep`` is not that of a token; None without one."""
    right = to_rows(config, data_of(config, rows), keeps(config, config.token_bytes, len(rows)))
    wrong = np.flatnonzero((rows != right).any(axis=1))
    return int(wrong[0]) if len(wrong) else None


def answer_rows(config: Config, outputs: np.ndarray) -> np.ndarray:
    """Rows of ``outputs``, int64 [N, E], as they must be answered."""
    beats = pack_outputs(config, outputs)
    return to_rows(config, beats, keeps(config, config.wire.output_bytes, len(beats)))


def error_row(config: Config) -> np.ndarray:
    """The row of an error, uint8 [1, n]: zeros, all of which are data."""
    shape = 1, config.bus_bytes
    return to_rows(config, np.zeros(shape, np.uint8), np.ones(shape, bool))
