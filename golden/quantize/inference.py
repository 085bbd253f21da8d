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
from ecoformer.golden.recording import Call
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["EngineAttention", "IntegerEngine", "override_attention", "packets"]


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
        queries: Sequence[np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Results of every sequence: list of int64 [M, E].

        Parameters
        ----------
        sequences : iterable of (int, int64 [N, D], int64 [N, E])
            Parameter set, tokens and values.
        queries : list of int64 [M, D] or None
            Queries of each sequence where they are not as many as its keys, which its tokens are
            then alone.
        """
        sequences = list(sequences)
        outputs: list[np.ndarray] = [np.empty(0)] * len(sequences)
        groups: dict[tuple, list[int]] = {}
        for number, (index, tokens, _) in enumerate(sequences):
            asking = () if queries is None else (len(queries[number]),)
            groups.setdefault((index, len(tokens), *asking), []).append(number)
        for (index, *_), members in groups.items():  # sequences of equal shape run at once
            tokens, values = (np.stack([sequences[i][part] for i in members]) for part in (1, 2))
            own = None if queries is None else np.stack([queries[i] for i in members])
            results, _ = attend(self.config, self.image, index, tokens, values, own)
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
        With ``attend(workload) -> list of int64 [N, E]``. Layers that attend to other tokens than
        their own (cross attention) need an :class:`IntegerEngine`: no hardware takes them yet.
    observer : callable or None
        Called as ``observer(workload, outputs)`` after every layer, except those.
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

        The outputs of padding are 0. As many queries as keys are taken to be those of the same
        tokens.
        """
        call = Call(q, k, v, key_mask)
        if not call.is_of_itself:
            return self._attend_across(layer, call)
        workload = self.workload(layer, call)
        outputs = self.engine.attend(workload)
        if self.observer is not None:
            self.observer(workload, outputs)
        return self._results(layer, outputs, _mask(k, key_mask), v.shape[-1])

    def workload(self, layer: int, call: Call) -> Workload:
        """The packets of one layer, image by image and head by head, without padding."""
        sides = self.config.sides.all
        parts = [self._tokens(layer, call, side, call.key_mask) for side in sides]
        tokens = [np.concatenate(vectors, axis=-1) for vectors in zip(*parts, strict=True)]
        return Workload.from_sequences(self._sequences(layer, call, tokens))

    def _attend_across(self, layer, call):
        """Attention of queries that are not as many as the keys."""
        if not isinstance(self.engine, IntegerEngine):
            raise EcoformerError(
                f"model: layer {layer} has {call.q.shape[2]} queries for {call.k.shape[2]} keys "
                "(cross attention), which this version runs in the integer model only"
            )
        keys = self._tokens(layer, call, self.config.sides.key, call.key_mask)
        queries = self._tokens(layer, call, self.config.sides.query, None)
        outputs = self.engine.attend_sequences(self._sequences(layer, call, keys), queries)
        return self._results(layer, outputs, _mask(call.q, None), call.v.shape[-1])

    def _sequences(self, layer, call, tokens):
        """Parameter set, ``tokens`` and integer values of every image and head."""
        numbers = self.numbers[layer]
        values = quantise_values(
            self.config, call.v.numpy(), self.image.value_scale[numbers][:, None, None]
        )
        masks = _mask(call.k, call.key_mask)
        values = [rows[mask] for image, mask in zip(values, masks) for rows in image]
        return list(zip([*numbers] * len(masks), tokens, values, strict=True))

    def _tokens(self, layer, call, side, mask):
        """Integer tokens of one side, for every image and head: list of [n, D]."""
        x, image = call.vectors[side.vector], self.image.side(side)
        heads = [
            quantise_tokens(
                self.config, x[:, head].numpy(), image.token_scale[index], image.unit_tokens[index]
            )
            for head, index in enumerate(self.numbers[layer])
        ]
        return [tokens[n][rows] for n, rows in enumerate(_mask(x, mask)) for tokens in heads]

    def _results(self, layer, outputs, mask, width):
        scales = self.image.value_scale[self.numbers[layer]]
        results = np.zeros((len(mask), len(scales), mask.shape[1], width), np.float32)
        outputs = iter(outputs)
        for image, rows in enumerate(mask):
            for head, scale in enumerate(scales):
                results[image, head, rows] = dequantise_outputs(self.config, next(outputs), scale)
        return torch.from_numpy(results)


def packets(
    config: Config,
    image: ParameterImage,
    layers: Sequence[EcoFormerAttention],
    tape: Sequence[Sequence[Call]],
) -> Workload:
    """What the engine gets for the calls on ``tape``, layer by layer; without cross attention."""
    host = EngineAttention(config, image, layers, None)
    return Workload.from_sequences(
        sequence
        for layer, calls in zip(layers, tape, strict=True)
        for call in calls
        if call.is_of_itself
        for sequence in host.workload(layer.layer, call).sequences()
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


def _mask(x, mask):
    """Which tokens of each sequence are not padding: bool [B, N]."""
    return np.ones((x.shape[0], x.shape[2]), dtype=bool) if mask is None else mask.numpy()
