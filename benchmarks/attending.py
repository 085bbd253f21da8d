# SPDX-License-Identifier: Apache-2.0
"""A converted network on engines, one for each kind of its attention."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from ecoformer.files import cache_folder
from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.hardware import Target
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.evaluation import CheckedEngine
from ecoformer.golden.quantize.inference import EngineAttention, override_attention
from ecoformer.golden.recording import record
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.spec.config import Config

__all__ = ["Engines", "simulated"]


class Engines:
    """Engines with the parameters of a converted network.

    Parameters
    ----------
    network : Module
    configs : list of Config
        An engine for every kind of attention in the network.
    batches : list
        Calibration data, as in :func:`golden.convert.convert.convert`; sets the scales.
    """

    def __init__(self, network: nn.Module, configs: Sequence[Config], batches: Sequence):
        self.parts = []
        cores = cores_of(network)

        @torch.no_grad()
        def run():
            for batch in batches:
                run_model(network, batch)

        tape = record(cores, run)
        for config in configs:
            mine, calls = Target(config).own(cores, tape)
            self.parts.append((config, calibrate(config, mine, calls), mine))

    @contextlib.contextmanager
    def attending(self, make: Callable) -> Iterator[list[Any]]:
        """Meanwhile the network attends on engines ``make(config, image)``, which it gives."""
        with contextlib.ExitStack() as stack:
            engines = []
            for config, image, layers in self.parts:
                engines.append(make(config, image))
                attention = EngineAttention(config, image, layers, engines[-1])
                stack.enter_context(override_attention(layers, attention))
            yield engines


def simulated(config: Config, image) -> CheckedEngine:
    """The RTL, every word compared with the integer model."""
    return CheckedEngine(config, image, Rtl(config, emit(config), image, cache_folder("builds")))
