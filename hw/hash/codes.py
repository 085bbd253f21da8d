# SPDX-License-Identifier: Apache-2.0
"""No hash: the host sends codes, or tokens are compared as they are."""

from amaranth import *

from ecoformer.hw.hash.unit import HashUnit
from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.parameters.memory import ParameterMemory
from ecoformer.spec.config import Config

__all__ = ["CodeInput"]


class CodeInput(HashUnit):
    """`HashUnit` without a hash: the host sends codes, or softmax attention needs none."""

    pipeline_latency = ParameterMemory.LATENCY

    @classmethod
    def fits(cls, config: Config) -> bool:
        return not config.family.folds

    def pipeline(self, m: Module, start: Value) -> tuple[Value, Value]:
        """The code itself, delayed like the token's scalar parameters."""
        wait = self.pipeline_latency
        done = delay(m, start, wait, name="started", reset=True)
        return done, delay(m, Value.cast(self.i.payload.x), wait, name="code")
