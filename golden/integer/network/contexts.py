# SPDX-License-Identifier: Apache-2.0
"""What a decoder answers to one token after another: contexts, and which tokens are errors."""

import numpy as np

from ecoformer.golden.integer.network.decoder import Memory, advance, empty_memory
from ecoformer.spec.network.decoder import DecoderDesign, TokenError
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Contexts"]


class Contexts:
    """The contexts of a decoder, all of them lost, as after a reset.

    Parameters
    ----------
    design : DecoderDesign
    image : NetworkImage
    """

    def __init__(self, design: DecoderDesign, image: NetworkImage):
        self.design = design
        self.image: NetworkImage | None = image
        self.kept: dict[int, Memory] = {}

    def reset(self) -> None:
        """Lose all contexts."""
        self.kept.clear()

    def load(self, image: NetworkImage | None) -> None:
        """Take other parameters, or None where they are spoilt; all contexts are lost."""
        self.image = image
        self.reset()

    def take(
        self, token: int, context: int = 0, begin: bool = False
    ) -> tuple[TokenError | None, dict[str, np.ndarray]]:
        """The error of a token, or None and its tensors int64 [elements].

        An error leaves the context lost, until a token begins it again.
        """
        error = self._error(token, context, begin)
        if error is not None:
            self.kept.pop(context, None)
            return error, {}
        assert self.image is not None
        memory = empty_memory(self.design) if begin else self.kept[context]
        tensors, self.kept[context] = advance(self.design, self.image, np.array([token]), memory)
        return None, {name: tensor[0] for name, tensor in tensors.items()}

    def _error(self, token, context, begin):
        d = self.design
        if self.image is None:
            return TokenError.NO_PARAMETERS
        if context >= d.contexts or not begin and context not in self.kept:
            return TokenError.CONTEXT_LOST
        if not begin and self.kept[context].count == d.positions:
            return TokenError.TOO_LONG
        return TokenError.NO_TOKEN if token >= d.vocabulary else None
