# SPDX-License-Identifier: Apache-2.0
"""The memory of an engine whose depth depends on the longest sequence, or on the contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = ["Capacity", "BUFFER_BITS"]

BUFFER_BITS = 3_833_856
"""Block RAM of the default target, an ECP5 LFE5U-85F: 208 blocks of 18 kbit."""


class Capacity:
    """Buffers of tokens, values and results.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config

    @property
    def waiting_tokens(self) -> int:
        """Tokens, and results, that each of several engines buffers: a whole packet.

        Packets come and go faster than one engine works. How much of a packet must wait depends
        on the number of engines if all packets have one length; the worst case is all of it.
        """
        return self.config.max_tokens if self.config.engines > 1 else 0

    @property
    def buffer_bits(self) -> int:
        """Bits of the buffers whose depth depends on a sequence or on contexts; no tags."""
        c = self.config
        token = sum(inlet.token_bits for inlet in c.wire.inlets)
        result = c.value_dim * c.output_width
        return c.engines * (self.waiting_tokens * (token + result) + c.flow.buffer_bits)

    def check(self) -> None:
        """Refuse buffers larger than :data:`BUFFER_BITS` (ValueError)."""
        flow = self.config.flow
        if self.buffer_bits > BUFFER_BITS:
            raise ValueError(
                f"{flow.grows_with} must keep the {flow.buffers} within {BUFFER_BITS} bits, not "
                f"{self.buffer_bits} at {getattr(self.config, flow.grows_with)} "
                f"{flow.grows_with.removeprefix('max_')}"
            )
