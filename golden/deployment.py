"""The network with its attention in integers: by the integer model, or by simulated hardware.

A :class:`HostedAttention` takes the place of the float attention core of every layer and does what
the host does beside an accelerator: quantise, send a packet per head, and scale the results back.
"""

import numpy as np
import torch

from ecoformer.workload import Workload
from golden.calibration import head_sets
from golden.integer.attention import attend
from golden.quantisation import dequantise_outputs, quantise_tokens, quantise_values

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
        outputs = [None] * len(workload)
        groups = {}
        for i, (index, tokens, values) in enumerate(workload.sequences()):
            groups.setdefault((index, len(tokens)), []).append((i, tokens, values))
        for (index, _), members in groups.items():  # equal shapes go through at once
            places, tokens, values = zip(*members, strict=True)
            results, _ = attend(self.config, self.image, index, np.stack(tokens), np.stack(values))
            for place, result in zip(places, results, strict=True):
                outputs[place] = result
        return outputs


class HostedAttention:
    """Attention core of a network, run on an engine.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    engine : object
        With ``attend(workload) -> list of int64 [N, E]``.
    observer : callable or None
        Called as ``observer(workload, outputs)`` after every layer.
    """

    def __init__(self, config, image, engine, observer=None):
        self.config = config
        self.image = image
        self.engine = engine
        self.observer = observer

    def __call__(self, layer, x, v):
        """Outputs [B, H, N, E] of tokens [B, H, N, D] and values [B, H, N, E] of one layer."""
        workload = self.workload(layer, x, v)
        outputs = self.engine.attend(workload)
        if self.observer is not None:
            self.observer(workload, outputs)
        results = np.stack(outputs).reshape(v.shape)
        results = dequantise_outputs(self.config, results, self._scales(layer, v.shape[1]))
        return torch.from_numpy(results.astype(np.float32))

    def workload(self, layer, x, v):
        """The packets of one layer, image by image and head by head."""
        sets = head_sets(layer, x.shape[1])
        tokens = quantise_tokens(self.config, x.numpy())
        values = quantise_values(self.config, v.numpy(), self._scales(layer, x.shape[1]))
        return Workload.from_sequences(
            (index, tokens[image, head], values[image, head])
            for image in range(len(tokens))
            for head, index in enumerate(sets)
        )

    def _scales(self, layer, heads):
        return self.image.value_scale[head_sets(layer, heads)][:, None, None]


class hosted:
    """Context in which every attention layer of ``model`` uses ``core``."""

    def __init__(self, model, core):
        self.layers = model.attention_layers()
        self.core = core

    def __enter__(self):
        for layer in self.layers:
            layer.core = self.core

    def __exit__(self, *error):
        for layer in self.layers:
            layer.core = None
