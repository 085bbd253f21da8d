# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A block of a transformer: attention and MLP, each with its norm and with a way around it."""

from collections.abc import Sequence

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.network.elementwise import Lookup
from ecoformer.hw.network.heads import Heads
from ecoformer.hw.network.linear import Linear, linear_class
from ecoformer.hw.network.link import TokenLink, fork
from ecoformer.hw.network.norm import Norm, QuickNorm
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.residual import Residual
from ecoformer.spec.choices import Mask
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer

__all__ = ["Block", "linear_of", "norm_of"]


def linear_of(
    design: Transformer,
    image: NetworkImage,
    names: Sequence[str],
    entering: int = 0,
    passes: Passes | None = None,
) -> Linear:
    """The linear layer of a network, or with ``passes`` those in turn, that ``names`` has.

    Their tokens take ``entering`` cycles to come.
    """
    fold = design.fold(names[0])
    weights, bias, shift = zip(*(image.linear(name) for name in names), strict=True)
    return linear_class(fold)(
        design.linears[names[0]], fold, np.stack(weights), np.stack(bias),
        None if shift[0] is None else np.stack(shift), entering=entering,
        cycles=design.steady_block_cycles if passes else design.steady_cycles,
        loads=design.loadable, passes=passes,
    )


def norm_of(
    design: Transformer,
    image: NetworkImage,
    names: Sequence[str],
    entering: int,
    passes: Passes | None = None,
) -> Norm | QuickNorm:
    """The norm of a network, or those in turn, like `linear_of`; the last is behind blocks, too.
    """
    epsilons = [int(image.arrays[f"{name}.epsilon"]) for name in names]
    kind = QuickNorm if design.mask == Mask.CAUSAL else Norm  # whose tokens are answered alone
    return kind(
        design.norm, epsilons, design.steady_block_cycles, entering, design.lanes,
        design.loadable, passes,
    )


class Block(wiring.Component):
    """x + out(attention(vectors(norm(x)))), and of that, x + down(activation(up(norm(x)))).

    Parameters
    ----------
    design : Transformer
    image : NetworkImage
    numbers : sequence of int
        Which block; or which in turn.
    entering : int
        Cycles from the announcement of a token on ``i`` to its last element.
    passes : Passes or None
        Where it is several blocks in turn, for which it is.

    Members
    -------
    i, o : ``TokenLink(residual_width, lanes)``
    load, loaded : ``In(LoadLink)``, ``Out(LoadLink)``
        If the design is loadable.
    """

    def __init__(
        self,
        design: Transformer,
        image: NetworkImage,
        numbers: Sequence[int],
        entering: int,
        passes: Passes | None = None,
    ):
        self.design = design
        names = [f"blocks.{number}" for number in numbers]

        def linear(part, before):
            return linear_of(design, image, [f"{name}.{part}" for name in names], before, passes)

        def norm(i, before):
            return norm_of(design, image, [f"{name}.norm{i}" for name in names], before, passes)

        norm1 = norm(1, entering)
        vectors = linear("vectors", norm1.leaving)
        attention = [image.attention(number) for number in numbers]
        self.heads = Heads(design, attention, vectors.latency, passes)
        out = linear("out", self.heads.leaving)
        norm2 = norm(2, out.latency + Residual.latency)
        up = linear("up", norm2.leaving)
        self.activation = Lookup(
            np.stack([image.arrays[f"{name}.table"] for name in names]), ACTIVATION_WIDTH,
            design.hidden, design.lanes, design.loadable, passes,
        )
        down = linear("down", up.latency + self.activation.latency)
        self.norms = [norm1, norm2]
        self.layers = {"vectors": vectors, "out": out, "up": up, "down": down}
        self.residuals = [
            Residual(design.width, design.residual_width, tokens, design.lanes)
            for tokens in self._tokens_around(entering)
        ]
        link = TokenLink(design.residual_width, design.lanes)
        super().__init__({"i": In(link), "o": Out(link), **load_ports(design.loadable)})

    def _tokens_around(self, entering):
        """Tokens that may be in either branch at once."""
        design, layers = self.design, self.layers
        attention = layers["vectors"].latency + self.heads.latency
        of_attention = entering + self.norms[0].latency + attention + layers["out"].latency
        of_mlp = layers["out"].latency + self.norms[1].latency + sum(
            part.latency for part in (layers["up"], self.activation, layers["down"])
        )
        return [
            design.tokens_in_branch(of_attention + design.attention_wait),
            design.tokens_in_branch(of_mlp),
        ]

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token on ``o`` to its last element."""
        return self.layers["down"].latency + Residual.latency

    @property
    def tokens(self) -> int:
        """Tokens that may be in the block at once."""
        return sum(residual.tokens for residual in self.residuals)

    @property
    def links(self) -> dict[str, wiring.PureInterface]:
        """What every layer sends, by the layer's name."""
        layers = self.layers
        return {
            "norm1": self.norms[0].o,
            "vectors": layers["vectors"].o,
            "attention": self.heads.o,
            "out": layers["out"].o,
            "residual1": self.residuals[0].o,
            "norm2": self.norms[1].o,
            "up": layers["up"].o,
            "activation": self.activation.o,
            "down": layers["down"].o,
            "residual2": self.residuals[1].o,
        }

    def elaborate(self, platform) -> Module:
        m = Module()
        for number, (norm, residual) in enumerate(
            zip(self.norms, self.residuals, strict=True), start=1
        ):
            m.submodules[f"norm{number}"] = norm
            m.submodules[f"residual{number}"] = residual
        for name, layer in self.layers.items():
            m.submodules[name] = layer
        m.submodules.heads = heads = self.heads
        m.submodules.activation = activation = self.activation
        layers, (first, second) = self.layers, self.residuals

        fork(m, self.i, [first.skip, self.norms[0].i])
        connect(m, self.norms[0].o, layers["vectors"].i)
        connect(m, layers["vectors"].o, heads.i)
        connect(m, heads.o, layers["out"].i)
        connect(m, layers["out"].o, first.i)

        fork(m, first.o, [second.skip, self.norms[1].i])
        connect(m, self.norms[1].o, layers["up"].i)
        connect(m, layers["up"].o, activation.i)
        connect(m, activation.o, layers["down"].i)
        connect(m, layers["down"].o, second.i)
        connect(m, second.o, flipped(self.o))

        chain = LoadChain(m, self)
        chain.through(
            self.norms[0], layers["vectors"], heads, layers["out"],
            self.norms[1], layers["up"], activation, layers["down"],
        )
        chain.end()
        return m
