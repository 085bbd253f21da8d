"""The shape of float attention, and where a configuration file gives it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.golden.hashing import Hash, KernelHash, LinearHash
from ecoformer.presets import find_config
from ecoformer.spec.checks import check_choice, check_number
from ecoformer.spec.config import Config, read_table
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["AttentionConfig", "FAMILIES", "IN_HARDWARE", "QUERIES", "VALUE_TERMS", "read_attention"]

IN_HARDWARE = ("code_bits", "hash", "weights", "anchors", "value_term")
"""Fields that attention in hardware has too."""
FAMILIES = ("rbf", "linear")
"""Hash families that can be learned."""
QUERIES = ("shared", "separate")
"""Whether queries and keys are the same tokens and codes (paper), or have hashes of their own."""
VALUE_TERMS = ("sum", "own")
"""What the offset multiplies in the numerator: all values (paper) or v_i (released code)."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Shape of EcoFormer attention.

    Parameters
    ----------
    code_bits : int
        Bits b of a code.
    hash : str
        ``rbf``, the kernelized hash of the paper, or ``linear``.
    weights : str
        What the matrices of the hash may hold: ``int8``, ``pow2`` or ``ternary``.
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

    def __post_init__(self) -> None:
        check_number("code_bits", self.code_bits, int, 1)
        check_choice("hash", self.hash, FAMILIES)
        check_choice("weights", self.weights, tuple(WEIGHT_FORMATS))
        check_number("anchors", self.anchors, int, 1)
        if not isinstance(self.normalise, bool):
            raise TypeError(f"normalise must be true or false, not {self.normalise!r}")
        check_choice("queries", self.queries, QUERIES)
        check_choice("value_term", self.value_term, VALUE_TERMS)
        check_number("offset", self.offset, float, 0, 2 * self.code_bits)

    def make_hash(self, heads: int, head_dim: int) -> Hash:
        """A hash of this family with random parameters."""
        if self.hash == "rbf":
            return KernelHash(heads, head_dim, self.code_bits, self.anchors, self.weights)
        return LinearHash(heads, head_dim, self.code_bits, self.weights, self.normalise)


def read_attention(path: str | Path) -> tuple[AttentionConfig, Config | None]:
    """Attention and engine of a configuration file or preset; the engine is None without [engine].

    A fact stands in the file once: what hardware has (:data:`IN_HARDWARE`) in [engine], the rest
    in [attention]. Without [engine], [attention] holds everything.

    Raises
    ------
    EcoformerError
        Unreadable file, impossible value, a value in both tables, or an engine whose hash is not
        learned.
    """
    engine = Config.load(path)
    if "engine" not in tomllib.loads(find_config(path).read_text()):
        return read_table(path, "attention", AttentionConfig), None
    if engine.hash not in FAMILIES:
        raise EcoformerError(
            f"{path}: [engine] hash must be {' or '.join(map(repr, FAMILIES))} to be learned, not "
            f"{engine.hash!r}"
        )
    shape = {name: getattr(engine, name) for name in IN_HARDWARE}
    return read_table(path, "attention", AttentionConfig, **shape), engine
