# SPDX-License-Identifier: Apache-2.0
"""Every attention core, and which one a configuration gets."""

from ecoformer.hw.attention.accumulate import AccumulateCore
from ecoformer.hw.attention.bucketed import BucketedCore
from ecoformer.hw.attention.causal import CausalCore
from ecoformer.hw.attention.causal_xnor import CausalXnorCore
from ecoformer.hw.attention.core import AttentionCore
from ecoformer.hw.attention.cross import (
    CrossAccumulateCore,
    CrossBucketedCore,
    CrossSystolicCore,
)
from ecoformer.hw.attention.serial import SerialCore
from ecoformer.hw.attention.softmax import SoftmaxCore
from ecoformer.hw.attention.systolic import SystolicCore
from ecoformer.hw.attention.xnor import CrossXnorCore, XnorCore
from ecoformer.spec.config import Config

__all__ = ["CORES", "core_class"]

CORES = (
    CausalCore, CausalXnorCore, CrossSystolicCore, CrossAccumulateCore, CrossBucketedCore,
    CrossXnorCore, SystolicCore, SerialCore, AccumulateCore, BucketedCore, XnorCore, SoftmaxCore,
)
"""Special cases come before the general one."""


def core_class(config: Config) -> type[AttentionCore]:
    """The core of the engine: the first that fits."""
    return next(core for core in CORES if core.fits(config))
