# SPDX-License-Identifier: Apache-2.0
"""What travels between the units: hashed tokens, blocks of sums, blocks of quotients."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ecoformer.hw.stream.vectors import VectorStream, whole_vectors
from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.units import Unit

__all__ = [
    "Block", "Busy", "Key", "KeyStream", "Quotients", "Tag", "Token", "TokenStream", "core_scalars",
    "key_shape",
]


def key_shape(config: Config) -> ShapeLike:
    """Shape of x, or of q and k: D elements, or the code itself where the host sends codes."""
    if config.hash == "codes":
        return unsigned(config.code_bits)
    return data.ArrayLayout(signed(config.token_width), config.head_dim)


def core_scalars(config: Config) -> dict[str, int]:
    """Scalar parameters of the attention core: dict of name → bits."""
    widths = {"offset": Arithmetic(config).offset_width, "scale": SCALE_WIDTH, "shift": SHIFT_WIDTH}
    return {name: width for name, width in widths.items() if name in config.flow.scalars}


class Tag(data.StructLayout):
    """What a token carries besides its numbers: its packet's set, last and error bits.

    And its ``context``, where there are contexts.
    """

    def __init__(self, config: Config):
        super().__init__(
            {"user": config.tuser_width, "last": 1, "error": 1, **config.flow.tag_fields}
        )


class Token(data.StructLayout):
    """A token with its parameter slot; with ``tag.error``, only the end of a bad packet."""

    def __init__(self, config: Config):
        super().__init__(
            {
                **whole_vectors(config, _elements(config)),
                "slot": ceil_log2(config.parameter_sets + 1),
                **config.flow.key_fields,
                "tag": Tag(config),
            }
        )


class TokenStream(VectorStream):
    """Tokens with their x and v, or q, k and v, as they come from the receiver."""

    def __init__(self, config: Config):
        super().__init__(Token(config), _elements(config))


class Key(data.StructLayout):
    """A hashed token: code, or those of query and key, values v and the scalars of its set.

    Where there are contexts, ``count`` is how many tokens the context has with this one.

    A token with ``tag.error`` ends a bad packet: its tokens are dropped and answered by a single
    result with the error bit; under a causal mask they have been answered before.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                **{side.code: config.key_width for side in config.sides.all},
                **whole_vectors(config, _values(config)),
                **core_scalars(config),
                **config.flow.key_fields,
                "tag": Tag(config),
            }
        )


class KeyStream(VectorStream):
    """Hashed tokens, as attention cores take them."""

    def __init__(self, config: Config):
        super().__init__(Key(config), _values(config))


def _elements(config):
    return {**{side.vector: key_shape(config) for side in config.sides.all}, **_values(config)}


def _values(config):
    return {"v": data.ArrayLayout(signed(config.value_width), config.value_dim)}


class Block(data.StructLayout):
    """A few numerators of one token with its denominator; ``final`` marks the token's last.
    """

    def __init__(self, config: Config):
        bits = Arithmetic(config)
        lanes = config.state_fold.output_lanes
        super().__init__(
            {
                "numerators": data.ArrayLayout(signed(bits.numerator_width), lanes),
                "denominator": signed(bits.denominator_width),
                "final": 1,
                "tag": Tag(config),
            }
        )


class Quotients(data.StructLayout):
    """A few output elements of one token; ``final`` marks the token's last.

    ``guarded``: the denominator was not positive. Elements of a bad packet are 0.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "elements": data.ArrayLayout(
                    signed(config.output_width), config.state_fold.output_lanes
                ),
                "final": 1,
                "guarded": 1,
                "tag": Tag(config),
            }
        )


class Busy(data.StructLayout):
    """Probe: one bit per unit, 1 while it works on a token or a pair of tokens."""

    def __init__(self, units: dict[str, Unit]):
        super().__init__(dict.fromkeys(units, 1))
