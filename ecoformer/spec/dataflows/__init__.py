# SPDX-License-Identifier: Apache-2.0
"""Dataflows: what each form of the attention core needs; one file per dataflow."""

from ecoformer.spec.choices import Dataflow, Mask, Queries
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.causal import CausalAccumulate, CausalXnor
from ecoformer.spec.dataflows.cross import CrossAccumulate, CrossBucketed, CrossXnor
from ecoformer.spec.dataflows.linear import Accumulate
from ecoformer.spec.dataflows.softmax import Softmax
from ecoformer.spec.dataflows.xnor import Xnor

__all__ = ["CROSS", "DATAFLOWS", "Flow", "flow_class"]

DATAFLOWS: dict[Mask, dict[Dataflow, type[Flow]]] = {
    Mask.FULL: {
        Dataflow.ACCUMULATE: Accumulate,
        Dataflow.XNOR: Xnor,
        Dataflow.BUCKETED: Bucketed,
        Dataflow.SOFTMAX: Softmax,
    },
    Mask.CAUSAL: {
        Dataflow.ACCUMULATE: CausalAccumulate,
        Dataflow.XNOR: CausalXnor,
    },
}
"""The flow of every ``dataflow`` under every ``mask`` that it goes with."""
CROSS: dict[Dataflow, type[Flow]] = {
    Dataflow.ACCUMULATE: CrossAccumulate,
    Dataflow.XNOR: CrossXnor,
    Dataflow.BUCKETED: CrossBucketed,
}
"""The flow of every ``dataflow`` that queries of their own stream go with."""
REFUSED = {
    Dataflow.BUCKETED: "whose tables are made once from a whole sequence",
    Dataflow.SOFTMAX: "which reads a whole sequence before its first answer",
}
"""Why a dataflow does not go with a causal mask."""


def flow_class(dataflow: Dataflow, mask: Mask, queries: Queries = Queries.SHARED) -> type[Flow]:
    """The flow of a dataflow under a mask, for queries that come with their keys or do not.

    Raises
    ------
    ValueError
        They do not go together.
    """
    if queries is Queries.CROSS:
        return _cross_class(dataflow, mask)
    flows = DATAFLOWS[mask]
    if dataflow not in flows:
        allowed = " or ".join(map(repr, flows))
        raise ValueError(
            f"dataflow must be {allowed} with mask = {mask!r}, not {dataflow!r}, "
            f"{REFUSED[dataflow]}"
        )
    return flows[dataflow]


def _cross_class(dataflow, mask):
    if mask is not Mask.FULL:
        raise ValueError(
            f"mask must be {Mask.FULL!r} with queries = {Queries.CROSS!r}, because queries of "
            f"another sequence come neither before nor after a key, not {mask!r}"
        )
    if dataflow not in CROSS:
        allowed = " or ".join(map(repr, CROSS))
        raise ValueError(
            f"dataflow must be {allowed} with queries = {Queries.CROSS!r}, not {dataflow!r}, "
            "which this version builds for queries that come with their keys only"
        )
    return CROSS[dataflow]
