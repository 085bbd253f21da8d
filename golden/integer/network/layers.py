# SPDX-License-Identifier: Apache-2.0
"""The layers that every network in integers has.

    every block: x = sat(x + out(attention(vectors(norm1(x)))))
                 x = sat(x + down(table[up(norm2(x))]))
"""

from collections.abc import Callable, Iterator

import numpy as np

from ecoformer.golden.integer.attention import attend, attend_on
from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.network.linear import linear, saturate
from ecoformer.golden.integer.network.norm import norm
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer

__all__ = ["Layers"]


class Layers:
    """The layers of a network by name, with their parameters.

    Parameters
    ----------
    design : Transformer
    image : NetworkImage
    """

    def __init__(self, design: Transformer, image: NetworkImage):
        self.design = design
        self.image = image

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        """Outputs int64 [..., outputs] of the linear layer ``name``."""
        return linear(self.design.linears[name], x, *self.image.linear(name))

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """Normalised tokens int64 [..., width] of the norm ``name``."""
        return norm(self.design.norm, x, self.image.arrays[f"{name}.epsilon"])

    def block(
        self, block: int, x: np.ndarray,
        attention: Callable[[int, np.ndarray], np.ndarray] | None = None,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """The tensors of a block of tokens ``x`` by name; the last one is what leaves it.

        ``attention`` is called with the number of the block and the vectors; it is that of whole
        sequences when None.
        """
        name, width = f"blocks.{block}", self.design.residual_width
        yield "norm1", (y := self.norm(f"{name}.norm1", x))
        yield "vectors", (y := self.linear(f"{name}.vectors", y))
        yield "attention", (y := (attention or self.attention)(block, y))
        yield "out", (y := self.linear(f"{name}.out", y))
        yield "residual1", (x := saturate(x + y, width))
        yield "norm2", (y := self.norm(f"{name}.norm2", x))
        yield "up", (y := self.linear(f"{name}.up", y))
        table = self.image.arrays[f"{name}.table"]
        yield "activation", (y := table[y + (1 << (ACTIVATION_WIDTH - 1))])
        yield "down", (y := self.linear(f"{name}.down", y))
        yield "residual2", saturate(x + y, width)

    def attention(self, block: int, vectors: np.ndarray) -> np.ndarray:
        """Outputs of all heads [..., N, width] of their vectors [..., N, heads·vectors·D]."""
        config, image = self.design.heads_engine, self.image.attention(block)
        outputs = [
            attend(config, image, head, tokens, values)[0]
            for head, (tokens, values) in enumerate(self._by_head(vectors))
        ]
        return np.concatenate(outputs, axis=-1)

    def attention_on(
        self, block: int, vectors: np.ndarray, states: list[State]
    ) -> tuple[np.ndarray, list[State]]:
        """The same of the next tokens of contexts, whose heads are in ``states``, and the states
        after them; under a causal mask.
        """
        config, image = self.design.heads_engine, self.image.attention(block)
        outputs, after = [], []
        for head, (tokens, values) in enumerate(self._by_head(vectors)):
            output, _, state = attend_on(config, image, head, tokens, values, states[head])
            outputs.append(output)
            after.append(state)
        return np.concatenate(outputs, axis=-1), after

    def _by_head(self, vectors):
        """Tokens and values of every head."""
        for own in np.split(vectors, self.design.heads, axis=-1):
            tokens, values = np.split(own, [own.shape[-1] - self.design.head_dim], axis=-1)
            yield tokens, values
