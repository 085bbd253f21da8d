# SPDX-License-Identifier: Apache-2.0
"""Dataflows: what each form of the attention core needs; one file per dataflow."""

from ecoformer.spec.choices import Dataflow
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.linear import Accumulate
from ecoformer.spec.dataflows.softmax import Softmax
from ecoformer.spec.dataflows.xnor import Xnor

__all__ = ["Flow", "DATAFLOWS"]

DATAFLOWS: dict[Dataflow, type[Flow]] = {
    Dataflow.ACCUMULATE: Accumulate,
    Dataflow.XNOR: Xnor,
    Dataflow.BUCKETED: Bucketed,
    Dataflow.SOFTMAX: Softmax,
}
"""The flow of every ``dataflow``."""
