# SPDX-License-Identifier: Apache-2.0
"""Small decoders whose Verilog is simulated."""

from tests.golden.integer.network.decoders import make_decoder

__all__ = ["DECODERS", "TINY_DECODER"]

TINY_DECODER = make_decoder(
    {"code_bits": 2}, vocabulary=5, positions=3, width=4, heads=1, hidden=32,
)
"""The smallest with two elements at once: three contexts of three tokens of four elements.

Its layer ``down`` works on elements as they come.
"""

DECODERS = {
    # All elements one after another, separate queries, one context and two blocks.
    "one by one": make_decoder(
        {"queries": "separate", "contexts": 1}, depth=2, hidden=9, vocabulary=3,
        cycles_per_token=20,
    ),
    # Four at once, without multipliers, best tokens; kernelized hashes and own values.
    "four at once": make_decoder(
        {"hash": "rbf", "anchors": 5, "value_term": "own", "contexts": 5}, hidden=50,
        vocabulary=27, weights="pow2", answer="best", positions=4,
    ),
}
