# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the layout of the released code (github.com/ziplab/EcoFormer), read and written.

Every tensor has the name that it has here, but for the hashes of EcoFormer attention:

=====================================  =============================================
``…attn.fast_attention.ksh.A``         projection [H, b, m]
``…attn.fast_attention.ksh.anchor``    anchors [1, H, m, D]
``…attn.fast_attention.ksh.mvec``      mean kernel vector [1, H, 1, m]: threshold = A·mvec
``…attn.fast_attention.projection_matrix``  left over from another attention, unused
=====================================  =============================================
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import rendered, write_atomic
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import RELEASED, AttentionConfig
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid
from ecoformer.golden.networks.pyramid_config import NAMED, PyramidConfig
from ecoformer.golden.networks.tensor_file import read_tensors

__all__ = ["from_released", "load_released", "released_state", "save_released", "shape_of"]

State = Mapping[str, torch.Tensor]

KSH = "fast_attention.ksh"
HASH = ".attn.core."
UNUSED = "fast_attention.projection_matrix"
ATTENTION_OF = {
    f"attn.{KSH}.A": "ecoformer", "attn.to_qk.weight": "softmax-shared",
    "attn.q.weight": "reduced", "attn.qkv.weight": "softmax",
}
"""How a stage attends, by what one of its blocks holds; the first that is there decides."""


def load_released(path: str | Path) -> Pyramid:
    """The network of a checkpoint in the released layout, in evaluation mode.

    Only tensors are read: nothing that the file pickles besides is built or run.

    Parameters
    ----------
    path : path
        ``{"model": state_dict, …}`` or a state_dict: EcoFormer, softmax or original network.

    Raises
    ------
    EcoformerError
        No such file, damaged, or not such a network.
    """
    content = read_tensors(path)
    state = content.get("model", content)
    try:
        return from_released(state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a PVTv2 or Twins-SVT in the released layout ({first_line(error)}); give "
            "a checkpoint of one"
        ) from error


def from_released(state: State) -> Pyramid:
    """The network of the tensors ``state``, in evaluation mode.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        They are not those of a PVTv2 or Twins-SVT.
    """
    model = make_pyramid(shape_of(state), _attention_of(state))
    ours = {name: tensor.float() for name, tensor in state.items() if KSH not in name}
    ours = {name: tensor for name, tensor in ours.items() if not name.endswith(UNUSED)}
    own = model.state_dict()
    hashes = [name for name in own if HASH in name]
    for name, core in _cores(model):
        hash, prefix = core.hash, f"{name.removesuffix('core')}{KSH}"
        projection, mean = (state[f"{prefix}.{kind}"].double() for kind in ("A", "mvec"))
        with torch.no_grad():
            hash.projection.copy_(projection)
            hash.anchors.copy_(state[f"{prefix}.anchor"][0])
            hash.threshold.copy_((projection @ mean[0].mT)[..., 0])
    ours |= {name: own[name] for name in hashes}
    model.load_state_dict(ours)
    return model.eval()


def shape_of(state: State) -> PyramidConfig:
    """The shape of a network from its tensors.

    Heads do not show in softmax attention: they follow from the head dimension of EcoFormer
    attention, else from the published network of the same widths and depths.
    """
    family = "twins_svt" if "patch_embeds.0.proj.weight" in state else "pvt_v2"
    patches, block = LAYOUTS[family]
    weights = [state[patches(stage)] for stage in range(4)]
    depths = [_count(state, block(stage)) for stage in range(4)]
    attention, heads, ratios, reductions = [], [], [], []
    for stage, weight in enumerate(weights):
        prefix, width = f"{block(stage)}0.", len(weight)
        # In the original of Twins every other block has windows, and no reduction.
        blocks = [f"{block(stage)}{number}." for number in range(depths[stage])]
        attention.append(next(
            a for key, a in ATTENTION_OF.items() if any(f"{b}{key}" in state for b in blocks)
        ))
        anchors = state.get(f"{prefix}attn.{KSH}.anchor")
        heads.append(0 if anchors is None else anchors.shape[1])
        ratios.append(state[f"{prefix}mlp.fc1.weight"].shape[0] // width)
        reductions.append(max(
            state[key].shape[-1] if (key := f"{b}attn.sr.weight") in state else 1 for b in blocks
        ))
    known = next(
        (c for c in NAMED.values() if c.family == family and c.widths == tuple(map(len, weights))),
        None,
    )
    if any(heads):
        head_dim = next(len(weight) // h for weight, h in zip(weights, heads) if h)
        heads = [len(weight) // head_dim for weight in weights]
    elif known is not None:
        heads = list(known.heads)
    else:
        raise ValueError("its heads cannot be told: widths of no published network")
    config = PyramidConfig(
        family=family, widths=tuple(map(len, weights)), depths=tuple(depths),
        heads=tuple(heads), mlp_ratios=tuple(ratios),
        attention=tuple(attention), channels=weights[0].shape[1],
        classes=len(state["head.weight"]),
    )
    if "reduced" not in attention:  # nothing shows them, and nothing uses them
        return config
    return replace(config, reductions=tuple(reductions))


def save_released(model: Pyramid, path: str | Path) -> None:
    """Write ``model`` as a checkpoint that the released code resumes from, atomically.

    With it stands ``epoch``, without which the released code would learn the hashes again.
    """
    content = {"model": released_state(model), "epoch": 0}
    write_atomic(Path(path), rendered(lambda file: torch.save(content, file)))


@torch.no_grad()
def released_state(model: Pyramid) -> dict[str, torch.Tensor]:
    """The state_dict of ``model`` under the names of the released code.

    The mean kernel vector of a hash is the shortest one that gives its thresholds.

    Raises
    ------
    EcoformerError
        The released code cannot compute this attention.
    """
    state = {
        name: tensor for name, tensor in model.state_dict().items() if HASH not in name
    }
    for name, core in _cores(model):
        _check_computable(core)
        prefix = name.removesuffix("core")
        rows = core.hash.rows.double()
        mean = torch.linalg.pinv(rows) @ core.hash.threshold.double()[..., None]  # [H, m, 1]
        missed = (rows @ mean)[..., 0] - core.hash.threshold
        if missed.abs().max() > 1e-5 * core.hash.threshold.abs().max().clamp_min(1):
            raise EcoformerError(
                f"{name}: no mean kernel vector gives its thresholds; use more anchors than bits"
            )
        dim = core.hash.head_dim
        state |= {
            f"{prefix}{UNUSED}": torch.zeros(int(dim * math.log(dim)), dim),
            f"{prefix}{KSH}.A": rows.float(),
            f"{prefix}{KSH}.mvec": mean.mT[None].float(),
            f"{prefix}{KSH}.anchor": core.hash.anchors[None].clone(),
        }
    return state


def _check_computable(core):
    given, fixed = core.config, replace(RELEASED, offset=float(core.config.code_bits + 1))
    for name in ("hash", "value_term", "tie", "bandwidth"):
        if getattr(given, name) != getattr(fixed, name):
            raise EcoformerError(
                f"attention: {name} must be {getattr(fixed, name)!r} for the released code, not "
                f"{getattr(given, name)!r}"
            )
    if (core.offset != fixed.offset).any():
        raise EcoformerError(
            f"attention: offset must be {fixed.offset:g} for the released code, not "
            f"{core.offset.tolist()}"
        )


def _attention_of(state: State) -> AttentionConfig:
    """The released attention with as many bits and anchors as the hashes of ``state`` have."""
    rows = next((tensor for name, tensor in state.items() if name.endswith(f"{KSH}.A")), None)
    return RELEASED if rows is None else replace(
        RELEASED, code_bits=rows.shape[1], anchors=rows.shape[2]
    )


def _cores(model: Pyramid) -> list[tuple[str, Any]]:
    return [(name, m) for name, m in model.named_modules() if isinstance(m, EcoFormerAttention)]


def _count(state, prefix):
    """Blocks under ``prefix``."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({m[1] for name in state if (m := pattern.match(name))})


LAYOUTS = {
    "pvt_v2": (
        lambda stage: f"patch_embed{stage + 1}.proj.weight", lambda stage: f"block{stage + 1}."
    ),
    "twins_svt": (
        lambda stage: f"patch_embeds.{stage}.proj.weight", lambda stage: f"blocks.{stage}."
    ),
}
"""Names of the patch kernel and of the blocks of a stage, by family."""
