# SPDX-License-Identifier: Apache-2.0
"""The shape of float attention, and where a configuration file gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecoformer.errors import EcoformerError
from ecoformer.golden.hashing import BANDWIDTHS, HASHES, LARGEST, TIES, Hash, KernelHash
from ecoformer.golden.kinds import engine_kind
from ecoformer.golden.weights import FLOAT, ROUNDINGS
from ecoformer.spec.checks import check_choice, check_number
from ecoformer.spec.choices import Mask
from ecoformer.spec.config import SAME_IMAGE, Config
from ecoformer.spec.config_file import read_table, read_toml

__all__ = [
    "AttentionConfig", "IN_HARDWARE", "LEARNED", "NO_HARDWARE", "QUERIES", "RELEASED",
    "VALUE_TERMS", "read_attention",
]

IN_HARDWARE = ("code_bits", "hash", "weights", "anchors", "value_term", "queries")
"""Fields that attention in hardware has too."""
QUERIES = ("shared", "separate")
"""Whether queries and keys are the same tokens and codes (paper), or have hashes of their own."""
VALUE_TERMS = ("sum", "own")
"""What the offset multiplies in the numerator: all values (paper) or v_i (released code)."""
LEARNED = "self"
"""Kind of attention of the networks of this version: their tokens attend to all of a sequence."""
NO_HARDWARE = {
    ("weights", FLOAT): "an engine stores int8, pow2 or ternary weights",
    ("tie", "zero"): "a code bit of an engine is -1 or +1, and a tie is +1",
    ("bandwidth", "per-sequence"): "an engine hashes a token before it has seen the whole sequence",
}
"""What only float attention has, by field and value, and why."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Shape of EcoFormer attention.

    Parameters
    ----------
    code_bits : int
        Bits b of a code.
    hash : str
        ``rbf``, the kernelized hash of the paper, ``linear``, or ``hadamard``, a random rotation.
    weights : str
        What the matrices of the hash may hold: ``int8``, ``pow2`` or ``ternary``; or ``float``,
        nothing rounded, which is never exported. It says nothing of ``hadamard``.
    anchors : int
        Support samples m of the kernelized hash.
    normalise : bool
        Whether a linear hash sees tokens of unit length; ``rbf`` always does.
    queries : str
        ``shared`` (paper) or ``separate``.
    value_term : str
        ``sum`` (paper) or ``own`` (released code).
    offset : float
        Offset c of the attention weights; 0 stands for b + 1, the released choice, which keeps
        every weight positive.
    tie : str
        Code bit where a projection is exactly 0: ``positive`` (hardware) or ``zero`` (released
        code).
    bandwidth : str
        σ of the kernelized hash: ``calibrated`` once per head (hardware), or ``per-sequence``, at
        inference too (released code).

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    code_bits: int = 16
    hash: str = "rbf"
    weights: str = "int8"
    anchors: int = 25
    normalise: bool = False
    queries: str = "shared"
    value_term: str = "sum"
    offset: float = 0.0
    tie: str = "positive"
    bandwidth: str = "calibrated"

    def __post_init__(self) -> None:
        check_number("code_bits", self.code_bits, int, 1, LARGEST)
        check_choice("hash", self.hash, tuple(HASHES))
        check_choice("weights", self.weights, tuple(ROUNDINGS))
        check_number("anchors", self.anchors, int, 1, LARGEST)
        if not isinstance(self.normalise, bool):
            raise TypeError(f"normalise must be true or false, not {self.normalise!r}")
        check_choice("queries", self.queries, QUERIES)
        check_choice("value_term", self.value_term, VALUE_TERMS)
        check_number("offset", self.offset, float, 0, 2 * self.code_bits)
        check_choice("tie", self.tie, tuple(TIES))
        check_choice("bandwidth", self.bandwidth, BANDWIDTHS)

    @property
    def shares_queries(self) -> bool:
        """Whether the queries of a head are its keys, with one hash for both."""
        return self.queries == "shared"

    @property
    def has_kernel(self) -> bool:
        """Whether the hash sees similarities with anchors."""
        return issubclass(HASHES[self.hash], KernelHash)

    @property
    def learns_rows(self) -> bool:
        """Whether rows can be learned one by one."""
        return HASHES[self.hash].learns_rows

    @property
    def in_hardware(self) -> dict[str, Any]:
        """What an engine of this attention must have: values by name of the field."""
        others = {name for family in HASHES.values() for name in family.options}
        others -= set(HASHES[self.hash].options)
        return {name: getattr(self, name) for name in IN_HARDWARE if name not in others}

    def check_hardware(self) -> None:
        """Refuse, with a ValueError that says why, what no engine has."""
        for (name, value), why in NO_HARDWARE.items():
            if getattr(self, name) == value:
                raise ValueError(f"{name} must not be {value!r} for hardware: {why}")

    def make_hash(self, heads: int, head_dim: int) -> Hash:
        """A hash of this family with random parameters."""
        family = HASHES[self.hash]
        names = ("weights", "tie", *family.options)
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        return family(heads, head_dim, self.code_bits, **options)


RELEASED = AttentionConfig(
    weights=FLOAT, value_term="own", tie="zero", bandwidth="per-sequence"
)
"""EcoFormer attention exactly as the released code computes it."""


def read_attention(
    path: str | Path, *, kinds: Sequence[str] = (LEARNED,)
) -> tuple[AttentionConfig, Config | None]:
    """Attention and engine of a configuration file or preset; the engine is None without [engine].

    A fact stands in the file once: what hardware has (:data:`IN_HARDWARE`) in [engine], the rest
    in [attention]. Without [engine], [attention] holds everything. An engine is for one of
    ``kinds``; one for cross attention has separate queries.

    Raises
    ------
    EcoformerError
        Unreadable file, impossible value, a value in both tables, or an engine whose hash is not
        learned or with attention that no engine has.
    """
    engine = Config.load(path)
    if "engine" not in read_toml(path):
        return read_table(path, "attention", AttentionConfig), None
    if engine.hash not in HASHES:
        raise EcoformerError(
            f"{path}: [engine] hash must be {' or '.join(map(repr, HASHES))} to be learned, not "
            f"{engine.hash!r}"
        )
    if engine_kind(engine) not in kinds:
        name, rule = ("queries", "'shared' or 'separate'")
        if engine.mask != Mask.FULL:
            name, rule = ("mask", "'full'")
        raise EcoformerError(
            f"{path}: [engine] {name} must be {rule} for networks of this version, which attend to "
            f"whole sequences of their own, not {getattr(engine, name)!r}"
        )
    shape = {name: getattr(engine, name) for name in IN_HARDWARE}
    shape["queries"] = SAME_IMAGE.get(engine.queries, engine.queries)
    attention = read_table(path, "attention", AttentionConfig, **shape)
    try:
        attention.check_hardware()
    except ValueError as error:
        raise EcoformerError(f"{path}: [attention] {error}; leave [engine] out") from error
    return attention, engine
