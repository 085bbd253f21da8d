"""What travels between the units: hashed tokens, blocks of sums, and the ports of a core."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.element_queue import ElementWrite
from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.spec.units import core_units

__all__ = [
    "Block", "Busy", "Key", "Quotients", "Tag", "core_scalars", "core_signature", "key_shape",
]


def key_shape(config):
    """Shape of what is hashed: D elements of x, or the code itself where the host sends it."""
    if config.hash == "codes":
        return unsigned(config.code_bits)
    return data.ArrayLayout(signed(config.token_width), config.head_dim)


def core_scalars(config):
    """Parameters of a set that its attention needs beside every token: dict of name → bits."""
    if config.hash == "none":
        return {"scale": SCALE_WIDTH, "shift": SHIFT_WIDTH}
    return {"offset": Arithmetic(config).offset_width}


class Tag(data.StructLayout):
    """What a result token carries besides its numbers: its packet's set, its end, its error."""

    def __init__(self, config):
        super().__init__({"user": config.tuser_width, "last": 1, "error": 1})


class Key(data.StructLayout):
    """A hashed token: code, values and the scalars of its set.

    In a serial engine the values come beside it, element by element (:mod:`hw.lib.element_queue`).

    A token with ``tag.error`` ends a bad packet: everything of that packet is dropped and one
    result with the error bit takes its place.
    """

    def __init__(self, config):
        values = data.ArrayLayout(signed(config.value_width), config.value_dim)
        super().__init__(
            {
                "code": config.key_width,
                **({} if config.is_serial else {"v": values}),
                **core_scalars(config),
                "tag": Tag(config),
            }
        )


class Block(data.StructLayout):
    """A few numerators of one token with its denominator; ``final`` marks the token's last.

    At a token every cycle numerators come later than the rest, by their column of cells
    (:func:`hw.attention.systolic_array.columns`).
    """

    def __init__(self, config):
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

    def __init__(self, config):
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
    """A probe of units by name: a bit is 1 where the unit works on a token, or a pair of them."""

    def __init__(self, units):
        super().__init__(dict.fromkeys(units, 1))


def core_signature(config):
    """Ports that every attention core has, whatever its dataflow.

    keys : hashed tokens in; ready only with a token that is valid.
    grant : a result token may be started in this cycle; once given it stays until a launch.
    launch : one was started.
    blocks : its blocks, ``state_fold.input_steps`` cycles apart; cannot be held back.
    elements : the values of every token, before its key; in a serial engine.
    busy : which of its units work.
    """
    elements = ElementWrite(config.value_dim, signed(config.value_width))
    return {
        **({"elements": In(elements)} if config.is_serial else {}),
        "keys": In(stream.Signature(Key(config))),
        "grant": In(1),
        "launch": Out(1),
        "blocks": Out(stream.Signature(Block(config), always_ready=True)),
        "busy": Out(Busy(core_units(config))),
    }
