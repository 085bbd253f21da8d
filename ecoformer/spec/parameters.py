# SPDX-License-Identifier: Apache-2.0
"""The parameter image: everything the hardware needs per set, as integers, in one checked file."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ecoformer.spec.array_file import ArrayFile

if TYPE_CHECKING:
    from ecoformer.spec.bounds import Bounds
    from ecoformer.spec.config import Config
    from ecoformer.spec.sides import Side

__all__ = [
    "ParameterImage", "FORMAT_VERSION", "HOST_ARRAYS", "SIDE_ARRAYS", "host_arrays",
    "integer_arrays",
]

FORMAT_VERSION = 2
FILE = ArrayFile("parameter image", FORMAT_VERSION, "configuration")

HOST_ARRAYS: dict[str, type] = {
    "value_scale": np.float32, "token_scale": np.float32, "unit_tokens": np.int64
}
"""What only the host needs, one number per set, and its type; not on the chip."""
SIDE_ARRAYS = (
    "anchors", "bias", "shift", "projection", "threshold", "token_scale", "unit_tokens"
)
"""Arrays that separate queries have of their own, by names that begin with ``query_``."""
_ABSENT: Any = None
"""Default of an array that need not be there."""


@dataclass(frozen=True, kw_only=True)
class ParameterImage:
    """Integer parameters of ``sets`` heads, stacked along the first axis.

    An array that neither the hash family nor the dataflow uses is None. Of :data:`SIDE_ARRAYS`
    separate queries have a second one each, ``query_anchors`` for instance.

    Parameters
    ----------
    anchors : int64 array [sets, m, D]
        ``rbf``: scaled anchors, ``2^a/σ · a_j`` rounded to weights.
    bias : int64 array [sets, m]
        ``rbf``: kernel argument of an orthogonal token, in steps of 1/256.
    shift : int64 array [sets]
        ``rbf``: right shift from scaled cosine to kernel argument. ``none``: from a difference of
        scores, times ``scale``, to a kernel argument.
    scale : int64 array [sets]
        ``none``: see ``shift``.
    projection : int64 array [sets, b, m]
        ``rbf``: rows of A, each scaled to weights. ``linear``: the matrix W, [sets, b, D].
        ``hadamard``: signs ±1 of every rotation, [sets, ⌈b/P⌉, D], where P is the smallest power
        of two of at least D.
    threshold : int64 array [sets, b]
        h_r = +1 where the projection on row r is ≥ threshold[r]; ``rbf`` holds the mean kernel
        vector μ here.
    offset : int64 array [sets]
        C = round(c·2^g). Not for ``none``.
    value_scale : float32 array [sets]
        For the host only: a value is ``v ≈ value_scale · v_int``.
    token_scale : float32 array [sets]
        For the host only: a token is ``x ≈ token_scale · x_int``. 0, the default, scales every
        token to its own full range, because the hash does not see its length.
    unit_tokens : int64 array [sets]
        For the host only: 1 where the token is first divided by its length; 0 by default.
    """

    anchors: np.ndarray = _ABSENT
    bias: np.ndarray = _ABSENT
    shift: np.ndarray = _ABSENT
    scale: np.ndarray = _ABSENT
    projection: np.ndarray = _ABSENT
    threshold: np.ndarray = _ABSENT
    offset: np.ndarray = _ABSENT
    value_scale: np.ndarray
    token_scale: np.ndarray = _ABSENT
    unit_tokens: np.ndarray = _ABSENT
    query_anchors: np.ndarray = _ABSENT
    query_bias: np.ndarray = _ABSENT
    query_shift: np.ndarray = _ABSENT
    query_projection: np.ndarray = _ABSENT
    query_threshold: np.ndarray = _ABSENT
    query_token_scale: np.ndarray = _ABSENT
    query_unit_tokens: np.ndarray = _ABSENT

    def __post_init__(self) -> None:
        for name, kind in HOST_ARRAYS.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(self.sets, dtype=kind))

    @classmethod
    def of(cls, config: Config, **arrays: np.ndarray) -> Self:
        """An image for ``config`` of these arrays; what only the host needs is 0 if left out."""
        sets = len(arrays["value_scale"])
        host: dict[str, np.ndarray] = {
            name: np.zeros(sets, dtype=kind) for name, kind in host_arrays(config).items()
        }
        return cls(**host | arrays)

    @property
    def sets(self) -> int:
        """Number of parameter sets in the image."""
        return len(self.value_scale)

    def side(self, side: Side) -> Self:
        """The image with the arrays of one side alone, by their names without its prefix."""
        own = {name: getattr(self, side.prefix + name) for name in SIDE_ARRAYS}
        queries = {f"query_{name}": None for name in SIDE_ARRAYS}
        return replace(self, **queries | own)

    def check(self, config: Config) -> None:
        """Refuse shapes and values that do not fit ``config``.

        Raises
        ------
        ValueError
            Names the array and the rule that it breaks.
        """
        rules, host = integer_arrays(config), host_arrays(config)
        if not 1 <= self.sets <= config.parameter_sets:
            raise ValueError(f"sets must be 1…{config.parameter_sets}, not {self.sets}")
        modes = f"hash = {config.hash!r} and queries = {config.queries!r}"
        if unused := self.arrays().keys() - rules.keys() - host.keys():
            raise ValueError(f"{', '.join(sorted(unused))} must be absent with {modes}")
        for name, bounds in rules.items():
            array = getattr(self, name)
            if array is None:
                raise ValueError(f"{name} must be there with {modes}")
            bounds.stacked(self.sets).check(name, array)
        for name, kind in host.items():
            array = getattr(self, name)
            if array is None:
                raise ValueError(f"{name} must be there with {modes}")
            if array.shape != (self.sets,):
                raise ValueError(f"{name} must have shape {(self.sets,)}, not {array.shape}")
            if array.dtype != kind:
                raise ValueError(f"{name} must be {kind.__name__}, not {array.dtype}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, not {array}")
        for side in config.sides.all:
            scales, units = (side.prefix + name for name in ("token_scale", "unit_tokens"))
            if (getattr(self, scales) < 0).any():
                raise ValueError(f"{scales} must be at least 0, not {getattr(self, scales)}")
            if not np.isin(getattr(self, units), (0, 1)).all():
                raise ValueError(f"{units} must be 0 or 1, not {getattr(self, units)}")

    def save(self, path: str | Path, config: Config) -> None:
        """Write the image for ``config`` atomically; the checksum covers every array."""
        self.check(config)
        FILE.save(path, self.arrays(), config.bits_fingerprint)

    @classmethod
    def load(cls, path: str | Path, config: Config) -> Self:
        """Read the image at ``path``; check that it is intact and fits ``config``.

        Raises
        ------
        EcoformerError
            Missing, damaged, newer, or made for another configuration.
        """
        names = {*integer_arrays(config), *host_arrays(config)}
        image = cls(**FILE.load(path, config.bits_fingerprint, names))
        try:
            image.check(config)
        except (TypeError, ValueError) as error:
            raise FILE.misfit(path, error) from error
        return image

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that are present, by name."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: array for name, array in arrays.items() if array is not None}


def integer_arrays(config: Config) -> dict[str, Bounds]:
    """Every integer array that must be there, with the bounds of one set."""
    return {**config.flow.parameters, **config.sides.named(config.family.parameters)}


def host_arrays(config: Config) -> dict[str, type]:
    """:data:`HOST_ARRAYS` of every side."""
    of_tokens = {name: kind for name, kind in HOST_ARRAYS.items() if name in SIDE_ARRAYS}
    return HOST_ARRAYS | config.sides.named(of_tokens)
