# SPDX-License-Identifier: Apache-2.0
"""Kinds of attention: what attends to what, and which engine computes it.

An engine computes one kind, so a network with several needs several engines.
"""

from typing import Any

from ecoformer.spec.choices import Mask, Queries
from ecoformer.spec.config import Config

__all__ = ["KINDS", "engine_kind", "kind_of"]

KINDS: dict[str, dict[str, Any]] = {
    "self": {"mask": Mask.FULL},
    "causal": {"mask": Mask.CAUSAL},
    "cross": {"mask": Mask.FULL, "queries": Queries.CROSS},
}
"""What an engine for a kind must have, by field.

``self``: a sequence attends to all of itself. ``causal``: each of its tokens to those before it.
``cross``: a sequence attends to another.
"""


def kind_of(mask: str, cross: bool) -> str:
    """Kind of attention with this mask, where ``cross`` says that queries are of other tokens."""
    if mask == Mask.CAUSAL:
        return "causal"
    return "cross" if cross else "self"


def engine_kind(config: Config) -> str:
    """Kind of attention that an engine of ``config`` computes."""
    return kind_of(config.mask, config.queries == Queries.CROSS)
