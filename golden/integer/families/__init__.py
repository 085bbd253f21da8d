# SPDX-License-Identifier: Apache-2.0
"""Hash families in integers, one function and one file per family: tokens in, `HashTrace` out."""

from collections.abc import Callable

from ecoformer.golden.integer.families import hadamard, identity, linear, rbf
from ecoformer.golden.integer.families.trace import HashTrace
from ecoformer.spec.choices import Hash

__all__ = ["FAMILIES", "HashTrace"]

FAMILIES: dict[Hash, Callable[..., HashTrace]] = {
    Hash.RBF: rbf.trace,
    Hash.LINEAR: linear.trace,
    Hash.HADAMARD: hadamard.trace,
    Hash.CODES: identity.trace,
    Hash.NONE: identity.trace,
}
"""``trace(image, index, tokens)`` of every ``hash``."""
