# SPDX-License-Identifier: Apache-2.0
"""Attention of a network on real hardware, by way of a driver's device."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.quantize.host import dequantise_outputs, quantise_tokens, quantise_values
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["Answering", "DeviceAttention", "DeviceEngine"]


class Answering(Protocol):
    """A device, such as `ecoformer.driver.device.Device`."""

    def answer(
        self, sequences: Iterable[tuple[int, np.ndarray, np.ndarray]]
    ) -> Iterator[np.ndarray]:
        """Results of sequences of (set, tokens, values): int64 [N, E] each."""


class DeviceEngine:
    """A device that is called as the integer model is, for whole networks.

    Parameters
    ----------
    device : Answering
        With its parameters loaded.
    """

    def __init__(self, device: Answering):
        self.device = device

    def attend(self, workload: Workload) -> list[np.ndarray]:
        """Results of every sequence: list of int64 [N, E].

        Raises
        ------
        EcoformerError
            Queries of their own, or sequences that go on with a context, neither of which drivers
            send.
        """
        if workload.queries is not None or not workload.begins.all():
            raise EcoformerError(
                "device: drivers send whole sequences with their queries; run cross attention, and "
                "contexts that go on, in simulation"
            )
        return list(self.device.answer(workload.sequences()))


class DeviceAttention(nn.Module):
    """One layer's attention on a device: float in, float out, integers on the way.

    Parameters
    ----------
    config : Config
    image : ParameterImage
        The parameters that the device has loaded; its scales are the host's.
    device : Answering
    sets : sequence of int
        Parameter set of every head.
    """

    def __init__(
        self, config: Config, image: ParameterImage, device: Answering, sets: Sequence[int]
    ):
        super().__init__()
        self.config, self.image, self.device, self.sets = config, image, device, tuple(sets)

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Outputs float32 [B, H, N, E] of queries and keys [B, H, N, D] and values [B, H, N, E].

        With shared queries, ``k`` is both.
        """
        vectors = {"x": k, "q": q, "k": k}
        values = v.detach().cpu().numpy()
        sequences = []
        for n in range(len(values)):
            for head, index in enumerate(self.sets):
                tokens = np.concatenate(
                    [self._tokens(vectors[s.vector][n, head], s, index)
                     for s in self.config.sides.all],
                    axis=-1,
                )
                scale = self.image.value_scale[index]
                sequences.append(
                    (index, tokens, quantise_values(self.config, values[n, head], scale))
                )
        outputs = np.zeros(values.shape, np.float32)
        for number, output in enumerate(self.device.answer(sequences)):
            n, head = divmod(number, len(self.sets))
            scale = self.image.value_scale[self.sets[head]]
            outputs[n, head] = dequantise_outputs(self.config, output, scale)
        return torch.from_numpy(outputs).to(v.device)

    def _tokens(self, x, side, index):
        image = self.image.side(side)
        return quantise_tokens(
            self.config, x.detach().cpu().numpy(), image.token_scale[index],
            image.unit_tokens[index],
        )
