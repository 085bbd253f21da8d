# SPDX-License-Identifier: Apache-2.0
"""A network with its attention in integers, by the integer model or by simulated hardware.

An :class:`EngineAttention` overrides the float attention of every layer and does what the host does
beside an accelerator: quantise, send a packet per head, and scale the results back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.quantize.host import dequantise_outputs
from ecoformer.golden.quantize.packing import make_packing, workload_of
from ecoformer.golden.recording import Call
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["EngineAttention", "override_attention", "packets"]


class EngineAttention:
    """The attention of a network, or that of one kind, run on an engine.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    layers : list of EcoFormerAttention
        All layers whose parameters the image holds: they determine which sets belong to which.
    engine : object
        With ``attend(workload) -> list of int64 [N, E]``: an
        :class:`golden.integer.engine.IntegerEngine`, simulated hardware, or a device. Workloads
        have queries of their own with ``queries = "cross"``, and go on with contexts under a causal
        mask.
    observer : callable or None
        Called as ``observer(workload, outputs)`` after every layer.
    """

    def __init__(
        self,
        config: Config,
        image: ParameterImage,
        layers: Sequence[EcoFormerAttention],
        engine: Any,
        observer: Callable[[Workload, list[np.ndarray]], None] | None = None,
    ):
        self.config = config
        self.image = image
        self.packing = make_packing(config, image, layers)
        self.cross = {layer.layer: layer.cross for layer in layers}
        self.engine = engine
        self.observer = observer

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        key_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Outputs [B, H, M, E] of one layer; shapes as in :class:`golden.recording.Call`.

        The outputs of padding, and of queries to nothing but padding, are 0.

        Raises
        ------
        EcoformerError
            A call of another kind than the engine computes, or one that is too long for it.
        """
        call = Call(q, k, v, key_mask, self.cross[layer])
        sent = list(self.packing.packets(layer, call))
        outputs: list[np.ndarray] = []
        if sent:
            workload = workload_of(sent)
            outputs = self.engine.attend(workload)
            if self.observer is not None:
                self.observer(workload, outputs)
        return self._results(layer, call, outputs)

    def workload(self, layer: int, call: Call) -> Workload:
        """The packets of one layer, image by image and head by head, without padding."""
        return workload_of(self.packing.packets(layer, call))

    def _results(self, layer, call, outputs):
        scales = self.image.value_scale[self.packing.numbers[layer]]
        batch, heads, queries, _ = call.q.shape
        results = np.zeros((batch, heads, queries, call.v.shape[-1]), np.float32)
        rows = self.packing.answered(call)
        answers = iter(outputs)
        for n in self.packing.sent(call):
            for head, scale in enumerate(scales):
                answer = next(answers)
                wanted = answer[len(answer) - rows[n].sum() :]
                results[n, head, rows[n]] = dequantise_outputs(self.config, wanted, scale)
        return torch.from_numpy(results)


def packets(
    config: Config,
    image: ParameterImage,
    layers: Sequence[EcoFormerAttention],
    tape: Sequence[Sequence[Call]],
) -> Workload:
    """What the engine gets for the calls on ``tape``, layer by layer."""
    packing = make_packing(config, image, layers)
    return workload_of(
        packet
        for layer, calls in zip(layers, tape, strict=True)
        for call in calls
        for packet in packing.packets(layer.layer, call)
    )


@contextmanager
def override_attention(
    layers: Sequence[EcoFormerAttention], attention: Callable[..., torch.Tensor]
) -> Iterator[None]:
    """Let every one of ``layers`` attend with ``attention``, and in float again at the end."""
    for layer in layers:
        layer.override = attention
    try:
        yield
    finally:
        for layer in layers:
            layer.override = None
