# SPDX-License-Identifier: Apache-2.0
"""Small decoders that cover the shapes a decoder may have."""

from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["DECODERS", "make_decoder"]


def make_decoder(engine: dict | None = None, **changes) -> DecoderDesign:
    """A decoder of a block of two heads with three contexts; ``engine`` changes its attention."""
    shape = dict(
        vocabulary=11, positions=5, width=8, heads=2, depth=1, hidden=16, cycles_per_token=16,
    ) | changes
    dim = shape["width"] // shape["heads"]
    own = dict(
        head_dim=dim, value_dim=dim, code_bits=6, hash="linear", weights="ternary", mask="causal",
        contexts=3, max_tokens=16, cycles_per_token=8,
    )
    return DecoderDesign(**shape, attention=Config(**own | (engine or {})))


DECODERS = {
    "a block": make_decoder(),
    "two blocks": make_decoder(depth=2, hidden=5, vocabulary=3),
    "separate queries": make_decoder({"queries": "separate", "offset_fraction": 2}),
    "kernelized hash": make_decoder({"hash": "rbf", "anchors": 5, "contexts": 1}),
    "own values": make_decoder({"value_term": "own", "contexts": 4}),
    "one position": make_decoder(positions=1, vocabulary=2, residual_width=12),
    "one head": make_decoder(heads=1, width=6, hidden=7, weights="pow2"),
    "ternary": make_decoder({"contexts": 5}, weights="ternary", width=12, heads=3),
    "two lanes": make_decoder(hidden=24, vocabulary=27),
    "four lanes": make_decoder({"contexts": 64}, hidden=64, answer="best"),
    "many tokens": make_decoder(vocabulary=300, cycles_per_token=75),
}
