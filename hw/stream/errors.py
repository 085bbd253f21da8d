# SPDX-License-Identifier: Apache-2.0
"""Errors of the streams in hardware: their numbers, and their flags."""

from amaranth.hdl import Const, Value

from ecoformer.spec.registers import STREAM_ERROR_BITS, Error

__all__ = ["error_flag", "error_number"]


def error_number(error: Error) -> Const:
    """The number of an error of the streams, in as many bits as hold each of them."""
    return Const(error, STREAM_ERROR_BITS)


def error_flag(error: Error, strobe: Value) -> Value:
    """``strobe`` in the bit of an error of the streams."""
    return strobe << error_number(error)
