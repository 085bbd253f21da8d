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
from ecoformer.spec.wire import Inlet

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

    And its ``context``, where there are contexts; and of an error its ``cause``, where packets make
    pairs.
    """

    def __init__(self, config: Config):
        super().__init__(
            {"user": config.tuser_width, "last": 1, "error": 1, **config.flow.tag_fields}
        )


class Token(data.StructLayout):
    """A token with its parameter slot; with ``tag.error``, only the end of a bad packet.

    Parameters
    ----------
    config : Config
    inlet : Inlet
        On which it came; ``s_axis`` by default.
    """

    def __init__(self, config: Config, inlet: Inlet | None = None):
        super().__init__(
            {
                **whole_vectors(config, _elements(config, inlet)),
                "slot": ceil_log2(config.parameter_sets + 1),
                **config.flow.key_fields,
                "tag": Tag(config),
            }
        )


class TokenStream(VectorStream):
    """Tokens with their x and v, or q, k and v, as they come from the receiver.

    Where queries come by themselves, k and v on one inlet and q on the other.
    """

    def __init__(self, config: Config, inlet: Inlet | None = None):
        super().__init__(Token(config, inlet), _elements(config, inlet))


class Key(data.StructLayout):
    """A hashed token: code, or those of query and key, values v and the scalars of its set.

    Where there are contexts, ``count`` is how many tokens the context has with this one.

    A token with ``tag.error`` ends a bad packet: its tokens are dropped and answered by a single
    result with the error bit; under a causal mask they have been answered before.

    A query that comes by itself is a token of another ``inlet``, with neither values nor scalars.
    """

    def __init__(self, config: Config, inlet: Inlet | None = None):
        inlet = inlet or config.wire.inlets[0]
        super().__init__(
            {
                **{side.code: config.key_width for side in inlet.all},
                **whole_vectors(config, _values(inlet)),
                **(core_scalars(config) if inlet.value_elements else {}),
                **config.flow.key_fields,
                "tag": Tag(config),
            }
        )


class KeyStream(VectorStream):
    """Hashed tokens, as attention cores take them."""

    def __init__(self, config: Config, inlet: Inlet | None = None):
        inlet = inlet or config.wire.inlets[0]
        super().__init__(Key(config, inlet), _values(inlet))


def _elements(config, inlet):
    inlet = inlet or config.wire.inlets[0]
    return {**{side.vector: key_shape(config) for side in inlet.all}, **_values(inlet)}


def _values(inlet):
    elements = inlet.value_elements
    shape = data.ArrayLayout(signed(inlet.config.value_width), elements)
    return {"v": shape} if elements else {}


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
