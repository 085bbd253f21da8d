# SPDX-License-Identifier: Apache-2.0
"""The workload: the sequences that stream through an engine, in one checked file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.files import rendered, write_atomic
from ecoformer.inputs import read_arrays, sealed
from ecoformer.spec.arithmetic import signed_range

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = ["Workload", "Sequence"]

Sequence = tuple[Any, ...]
"""Parameter set, tokens [N, D] and values [N, E] of one packet; queries [M, D] where they come by
themselves. The arguments of ``golden.integer.attention.attend`` after the image."""


_DEFAULT: Any = None
"""Default of an array that need not be there."""
OPTIONAL = {"contexts": 0, "begins": 1}
"""Arrays that came later, and what they hold in a workload without them."""
OF_QUERIES = ("query_lengths", "queries")
"""Arrays of a workload whose queries come by themselves, and of no other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Sequences in the order of sending, one packet each.

    Parameters
    ----------
    sets : int64 array [S]
        Parameter set of each sequence.
    lengths : int64 array [S]
        Tokens of each sequence.
    tokens : int64 array [T, D]
        Tokens of all sequences, concatenated; T is the sum of ``lengths``. With
        ``hash = "codes"`` their codes instead, ±1 [T, b]. With separate queries q and k of every
        token side by side, [T, 2D] or [T, 2b].
    values : int64 array [T, E]
        Values of the same tokens.
    contexts : int64 array [S]
        Context of each sequence; 0 by default.
    begins : int64 array [S]
        1 where the sequence begins its context, the default; 0 where it goes on with it.
    query_lengths : int64 array [S] or None
        Queries of each sequence, with ``queries = "cross"``; then ``tokens`` are the keys alone.
    queries : int64 array [Q, D] or None
        Queries of all sequences, concatenated, or their codes [Q, b].
    """

    sets: np.ndarray
    lengths: np.ndarray
    tokens: np.ndarray
    values: np.ndarray
    contexts: np.ndarray = _DEFAULT
    begins: np.ndarray = _DEFAULT
    query_lengths: np.ndarray = _DEFAULT
    queries: np.ndarray = _DEFAULT

    def __post_init__(self) -> None:
        for name, value in OPTIONAL.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(self.sets.shape, value, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def answers(self) -> np.ndarray:
        """Tokens of the answer to each sequence: int64 [S]."""
        return self.lengths if self.query_lengths is None else self.query_lengths

    def sequences(self) -> Iterator[Sequence]:
        """Yield ``(set, tokens [N, D], values [N, E])`` of every sequence, and its queries."""
        cuts = np.cumsum(self.lengths)[:-1]
        parts = [np.split(array, cuts) for array in (self.tokens, self.values)]
        if self.queries is not None:
            parts.append(np.split(self.queries, np.cumsum(self.query_lengths)[:-1]))
        yield from zip(self.sets.tolist(), *parts, strict=True)

    @classmethod
    def from_sequences(cls, sequences: Iterable[Sequence], **others: np.ndarray) -> Self:
        """Collect ``(set, tokens [N, D], values [N, E])`` of sequences; at least one.

        With a fourth member, its queries [M, D], of each. ``others`` are ``contexts`` and
        ``begins``.
        """
        sequences = list(sequences)
        if not sequences:
            raise ValueError("A workload must have at least one sequence, not 0")
        sets, tokens, values, *queries = zip(*sequences, strict=True)
        for asked in queries:
            others |= {"query_lengths": _lengths(asked), "queries": _joined(asked)}
        return cls(
            sets=np.array(sets, dtype=np.int64), lengths=_lengths(tokens), tokens=_joined(tokens),
            values=_joined(values), **others,
        )

    def check(self, config: Config) -> None:
        """Refuse shapes and values that do not fit ``config``.

        Raises
        ------
        ValueError
            Names the array and the rule that it breaks.
        """
        c, total = config, int(self.lengths.sum()) if self.lengths.ndim == 1 else 0
        shapes = {
            "lengths": (len(self.sets),),
            "sets": (len(self.lengths),),
            "tokens": (total, c.wire.inlets[0].elements),
            "values": (total, c.value_dim),
            "contexts": (len(self.lengths),),
            "begins": (len(self.lengths),),
        }
        limits = {
            "lengths": (1, c.max_tokens),
            "sets": (0, c.parameter_sets - 1),
            "tokens": c.family.token_range,
            "values": signed_range(c.value_width),
            "contexts": (0, c.contexts - 1),
            "begins": (1 - c.wire.begin_bits, 1),
        }
        for inlet in c.wire.inlets[1:]:
            asked = 0 if self.query_lengths is None else int(self.query_lengths.sum())
            shapes |= {"query_lengths": (len(self.sets),), "queries": (asked, inlet.elements)}
            limits |= {"query_lengths": limits["lengths"], "queries": limits["tokens"]}
        for name in OF_QUERIES:
            if (getattr(self, name) is None) is (name in shapes):
                rule = "be there" if name in shapes else "be absent"
                raise ValueError(f"{name} must {rule} with queries = {c.queries!r}")
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.dtype != np.int64:
                raise ValueError(f"{name} must be int64, not {array.dtype}")
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
            if not array.size:
                raise ValueError(f"{name} must not be empty")
            low, high = limits[name]
            if array.min() < low or array.max() > high:
                raise ValueError(
                    f"{name} must be {low}…{high}, not {array.min()}…{array.max()}"
                )
        for name in ("tokens", *(name for name in OF_QUERIES[1:] if name in shapes)):
            c.family.check_tokens(getattr(self, name))

    def save(self, path: str | Path) -> None:
        """Write the workload to the ``.npz`` file ``path``, atomically and with a checksum."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        write_atomic(path, sealed(rendered(lambda file: np.savez_compressed(file, **arrays))))

    @classmethod
    def load(cls, path: str | Path, config: Config) -> Self:
        """Read the workload at ``path``; check that it is intact and fits ``config``.

        Raises
        ------
        EcoformerError
            Missing, damaged, or made for another configuration.
        """
        path = Path(path)
        if not path.is_file():
            raise EcoformerError(f"{path}: no such workload; leave out -w or run 'generate'")
        names = {f.name for f in fields(cls)}
        try:
            arrays = read_arrays(path)
        except ValueError as error:
            raise EcoformerError(f"{path}: damaged workload ({error}); make it again") from error
        if wrong := (arrays.keys() ^ names) - ({*OPTIONAL, *OF_QUERIES} - arrays.keys()):
            raise EcoformerError(
                f"{path}: not a workload (missing or unknown arrays: {', '.join(sorted(wrong))}); "
                "make it again"
            )
        workload = cls(**arrays)
        try:
            workload.check(config)
        except (TypeError, ValueError) as error:
            raise EcoformerError(
                f"{path}: workload does not fit the configuration ({error}); make it again"
            ) from error
        return workload


def _lengths(arrays):
    return np.array([len(array) for array in arrays], dtype=np.int64)


def _joined(arrays):
    return np.concatenate(arrays).astype(np.int64)
