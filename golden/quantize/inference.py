# SPDX-License-Identifier: Apache-2.0
"""A network with its attention in integers, by the integer model or by simulated hardware.

An :class:`EngineAttention` overrides the float attention of every layer and does what the host does
beside an accelerator: quantise, send a packet per head, and scale the results back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.quantize.calibration import set_numbers
from ecoformer.golden.quantize.host import dequantise_outputs, quantise_tokens, quantise_values
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["EngineAttention", "IntegerEngine", "override_attention"]


class IntegerEngine:
    """The integer model, called as hardware is: results per sequence of a workload.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    """

    def __init__(self, config: Config, image: ParameterImage):
        self.config = config
        self.image = image

    def attend(self, workload: Workload) -> list[np.ndarray]:
        """Results of every sequence: list of int64 [N, E]."""
        return self.attend_sequences(workload.sequences())

    def attend_sequences(
        self,
        sequences: Iterable[tuple[int, np.ndarray, np.ndarray]],
        queries: Sequence[tuple[int, np.ndarray]] | None = None,
    ) -> list[np.ndarray]:
        """Results of every sequence: list of int64 [M, E].

        Parameters
        ----------
        sequences : iterable of (int, int64 [N, D], int64 [N, E])
            Parameter set, tokens and values.
        queries : list of (int, int64 [M, D]) or None
            Parameter set and tokens of the separate queries of each sequence.
        """
        sequences = list(sequences)
        outputs: list[np.ndarray] = [np.empty(0)] * len(sequences)
        groups: dict[tuple, list[int]] = {}
        for number, (index, tokens, _) in enumerate(sequences):
            shape = () if queries is None else (queries[number][0], len(queries[number][1]))
            groups.setdefault((index, len(tokens), *shape), []).append(number)
        for (index, *_), members in groups.items():  # sequences of equal shape run at once
            tokens, values = (np.stack([sequences[i][part] for i in members]) for part in (1, 2))
            separate = None
            if queries is not None:
                separate = queries[members[0]][0], np.stack([queries[i][1] for i in members])
            results, _ = attend(self.config, self.image, index, tokens, values, separate)
            for number, result in zip(members, results, strict=True):
                outputs[number] = result
        return outputs


class EngineAttention:
    """The attention of a network, run on an engine.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    layers : list of EcoFormerAttention
        All layers of the network: they determine which parameter sets belong to which layer.
    engine : object
        With ``attend(workload) -> list of int64 [N, E]``. Separate queries need an
        :class:`IntegerEngine`: no hardware takes them yet.
    observer : callable or None
        Called as ``observer(workload, outputs)`` after every layer with shared queries.

    Raises
    ------
    EcoformerError
        The queries are separate and the engine does not take separate ones.
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
        self.numbers = {
            layer.layer: numbers for layer, numbers in zip(layers, set_numbers(layers), strict=True)
        }
        separate = any(numbers.shape[1] > 1 for numbers in self.numbers.values())
        if separate and engine is not None and not hasattr(engine, "attend_sequences"):
            raise EcoformerError(
                "model: its queries have hashes of their own, which this version runs in the "
                "integer model only; use queries = 'shared' for hardware"
            )
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

        With shared queries the outputs of padding are 0.
        """
        sequences = self._sequences(layer, k, v, key_mask)
        if self.numbers[layer].shape[1] == 1:
            workload = Workload.from_sequences(sequences)
            outputs = self.engine.attend(workload)
            if self.observer is not None:
                self.observer(workload, outputs)
            return self._results(layer, outputs, _mask(k, key_mask), v.shape[-1])
        queries = self._tokens(layer, 1, q, None)
        outputs = self.engine.attend_sequences(sequences, queries)
        return self._results(layer, outputs, _mask(q, None), v.shape[-1])

    def workload(
        self, layer: int, k: torch.Tensor, v: torch.Tensor, key_mask: torch.Tensor | None = None
    ) -> Workload:
        """The packets of one layer with shared queries, image by image and head by head."""
        return Workload.from_sequences(self._sequences(layer, k, v, key_mask))

    def _sequences(self, layer, k, v, key_mask):
        tokens = self._tokens(layer, 0, k, key_mask)
        scales = self.image.value_scale[self.numbers[layer][:, 0]][:, None, None]
        values = quantise_values(self.config, v.numpy(), scales)
        values = [rows[mask] for image, mask in zip(values, _mask(k, key_mask)) for rows in image]
        return [(index, x, rows) for (index, x), rows in zip(tokens, values, strict=True)]

    def _tokens(self, layer, role, x, mask):
        """Parameter set and integer tokens of every image and head: list of (int, [n, D]).

        ``role`` is 0 for keys, 1 for separate queries.
        """
        image, numbers = self.image, self.numbers[layer][:, role]
        heads = [
            quantise_tokens(
                self.config, x[:, head].numpy(), image.token_scale[index], image.unit_tokens[index]
            )
            for head, index in enumerate(numbers)
        ]
        return [
            (index, tokens[number][rows])
            for number, rows in enumerate(_mask(x, mask))
            for index, tokens in zip(numbers, heads)
        ]

    def _results(self, layer, outputs, mask, width):
        scales = self.image.value_scale[self.numbers[layer][:, 0]]
        results = np.zeros((len(mask), len(scales), mask.shape[1], width), np.float32)
        outputs = iter(outputs)
        for image, rows in enumerate(mask):
            for head, scale in enumerate(scales):
                results[image, head, rows] = dequantise_outputs(self.config, next(outputs), scale)
        return torch.from_numpy(results)


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


def _mask(x, mask):
    """Which tokens of each sequence are not padding: bool [B, N]."""
    return np.ones((x.shape[0], x.shape[2]), dtype=bool) if mask is None else mask.numpy()
