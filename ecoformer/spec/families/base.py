# SPDX-License-Identifier: Apache-2.0
"""The contract of a hash family: all that the rest of the specification asks about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.bounds import Bounds
from ecoformer.spec.tables import KERNEL_WIDTH
from ecoformer.spec.weights import WEIGHT_FORMATS, WeightFormat

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.folding import Fold
    from ecoformer.spec.memory_map import Region
    from ecoformer.spec.parameters import ParameterImage
    from ecoformer.spec.units import Unit

__all__ = ["Family"]


class Family:
    """What one hash family needs of an engine. This base sends raw tokens and hashes nothing.

    A family answers for its parameters, the memories that hold them, the units that work with them
    and the form of a token on the wire and as a key. It says nothing of attention, which is the
    dataflow's (`spec.dataflows`).

    Parameters
    ----------
    config : Config
        A configuration with this family.

    Members
    -------
    scalars : tuple of str
        Parameters of one number per set, in the order of their words in region ``scalars``.
    gives_codes : bool
        Whether the keys are codes of ±1; else they are the tokens themselves.
    """

    scalars: ClassVar[tuple[str, ...]] = ()
    gives_codes: ClassVar[bool] = True

    def __init__(self, config: Config):
        self.config = config

    # -- units -----------------------------------------------------------------------------------

    @property
    def folds(self) -> dict[str, Fold]:
        """Folded units by what their lanes compute; none where the chip does not hash."""
        return {}

    @property
    def units(self) -> dict[str, Unit]:
        """Every unit by name, along the path of a token."""
        return {}

    @property
    def max_input_sum(self) -> int:
        """Largest Σ|input| of the projection: of the m kernel values, unless overridden."""
        return self.config.anchors * (2**KERNEL_WIDTH - 1)

    @property
    def max_projection(self) -> int:
        """Largest magnitude of one projection."""
        return self.weights.limit * self.max_input_sum

    # -- tokens and keys -------------------------------------------------------------------------

    @property
    def key_elements(self) -> int:
        """Elements of a token as it is sent."""
        return self.config.head_dim

    @property
    def element_width(self) -> int:
        """Bits of one element as it is sent, without padding."""
        return self.config.token_width

    @property
    def element_pitch(self) -> int:
        """Bits on ``s_axis`` from one element to the next."""
        return 8

    @property
    def key_bytes(self) -> int:
        """Bytes of a token on ``s_axis``, its value aside."""
        return self.config.head_dim

    @property
    def key_width(self) -> int:
        """Bits of a key: what attention compares."""
        return self.config.code_bits

    @property
    def token_range(self) -> tuple[int, int]:
        """Smallest and largest element of a token."""
        return signed_range(self.config.token_width)

    def check_tokens(self, tokens: np.ndarray) -> None:
        """Refuse ``tokens`` within `token_range` that cannot be sent all the same (ValueError)."""

    def tokens_from(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens made of random integers of ``token_width`` bits, [N, key_elements]."""
        return numbers

    def pack(self, tokens: np.ndarray) -> np.ndarray:
        """Bytes on the wire of ``tokens`` [N, key_elements]: uint8 [N, key_bytes]."""
        return np.asarray(tokens).astype(np.int8).view(np.uint8)

    def unpack_keys(self, bits: np.ndarray) -> np.ndarray:
        """Keys as numbers, from their bits as traced in the engine, int64 [N, key_width]."""
        return 2 * bits - 1

    # -- parameters ------------------------------------------------------------------------------

    @property
    def weights(self) -> WeightFormat:
        """Format of anchors and projections."""
        return WEIGHT_FORMATS[self.config.weights]

    @property
    def parameters(self) -> dict[str, Bounds]:
        """Integer arrays of a parameter image by name."""
        return {}

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        """Random `parameters` of ``sets`` sets, extremes mixed with values as training finds them.

        The order of the draws is part of recorded vectors: keep it.
        """
        return {}

    @property
    def regions(self) -> list[Region]:
        """Parameter memories, the common row of scalars aside."""
        return []

    def rows(self, image: ParameterImage, index: int) -> dict[str, np.ndarray]:
        """Content of `regions` for parameter set ``index``: name → int64 [rows, lanes].

        Weights are encoded. Lanes beyond the edge of an array hold 0, so they add nothing.
        """
        return {}
