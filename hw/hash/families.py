# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every hash unit, and which one a configuration gets."""

from collections.abc import Callable

from ecoformer.hw.hash.codes import CodeInput
from ecoformer.hw.hash.hadamard import HadamardHash, SerialHadamardHash
from ecoformer.hw.hash.linear import LinearHash, SerialLinearHash
from ecoformer.hw.hash.rbf import RbfHash, SerialRbfHash
from ecoformer.hw.hash.sides import SeparateHash
from ecoformer.hw.hash.unit import HashUnit
from ecoformer.hw.parameters.memory import Slots
from ecoformer.spec.choices import Queries
from ecoformer.spec.config import Config

__all__ = ["FAMILIES", "hash_unit", "hash_units"]

FAMILIES = (
    SerialRbfHash, RbfHash, SerialLinearHash, LinearHash, SerialHadamardHash, HadamardHash,
    CodeInput,
)
"""Special cases come before the general one."""

UNITS: dict[Queries, Callable[[list[HashUnit]], HashUnit | SeparateHash]] = {
    Queries.SHARED: lambda units: units[0],
    Queries.SEPARATE: SeparateHash,
}
"""What becomes of the units of all sides whose vectors come together, by ``queries``."""


def hash_unit(config: Config, slots: Slots) -> HashUnit | SeparateHash:
    """The hash unit of the engine: the first that fits, or one for every side."""
    return UNITS[config.queries](hash_units(config, slots))


def hash_units(config: Config, slots: Slots) -> list[HashUnit]:
    """The hash unit of every side, in the order of `spec.sides.Sides.all`."""
    family = next(family for family in FAMILIES if family.fits(config))
    return [family(config, slots.side(side.prefix)) for side in config.sides.all]
