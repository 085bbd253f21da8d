# SPDX-License-Identifier: Apache-2.0
"""Hash families: what each one needs of parameters, units, widths and wire; one file per family."""

from ecoformer.spec.choices import Hash
from ecoformer.spec.families.base import Family
from ecoformer.spec.families.codes import HostCodes
from ecoformer.spec.families.hadamard import HadamardHash
from ecoformer.spec.families.linear import LinearHash
from ecoformer.spec.families.none import NoHash
from ecoformer.spec.families.rbf import KernelHash

__all__ = ["Family", "FAMILIES"]

FAMILIES: dict[Hash, type[Family]] = {
    Hash.RBF: KernelHash,
    Hash.LINEAR: LinearHash,
    Hash.HADAMARD: HadamardHash,
    Hash.CODES: HostCodes,
    Hash.NONE: NoHash,
}
"""The family of every ``hash``."""
