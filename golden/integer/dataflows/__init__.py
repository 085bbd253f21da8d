# SPDX-License-Identifier: Apache-2.0
"""Dataflows in integers, one function and one file per form: numerators and denominators."""

from collections.abc import Callable

from ecoformer.golden.integer.dataflows import causal, linear, pairwise, softmax
from ecoformer.spec.choices import Dataflow, Mask

__all__ = ["DATAFLOWS"]

DATAFLOWS: dict[Mask, dict[Dataflow, Callable]] = {
    Mask.FULL: {
        Dataflow.ACCUMULATE: linear.sums,
        Dataflow.BUCKETED: linear.sums,  # another order of the same additions
        Dataflow.XNOR: pairwise.sums,
        Dataflow.SOFTMAX: softmax.sums,
    },
    Mask.CAUSAL: {
        Dataflow.ACCUMULATE: causal.sums,
        Dataflow.XNOR: pairwise.causal_sums,
    },
}
"""``sums(config, image, index, keys, values, queries)`` of every ``dataflow`` under every ``mask``.

From keys [..., N, b], values [..., N, E] and queries [..., M, b] it makes numerators [..., M, E]
and denominators [..., M]. Under a causal mask M is N.
"""
