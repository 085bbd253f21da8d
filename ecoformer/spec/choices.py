# SPDX-License-Identifier: Apache-2.0
"""Values of every enumerated field, and the numbers that stand for them in registers.

A code is part of the register ABI: software reads it in METHOD, or writes it in PARAM_ADDRESS.
It never changes its meaning. A new value takes a code that no value has had before.
"""

import enum
from typing import Any, Self

from ecoformer.spec.checks import check_choice

__all__ = [
    "Choice", "Hash", "Weights", "ValueTerm", "Mask", "Dataflow", "Queries", "CHOICES",
    "RegionCode",
]


class Choice(enum.StrEnum):
    """One value of an enumerated field: a string, equal to what the TOML file says.

    A member is declared as ``NAME = "value", code``. A third item is the reason why this version
    refuses the value; its code is reserved all the same.

    Members
    -------
    code : int
        Its number in the register METHOD.
    refusal : str
        Why it cannot be built, to complete an error message; empty if it can.
    """

    code: int
    refusal: str

    def __new__(cls, value: str, code: int, refusal: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.code, member.refusal = code, refusal
        return member

    def __repr__(self) -> str:
        return repr(self.value)

    @classmethod
    def built(cls) -> tuple[Self, ...]:
        """Values that this version builds."""
        return tuple(member for member in cls if not member.refusal)

    @classmethod
    def codes(cls) -> dict[str, int]:
        """Register code of every value, refused ones included."""
        return {member.value: member.code for member in cls}

    @classmethod
    def parse(cls, name: str, value: Any) -> Self:
        """The member that ``value`` means; ``name`` is the field, for messages.

        Raises
        ------
        TypeError, ValueError
            ``<name> must be <values>, not <value>``, with the reason if one is given.
        """
        built = {member.value: member for member in cls.built()}
        for member in cls:
            if member.refusal and value == member:
                allowed = " or ".join(map(repr, built))
                raise ValueError(f"{name} must be {allowed}, not {value!r}, {member.refusal}")
        check_choice(name, value, built)
        return built[value]


class Hash(Choice):
    """Hash family: how a token becomes a code (`spec.families`)."""

    RBF = "rbf", 0
    LINEAR = "linear", 1
    CODES = "codes", 2
    NONE = "none", 3
    HADAMARD = "hadamard", 4


class Weights(Choice):
    """What anchors and projections may hold (`spec.weights`)."""

    INT8 = "int8", 0
    POW2 = "pow2", 1
    TERNARY = "ternary", 2


class ValueTerm(Choice):
    """What the offset multiplies in the numerator."""

    SUM = "sum", 0
    OWN = "own", 1


class Mask(Choice):
    """Which tokens attend to which."""

    FULL = "full", 0
    CAUSAL = "causal", 1


class Dataflow(Choice):
    """Form of the attention core (`spec.dataflows`)."""

    ACCUMULATE = "accumulate", 0
    XNOR = "xnor", 1
    BUCKETED = "bucketed", 2
    SOFTMAX = "softmax", 3


class Queries(Choice):
    """What a token brings to ask with (`spec.sides`)."""

    SHARED = "shared", 0
    SEPARATE = "separate", 1
    CROSS = "cross", 2


CHOICES: dict[str, type[Choice]] = {
    "hash": Hash,
    "weights": Weights,
    "value_term": ValueTerm,
    "mask": Mask,
    "dataflow": Dataflow,
    "queries": Queries,
}
"""Enumeration of every enumerated field of `Config`."""


class RegionCode(enum.IntEnum):
    """Number of each parameter memory in PARAM_ADDRESS, by the array of the image it holds.

    Memories of separate queries have the numbers of those of the keys, and bit 3.
    """

    ANCHORS = 0
    BIAS = 1
    PROJECTION = 2
    THRESHOLD = 3
    SCALARS = 4
    QUERY_ANCHORS = 8
    QUERY_BIAS = 9
    QUERY_PROJECTION = 10
    QUERY_THRESHOLD = 11
