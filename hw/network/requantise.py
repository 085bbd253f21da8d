# SPDX-License-Identifier: Apache-2.0
"""From sums to outputs: shift and saturate."""

from amaranth import *

from ecoformer.hw.lib.pipeline import register, shift_right
from ecoformer.spec.arithmetic import signed_range

__all__ = ["REQUANTISE_LATENCY", "requantise", "saturate"]

REQUANTISE_LATENCY = 3
"""Cycles of :func:`requantise`."""


def requantise(m: Module, total: Value, shift: Value, width: int, *, name: str) -> Value:
    """⌊total / 2^shift⌋ in ``width`` signed bits, ``REQUANTISE_LATENCY`` cycles later."""
    shifted = shift_right(m, total, shift, len(total), name=f"{name}_shifted")
    return register(m, saturate(shifted, width), name=name)


def saturate(value: Value, width: int) -> Value:
    """``value`` limited to what ``width`` signed bits hold."""
    if len(value) <= width:
        return value
    low, high = signed_range(width)
    fits = value[width - 1 :].all() | ~value[width - 1 :].any()
    limit = Mux(value[-1], C(low, signed(width)), C(high, signed(width)))
    return Mux(fits, value[:width].as_signed(), limit)
