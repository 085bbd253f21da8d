# SPDX-License-Identifier: Apache-2.0
"""Small networks that cover the shapes a network may have."""

from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["DESIGNS", "make_design"]


def make_design(engine: dict | None = None, **changes) -> NetworkDesign:
    """A network of two blocks of two heads; ``engine`` changes its attention."""
    shape = dict(
        image_size=6, channels=1, patch=2, width=8, heads=2, depth=2, hidden=12, classes=3,
        cycles_per_token=64,
    ) | changes
    dim = shape["width"] // shape["heads"]
    own = dict(head_dim=dim, value_dim=dim, code_bits=6, anchors=5, max_tokens=16)
    return NetworkDesign(**shape, attention=Config(**own | (engine or {})))


DESIGNS = {
    "two blocks": make_design(),
    "separate queries": make_design({"queries": "separate"}),
    "linear hash": make_design({"hash": "linear", "weights": "ternary"}),
    "one token": make_design(image_size=3, patch=3, channels=2),
    "one head": make_design(heads=1, width=6, hidden=5),
    "patches of a pixel": make_design(image_size=3, patch=1),
    "width 12": make_design(width=12, heads=3, residual_width=12),
    "pow2": make_design(weights="pow2", depth=1),
    "ternary": make_design({"queries": "separate"}, weights="ternary", depth=1, residual_width=18),
    "one of everything": make_design(
        image_size=1, patch=1, width=4, heads=1, depth=1, hidden=1, classes=1
    ),
}
