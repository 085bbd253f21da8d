# amaranth: UnusedElaboratable=no
"""Every hash unit by the family that a configuration names."""

from ecoformer.hw.hash.codes import CodeInput
from ecoformer.hw.hash.linear import LinearHash
from ecoformer.hw.hash.rbf import KernelHash

__all__ = ["hash_unit"]

FAMILIES = {"rbf": KernelHash, "linear": LinearHash, "codes": CodeInput, "none": CodeInput}


def hash_unit(config, slots):
    """The hash unit of the family that ``config`` names."""
    return FAMILIES[config.hash](config, slots)
