# SPDX-License-Identifier: Apache-2.0
"""The paper's accounting: FP32 operations, no memory, squared distances without a product."""

from ecoformer.golden.energy.operations import Operation
from ecoformer.golden.energy.prices import FLOAT_ADDITION, FLOAT_MULTIPLICATION
from ecoformer.golden.energy.shapes import (
    Attention,
    Convolution,
    Elementwise,
    Layer,
    Linear,
    Norm,
)

__all__ = ["Paper"]


class Paper:
    """Operations of a layer as arXiv 2209.09004 and its released code count them.

    Parameters
    ----------
    code_bits, anchors : int
        Bits b of a code and support samples m of the hash.
    """

    name = "paper"
    assumptions = (
        "45 nm FP32 (Horowitz, ISSCC 2014): 3.7 pJ a multiplication, 0.9 pJ an addition; "
        "no memory",
        "one multiply-accumulate is one of each, so is a convolution's bias; a layer norm has two "
        "of each per element; no linear bias, activation, residual, position or pooling",
        "softmax: 2N²D + N² multiplications and 2N²D additions per head, no exponential, "
        "no division",
        "EcoFormer: squared distances count as additions only, the division as one multiplication",
    )

    def __init__(self, code_bits: int, anchors: int):
        self.code_bits = code_bits
        self.anchors = anchors

    def operations(self, layer: Layer) -> list[Operation]:
        """List of `Operation` of ``layer``."""
        return {
            Convolution: self._convolution,
            Linear: self._linear,
            Norm: self._norm,
            Elementwise: lambda layer: [],
            Attention: self._attention,
        }[type(layer)](layer)

    def _convolution(self, layer):
        return [
            *_each("weights", layer.tokens * layer.weights),
            *_each("bias", layer.tokens * layer.outputs),
        ]

    def _linear(self, layer):
        return _each("weights", layer.tokens * layer.weights)

    def _norm(self, layer):
        return _each("norm", 2 * layer.tokens * layer.width)

    def _attention(self, layer):
        return {"softmax": self._softmax, "ecoformer": self._ecoformer}[layer.kind](layer)

    def _softmax(self, layer):
        N, D, E, heads = layer.tokens, layer.head_dim, layer.value_dim, layer.heads
        return [
            *_each("q·k", heads * N * N * D),
            _multiplication("scale", heads * N * N),
            *_each("weights·v", heads * N * N * E),
        ]

    def _ecoformer(self, layer):
        N, D, E, heads = layer.tokens, layer.head_dim, layer.value_dim, layer.heads
        b, m = self.code_bits, self.anchors
        return [
            _addition("squared distances", heads * 2 * N * m * D),
            _multiplication("kernel", heads * 2 * N * m),
            *_each("projection", heads * N * m * b),
            _addition("code sum z", heads * N * b),
            *_each("h·z", heads * N * b),
            _multiplication("reciprocal", heads * N),
            _addition("state S", heads * N * b * E),
            _addition("h·S", heads * N * b * E),
            _addition("offset", heads * N * E),
            _multiplication("quotient", heads * N * E),
        ]


def _multiplication(what, count):
    return Operation("multiplication", what, count, FLOAT_MULTIPLICATION[32])


def _addition(what, count):
    return Operation("addition", what, count, FLOAT_ADDITION[32])


def _each(what, count):
    return [_multiplication(what, count), _addition(what, count)]
