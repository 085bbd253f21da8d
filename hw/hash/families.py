# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every hash unit, and which one a configuration gets."""

from ecoformer.hw.hash.codes import CodeInput
from ecoformer.hw.hash.linear import LinearHash, SerialLinearHash
from ecoformer.hw.hash.rbf import RbfHash, SerialRbfHash
from ecoformer.hw.hash.unit import HashUnit
from ecoformer.spec.config import Config

__all__ = ["FAMILIES", "hash_unit"]

FAMILIES = (SerialRbfHash, RbfHash, SerialLinearHash, LinearHash, CodeInput)
"""Special cases come before the general one."""


def hash_unit(config: Config, slots: int) -> HashUnit:
    """The hash unit of the engine: the first that fits."""
    return next(family for family in FAMILIES if family.fits(config))(config, slots)
