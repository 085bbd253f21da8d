# SPDX-License-Identifier: Apache-2.0
"""The honest accounting: integers as wide as in the generated engine, and all memory.

Both arms get the same arithmetic: 8-bit operands, sums as wide as they need, the same table for
the exponential, the same divider. What decides is memory: an array reads a key, value or weight
once for ``reuse`` tokens, whereas the engine reads state and parameters for every token, as the
generated hardware does. The comparison moves with ``reuse``, so quote it.
"""

from functools import lru_cache

from ecoformer.golden.energy.operations import Operation
from ecoformer.golden.energy.prices import DRAM, adder, multiplier, sram
from ecoformer.golden.energy.shapes import (
    Attention,
    Convolution,
    Elementwise,
    Layer,
    Linear,
    Norm,
)
from ecoformer.spec.arithmetic import BIAS_WIDTH, Arithmetic, signed_width
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import THRESHOLD_SLOT
from ecoformer.spec.tables import KERNEL_INDEX_BITS, KERNEL_WIDTH, ROOT_FRACTION, ROOT_INDEX_BITS

__all__ = ["DEFAULT_REUSE", "Honest"]

DEFAULT_REUSE = 16
"""Tokens (queries) that one read of a weight, key or value serves outside the engine."""

COUNTED = {"hash": "rbf", "weights": "int8", "queries": "shared"}
"""Modes of the engine that are counted."""
ACTIVATION = 8
"""Bits of an activation between layers."""
BIAS = 32
"""Bits of a bias of a convolution or matrix."""
NORM = 16
"""Bits of the factors of a layer norm."""


class Honest:
    """Operations of a layer as integer hardware does them.

    Parameters
    ----------
    code_bits, anchors : int
        Bits b of a code and support samples m of the hash.
    engine : Config
        Gives the widths of tokens, values, outputs and offset, the resident sets, and whether the
        state is kept as tables.
    reuse : int
        Tokens that one read serves, everywhere but in the engine.

    Raises
    ------
    ValueError
        The engine's modes are not those of :data:`COUNTED`; or, when a layer is counted, no engine
        of its shape can be generated.
    """

    name = "honest"

    def __init__(
        self,
        code_bits: int,
        anchors: int,
        engine: Config | None = None,
        reuse: int = DEFAULT_REUSE,
    ):
        engine = engine or Config()
        for name, mode in COUNTED.items():
            if (found := getattr(engine, name)) != mode:
                raise ValueError(
                    f"{name} must be {mode!r}, not {found!r}, which the honest accounting does not "
                    "cover"
                )
        self.code_bits = code_bits
        self.anchors = anchors
        self.engine = engine
        self.reuse = reuse
        self.assumptions = (
            "45 nm integers (Horowitz, ISSCC 2014): add 0.03 pJ at 8 and 0.1 at 32 bits, linear in "
            "the width; multiply 0.2 pJ at 8 × 8 and 3.1 at 32 × 32, linear in the product of both",
            "EcoFormer: the operations of the generated engine in its own widths, N·m·D products "
            "and every digit of the division (output_width subtractions) included",
            "softmax: the same 8-bit products, exponential table and divider; its scores are "
            "neither stored nor computed twice to find their maximum",
            "on-chip memory: 10, 20, 100 pJ per 64 bits of 8 kB, 32 kB, 1 MB (Horowitz), a power "
            "law between and below, 1 MB banks above",
            f"a weight, key or value read from memory serves {reuse} tokens; in the engine, whose "
            "state and parameters are read for every token, one",
            "activations between layers: 8 bits, read once and written once by each layer",
            "parameters come from DRAM once per image, at 1.3 nJ per 64 bits",
            "not counted: clock, control, wires, leakage",
        )

    def operations(self, layer: Layer) -> list[Operation]:
        """List of `Operation` of ``layer``."""
        return {
            Convolution: self._matrix,
            Linear: self._matrix,
            Norm: self._norm,
            Elementwise: self._elementwise,
            Attention: self._attention,
        }[type(layer)](layer)

    # -- everything but attention ----------------------------------------------------------------

    def _matrix(self, layer):
        """A convolution or matrix: 8-bit products, bias, scaling back to 8 bits."""
        width = signed_width(layer.fan_in << 2 * ACTIVATION - 2)
        results = layer.tokens * layer.outputs
        return [
            *_products("weights", layer.tokens * layer.weights, ACTIVATION, ACTIVATION, width),
            _add("bias", results, width),
            _multiply("scale", results, width, NORM),
            self._parameters(layer.tokens, ACTIVATION * layer.weights + BIAS * layer.outputs),
            *_moved(layer.input_elements, results),
            _load(ACTIVATION * layer.weights + BIAS * layer.outputs),
        ]

    def _norm(self, layer):
        """Mean, variance, scale and shift; the reciprocal root of a token is not counted."""
        elements, width = layer.tokens * layer.width, signed_width(layer.width << 2 * NORM - 2)
        parameters = 2 * NORM * layer.width
        return [
            *_products("variance", elements, NORM, NORM, width),
            _add("mean", elements, width),
            _add("centre", elements, NORM),
            _multiply("scale", 2 * elements, NORM, NORM),
            _add("shift", elements, NORM),
            self._parameters(layer.tokens, parameters),
            *_moved(elements, elements),
            _load(parameters),
        ]

    def _elementwise(self, layer):
        elements = layer.tokens * layer.width
        if layer.what == "activation":  # by table, at the output of the layer before it
            return [_move("table", elements * ACTIVATION, 1 << ACTIVATION)]
        return [_add("sum", elements, NORM), *_moved(2 * elements, elements)]

    def _parameters(self, tokens, bits):
        return _move("parameters", -(-tokens // self.reuse) * bits, bits / 8)

    # -- attention -------------------------------------------------------------------------------

    def _attention(self, layer):
        config = _engine(self.engine, self.code_bits, self.anchors, layer.head_dim,
                         layer.value_dim, layer.tokens)
        return {"softmax": self._softmax, "ecoformer": self._ecoformer}[layer.kind](layer, config)

    def _softmax(self, layer, config):
        bits = Arithmetic(config)
        N, D, E = layer.tokens, layer.head_dim, layer.value_dim
        queries, pairs = layer.heads * N, layer.heads * N * N
        largest = N * (2**KERNEL_WIDTH - 1)
        token, value = config.token_width, config.value_width
        x, v = D * token, E * value
        keys = layer.heads * -(-N // self.reuse) * N
        return [
            *_products("q·k", pairs * D, token, token, bits.dot_width),
            _multiply("scale", pairs, bits.scaled_dot_width, ROOT_FRACTION + 1),
            _add("maximum", pairs, bits.dot_width),
            _add("difference", pairs, bits.cosine_width),
            _table("exponential", pairs, KERNEL_WIDTH, KERNEL_INDEX_BITS),
            _add("sum of weights", pairs, largest.bit_length()),
            *_products("weights·v", pairs * E, KERNEL_WIDTH, value,
                       signed_width(largest << value - 1)),
            _add("division", queries * E * config.output_width, largest.bit_length()),
            _move("queries", queries * x, queries * x / 8),
            _move("keys and values", keys * (x + v), N * (x + v) / 8),
            _outputs(queries * E, config),
        ]

    def _ecoformer(self, layer, config):
        bits = Arithmetic(config)
        D, E, b, m = layer.head_dim, layer.value_dim, config.code_bits, config.anchors
        n = layer.heads * layer.tokens  # tokens of all heads
        slots = config.parameter_sets + 1
        token, value = config.token_width, config.value_width
        weight = bits.weights.bits
        incoming = n * (D * token + E * value)
        parameters = {
            "anchors": m * D * weight,
            "bias": m * BIAS_WIDTH,
            "projection": m * b * weight,
            "thresholds": b * THRESHOLD_SLOT,
        }
        sums = b * bits.code_sum_width + E * bits.plain_sum_width
        ring = layer.tokens * b
        return [
            *_products("‖x‖²", n * D, token, token, bits.norm_width),
            *_products("x·a", n * m * D, token, weight, bits.dot_width),
            *_products("kernel", n * m, bits.scaled_dot_width, ROOT_FRACTION + 1,
                       bits.cosine_width),
            *_products("projection", n * m * b, KERNEL_WIDTH, weight, bits.projection_width),
            _add("threshold", n * b, bits.projection_width),
            _add("code sum z", n * b, bits.code_sum_width),
            _add("value sum V", n * E, bits.plain_sum_width),
            _add("h·z", n * b, bits.similarity_sum_width),
            *_products("offset C·V", n * E, bits.offset_width, bits.plain_sum_width,
                       bits.numerator_width),
            *_products("offset C·n", n, bits.offset_width, bits.count_width,
                       bits.denominator_width),
            _add("dividend", 2 * n * E, bits.dividend_width),
            _add("range", 2 * n * E, bits.dividend_width),
            _add("division", n * E * config.output_width, bits.denominator_width),
            _move("tokens and values", incoming, incoming / 8),
            *(_move(name, n * size, slots * size / 8) for name, size in parameters.items()),
            _table("root table", n, ROOT_FRACTION + 1, ROOT_INDEX_BITS),
            _table("kernel table", n * m, KERNEL_WIDTH, KERNEL_INDEX_BITS),
            _move("code ring", 2 * n * b, ring / 8),
            *STATES[config.dataflow](layer, config),
            _move("sums z and V", 3 * n * sums, sums / 8),
            _outputs(n * E, config),
            _load(layer.heads * sum(parameters.values())),
        ]


def _state(layer, config):
    """S, read and written for a key, read for a query."""
    bits = Arithmetic(config)
    elements = config.code_bits * config.value_dim
    n, state = layer.heads * layer.tokens, elements * bits.state_width
    return [
        _add("state S", n * elements, bits.state_width),
        _add("h·S", n * elements, bits.value_sum_width),
        _move("state S", 3 * n * state, state / 8),
    ]


def _tables(layer, config):
    """Tables of sums by code, transformed once for each head, and of what queries add up."""
    bits, g = Arithmetic(config), config.group_bits
    elements = config.state_fold.inputs * config.value_dim
    n, each = layer.heads * layer.tokens, layer.heads * elements
    entry, answer = bits.plain_sum_width, bits.table_sum_width
    table, answers = (elements << g) * entry, (elements << g - 1) * answer
    return [
        _add("tables", n * elements, entry),
        _add("transform, rows", each * g << g, bits.state_width),
        _add("transform, sums", each * (g - 1) << g - 1, answer),
        _add("h·S", n * elements, bits.value_sum_width),
        _move("tables", 2 * n * elements * entry + layer.heads * table, table / 8),
        _move("h·S of groups", n * elements * answer + layer.heads * answers, answers / 8),
    ]


STATES = {"accumulate": _state, "bucketed": _tables}
"""What keeps the state costs, by dataflow; every other one is counted as ``accumulate``."""


@lru_cache(maxsize=1024)
def _engine(engine, code_bits, anchors, head_dim, value_dim, tokens):
    """The configuration that gives the widths; its rate is the slowest, which always fits."""
    return Config(
        head_dim=head_dim, value_dim=value_dim, code_bits=code_bits, anchors=anchors,
        max_tokens=tokens, cycles_per_token=1_024, bus_bytes=512,
        token_width=engine.token_width, value_width=engine.value_width,
        output_width=engine.output_width, output_fraction=engine.output_fraction,
        offset_fraction=engine.offset_fraction, parameter_sets=engine.parameter_sets,
        dataflow=engine.dataflow if engine.dataflow in STATES else "accumulate",
    )


def _multiply(what, count, a, b):
    return Operation("multiplication", what, count, multiplier(a, b))


def _add(what, count, width):
    return Operation("addition", what, count, adder(width))


def _products(what, count, a, b, width):
    """Products of ``a`` × ``b`` bits, summed in ``width`` bits."""
    return [_multiply(what, count, a, b), _add(what, count, width)]


def _move(what, bits, size):
    """So many ``bits`` to or from a memory of ``size`` bytes."""
    return Operation("memory", what, bits, sram(size))


def _table(what, count, width, index_bits):
    return _move(what, count * width, (width << index_bits) / 8)


def _moved(inputs, results):
    """Activations read and written, each from and to a buffer as large as all of them."""
    return [
        _move("inputs", inputs * ACTIVATION, inputs * ACTIVATION / 8),
        _move("results", results * ACTIVATION, results * ACTIVATION / 8),
    ]


def _outputs(elements, config):
    return _move("outputs", elements * config.output_width, elements * config.output_width / 8)


def _load(bits):
    return Operation("dram", "parameters", bits, DRAM)
