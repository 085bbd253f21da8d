"""The network with its attention in integers: by the integer model, or by simulated hardware.

A :class:`HostedAttention` takes the place of the float attention of every layer and does what the
host does beside an accelerator: quantise, send a packet per head, and scale the results back.
"""

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.quantize.calibration import set_numbers
from ecoformer.golden.quantize.host import dequantise_outputs, quantise_tokens, quantise_values
from ecoformer.spec.workload import Workload

__all__ = ["HostedAttention", "IntegerEngine", "hosted"]


class IntegerEngine:
    """The integer model, called as hardware is: results per sequence of a workload.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    """

    def __init__(self, config, image):
        self.config = config
        self.image = image

    def attend(self, workload):
        """Results of every sequence: list of int64 [N, E]."""
        return self.attend_sequences(workload.sequences())

    def attend_sequences(self, sequences, queries=None):
        """Results of every sequence: list of int64 [M, E].

        Parameters
        ----------
        sequences : iterable of (int, int64 [N, D], int64 [N, E])
            Parameter set, tokens and values.
        queries : list of (int, int64 [M, D]) or None
            Parameter set and tokens of the separate queries of each sequence.
        """
        sequences = list(sequences)
        outputs = [None] * len(sequences)
        groups = {}
        for place, (index, tokens, _) in enumerate(sequences):
            asking = () if queries is None else (queries[place][0], len(queries[place][1]))
            groups.setdefault((index, len(tokens), *asking), []).append(place)
        for (index, *_), places in groups.items():  # equal shapes go through at once
            tokens, values = (np.stack([sequences[i][part] for i in places]) for part in (1, 2))
            asking = None
            if queries is not None:
                asking = queries[places[0]][0], np.stack([queries[i][1] for i in places])
            results, _ = attend(self.config, self.image, index, tokens, values, asking)
            for place, result in zip(places, results, strict=True):
                outputs[place] = result
        return outputs


class HostedAttention:
    """Attention of a network, run on an engine.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    layers : list of EcoFormerAttention
        All layers of the network: they say which parameter sets belong to which layer.
    engine : object
        With ``attend(workload) -> list of int64 [N, E]``. Separate queries need an
        :class:`IntegerEngine`: no hardware takes them yet.
    observer : callable or None
        Called as ``observer(workload, outputs)`` after every layer with shared queries.

    Raises
    ------
    EcoformerError
        Separate queries on an engine that takes no separate ones.
    """

    def __init__(self, config, image, layers, engine, observer=None):
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

    def __call__(self, layer, q, k, v, keys=None):
        """Outputs [B, H, M, E] of one layer; shapes as in :class:`golden.attention.Call`.

        With shared queries the outputs of padding are 0.
        """
        sequences = self._sequences(layer, k, v, keys)
        answered = _present(k, keys)
        if self.numbers[layer].shape[1] == 1:
            workload = Workload.from_sequences(sequences)
            outputs = self.engine.attend(workload)
            if self.observer is not None:
                self.observer(workload, outputs)
        else:
            queries = self._tokens(layer, 1, q, None)
            outputs = self.engine.attend_sequences(sequences, queries)
            answered = _present(q, None)
        return self._results(layer, outputs, answered, v.shape[-1])

    def workload(self, layer, k, v, keys=None):
        """The packets of one layer with shared queries, image by image and head by head."""
        return Workload.from_sequences(self._sequences(layer, k, v, keys))

    def _sequences(self, layer, k, v, keys):
        tokens = self._tokens(layer, 0, k, keys)
        scales = self.image.value_scale[self.numbers[layer][:, 0]][:, None, None]
        values = quantise_values(self.config, v.numpy(), scales)
        values = [one[there] for image, there in zip(values, _present(k, keys)) for one in image]
        return [(index, x, one) for (index, x), one in zip(tokens, values, strict=True)]

    def _tokens(self, layer, place, x, keys):
        """Parameter set and integer tokens of every image and head: list of (int, [n, D])."""
        image, numbers = self.image, self.numbers[layer][:, place]
        heads = [
            quantise_tokens(
                self.config, x[:, head].numpy(), image.token_scale[index], image.unit_tokens[index]
            )
            for head, index in enumerate(numbers)
        ]
        return [
            (index, tokens[number][there])
            for number, there in enumerate(_present(x, keys))
            for index, tokens in zip(numbers, heads)
        ]

    def _results(self, layer, outputs, answered, width):
        scales = self.image.value_scale[self.numbers[layer][:, 0]]
        results = np.zeros((len(answered), len(scales), answered.shape[1], width), np.float32)
        outputs = iter(outputs)
        for image, there in enumerate(answered):
            for head, scale in enumerate(scales):
                found = dequantise_outputs(self.config, next(outputs), scale)
                results[image, head, there] = found
        return torch.from_numpy(results)


def _present(x, keys):
    """Which tokens of each sequence are no padding: bool [B, N]."""
    return np.ones((x.shape[0], x.shape[2]), dtype=bool) if keys is None else keys.numpy()


class hosted:
    """Context in which every attention layer of ``layers`` uses ``engine``."""

    def __init__(self, layers, engine):
        self.layers = layers
        self.engine = engine

    def __enter__(self):
        for layer in self.layers:
            layer.engine = self.engine

    def __exit__(self, *error):
        for layer in self.layers:
            layer.engine = None
