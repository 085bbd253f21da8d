# SPDX-License-Identifier: Apache-2.0
"""Totals over the layers of a network, for softmax and EcoFormer side by side."""

from collections.abc import Sequence
from dataclasses import replace

from ecoformer.golden.energy.honest import Honest
from ecoformer.golden.energy.named import PyramidNetwork
from ecoformer.golden.energy.operations import KINDS, Operation
from ecoformer.golden.energy.paper import Paper
from ecoformer.golden.energy.shapes import ARMS, PARTS, Attention, Network

__all__ = ["crossover", "measure", "summary"]

MOST_TOKENS = 16_384  # any code fits the buffers of an engine up to there


def measure(network: Network | PyramidNetwork, accounting: Paper | Honest) -> dict:
    """Counts and energies of ``network`` under one accounting.

    Parameters
    ----------
    network : Network or PyramidNetwork
    accounting : Paper or Honest

    Returns
    -------
    dict
        For each arm ``attention`` and ``network`` (totals, see :func:`summary`), ``parts``
        (energy in pJ by part of the network) and ``layers``, of which attention lists its
        ``operations``; ``assumptions``; and ``cheaper_from_tokens``, see :func:`crossover`.
    """
    result = {arm: _arm(network.layers(arm), accounting) for arm in ARMS}
    replaced = [
        layer for layer in network.layers("ecoformer")
        if isinstance(layer, Attention) and layer.kind == "ecoformer"
    ]
    result["cheaper_from_tokens"] = crossover(replaced[0], accounting) if replaced else None
    result["assumptions"] = list(accounting.assumptions)
    return result


def summary(operations: Sequence[Operation]) -> dict[str, float]:
    """Totals of a list of `Operation`.

    Returns
    -------
    dict
        ``multiplications`` and ``additions`` (numbers), ``arithmetic_pj``, ``memory_pj``,
        ``dram_pj`` and their sum ``energy_pj``.
    """
    count = {kind: sum(o.count for o in operations if o.kind == kind) for kind in KINDS}
    energy = {kind: sum(o.energy for o in operations if o.kind == kind) for kind in KINDS}
    return {
        "multiplications": count["multiplication"],
        "additions": count["addition"],
        "arithmetic_pj": energy["multiplication"] + energy["addition"],
        "memory_pj": energy["memory"],
        "dram_pj": energy["dram"],
        "energy_pj": sum(energy.values()),
    }


def crossover(layer: Attention, accounting: Paper | Honest) -> int | None:
    """Fewest tokens at which EcoFormer attention of a layer's shape needs less energy than softmax.

    None if it never does, up to 16,384 tokens.
    """

    def cheaper(tokens):
        energy = {
            kind: sum(
                o.energy for o in accounting.operations(replace(layer, kind=kind, tokens=tokens))
            )
            for kind in ARMS
        }
        return energy["ecoformer"] < energy["softmax"]

    if not cheaper(MOST_TOKENS):
        return None
    low, high = 0, MOST_TOKENS  # dearer at low, cheaper at high: linear against quadratic
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cheaper(middle) else (middle, high)
    return high


def _arm(layers, accounting):
    costs = [(layer, accounting.operations(layer)) for layer in layers]
    return {
        "attention": summary([o for layer, ops in costs if layer.part == "attention" for o in ops]),
        "network": summary([o for _, ops in costs for o in ops]),
        "parts": {
            part: sum(o.energy for layer, ops in costs if layer.part == part for o in ops)
            for part in PARTS
        },
        "layers": [_layer(layer, ops) for layer, ops in costs],
    }


def _layer(layer, operations):
    is_attention = isinstance(layer, Attention)
    figures = {
        "name": layer.name,
        "kind": layer.kind if is_attention else type(layer).__name__.lower(),
        "part": layer.part,
        "tokens": layer.tokens,
        **summary(operations),
    }
    if is_attention:
        figures["operations"] = [
            {"kind": o.kind, "what": o.what, "count": o.count, "pj_each": o.picojoules}
            for o in operations
        ]
    return figures
