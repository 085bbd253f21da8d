# SPDX-License-Identifier: Apache-2.0
"""Dataflows: what each form of the attention core needs; one file per dataflow."""

from ecoformer.spec.choices import Dataflow, Mask
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.causal import CausalAccumulate, CausalXnor
from ecoformer.spec.dataflows.linear import Accumulate
from ecoformer.spec.dataflows.softmax import Softmax
from ecoformer.spec.dataflows.xnor import Xnor

__all__ = ["DATAFLOWS", "Flow", "flow_class"]

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
REFUSED = {
    Dataflow.BUCKETED: "whose tables are made once from a whole sequence",
    Dataflow.SOFTMAX: "which reads a whole sequence before its first answer",
}
"""Why a dataflow does not go with a causal mask."""


def flow_class(dataflow: Dataflow, mask: Mask) -> type[Flow]:
    """The flow of a dataflow under a mask.

    Raises
    ------
    ValueError
        The two do not go together.
    """
    flows = DATAFLOWS[mask]
    if dataflow not in flows:
        allowed = " or ".join(map(repr, flows))
        raise ValueError(
            f"dataflow must be {allowed} with mask = {mask!r}, not {dataflow!r}, "
            f"{REFUSED[dataflow]}"
        )
    return flows[dataflow]
