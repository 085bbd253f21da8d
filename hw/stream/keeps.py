# SPDX-License-Identifier: Apache-2.0
"""Null bytes: which bytes of a token's beat are data."""

from amaranth import *

from ecoformer.spec.config import Config

__all__ = ["kept_bytes"]


def kept_bytes(config: Config, token_bytes: int, last: Value) -> Value:
    """``tkeep`` of a beat of a token, which is its ``last`` or not: only that one has padding.

    Same as `spec.wire.keeps`.
    """
    bus = config.bus_bytes
    data = (token_bytes - 1) % bus + 1  # bytes of the last beat
    return Cat(C((1 << data) - 1, data), (~last).replicate(bus - data))
