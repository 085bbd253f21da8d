# SPDX-License-Identifier: Apache-2.0
"""PVTv2 of the library ``transformers``, taken over."""

import re
from typing import Any

import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig

__all__ = ["from_transformers"]

NAMES = (
    (r"pvt_v2\.encoder\.layers\.(\d)\.patch_embedding\.layer_norm", "patch_embed{}.norm"),
    (r"pvt_v2\.encoder\.layers\.(\d)\.patch_embedding", "patch_embed{}"),
    (r"pvt_v2\.encoder\.layers\.(\d)\.blocks", "block{}"),
    (r"pvt_v2\.encoder\.layers\.(\d)\.layer_norm", "norm{}"),
    (r"\.layer_norm_([12])\.", ".norm{}."),
)
"""Numbered names there and here; a stage is counted from 0 there and from 1 here."""
WORDS = {
    ".attention.query": ".attn.q", ".attention.spatial_reduction": ".attn.sr",
    ".attention.layer_norm": ".attn.norm", ".attention.proj": ".attn.proj",
    ".mlp.dense1": ".mlp.fc1", ".mlp.dense2": ".mlp.fc2", "classifier.": "head.",
}


def from_transformers(source: Any) -> Pyramid:
    """A PVTv2 with the weights of ``source``, in evaluation mode.

    Parameters
    ----------
    source : transformers.PvtV2ForImageClassification

    Raises
    ------
    EcoformerError
        Another model, or a PVTv2 with linear attention.
    """
    shape = source.config
    if type(source).__name__ != "PvtV2ForImageClassification" or shape.linear_attention:
        raise EcoformerError(
            f"{type(source).__name__}: not a PVTv2 for classification with softmax attention; "
            "give a PvtV2ForImageClassification"
        )
    config = PyramidConfig(
        family="pvt_v2", widths=tuple(shape.hidden_sizes), depths=tuple(shape.depths),
        heads=tuple(shape.num_attention_heads), mlp_ratios=tuple(shape.mlp_ratios),
        reductions=tuple(shape.sr_ratios), attention=("reduced",) * 4,
        channels=shape.num_channels, classes=shape.num_labels,
        norm_eps=shape.layer_norm_eps, inner_norm_eps=shape.layer_norm_eps,
    )
    if shape.hidden_act != "gelu" or list(shape.patch_sizes) != [7, 3, 3, 3]:
        raise EcoformerError("PvtV2: not as published: another activation or other patches")
    model = make_pyramid(config)
    model.load_state_dict(_renamed(source.state_dict()))
    return model.eval()


def _renamed(state):
    ours = {}
    for name, tensor in state.items():
        if ".attention.value" in name:
            continue
        if ".attention.key" in name:
            tensor = torch.cat([tensor, state[name.replace(".key", ".value")]])
            name = name.replace(".attention.key", ".attn.kv")
        for there, here in NAMES[:-1]:
            name = re.sub(there, lambda m, here=here: here.format(int(m[1]) + 1), name)
        name = re.sub(NAMES[-1][0], lambda m: NAMES[-1][1].format(m[1]), name)
        for there, here in WORDS.items():
            name = name.replace(there, here)
        ours[name] = tensor
    return ours
