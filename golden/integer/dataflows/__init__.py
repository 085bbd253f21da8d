# SPDX-License-Identifier: Apache-2.0
"""Dataflows in integers, one function and one file per form: numerators and denominators."""

from collections.abc import Callable

from ecoformer.golden.integer.dataflows import linear, pairwise, softmax
from ecoformer.spec.choices import Dataflow

__all__ = ["DATAFLOWS"]

DATAFLOWS: dict[Dataflow, Callable] = {
    Dataflow.ACCUMULATE: linear.sums,
    Dataflow.BUCKETED: linear.sums,  # another order of the same additions
    Dataflow.XNOR: pairwise.sums,
    Dataflow.SOFTMAX: softmax.sums,
}
"""``sums(config, image, index, keys, values, queries)`` of every ``dataflow``.

From keys [..., N, b], values [..., N, E] and queries [..., M, b] it makes numerators [..., M, E]
and denominators [..., M].
"""
