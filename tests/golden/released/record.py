# SPDX-License-Identifier: Apache-2.0
"""Records ``vectors.json`` by running the released code.

    git clone https://github.com/ziplab/EcoFormer released
    python -m tests.golden.released.record released/pvt released/twins

The vectors here were recorded so on 2026-11-29, with torch 2.13 on a CPU. The released modules run
as they are; what they import of timm, einops and mmcv, and do not need for a forward pass, is
replaced by the stand-ins below.
"""

import json
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import nn

from tests.golden.released.recipe import (
    ANCHORS,
    ATTENTION,
    BITS,
    CLASSES,
    KSH,
    PYRAMIDS,
    SEED,
    SIDE,
    fill,
    hash_parameters,
    normal,
    packed,
    tokens_to_learn,
)

VECTORS = Path(__file__).with_name("vectors.json")
ARGS = SimpleNamespace(nbits=BITS, m=ANCHORS, topk=10, attn_type="ecoformer", num_features=1)


def stand_in():
    """Put stand-ins for what the released modules import."""
    layers = {
        "DropPath": nn.Identity, "trunc_normal_": nn.init.trunc_normal_,
        "to_2tuple": lambda x: x if isinstance(x, tuple) else (x, x),
    }
    contents = {
        "timm": {}, "timm.models": {}, "timm.models.layers": layers,
        "timm.models.registry": {"register_model": lambda function: function},
        "timm.models.vision_transformer": {"_cfg": dict},
        "einops": {
            "rearrange": lambda x, pattern, **sizes: x.transpose(1, 2).flatten(2), "repeat": None,
        },
        "params": {"args": ARGS},
        "logger": {"logger": SimpleNamespace(info=lambda text: None)},
    }
    for name, content in contents.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)


def attention(performer):
    """Codes and outputs of attention alone."""
    for name, (images, heads, tokens, dim, bits, anchors) in ATTENTION.items():
        ARGS.nbits, ARGS.m = bits, anchors
        module = performer.EcoformerFastAttention(heads, dim)
        module.is_trained = True
        ksh = module.ksh
        ksh.A, ksh.anchor, ksh.mvec = hash_parameters(name, heads, dim, bits, anchors)
        x, v = (normal(f"{name}.{kind}", images, heads, tokens, dim) for kind in "xv")
        yield name, {
            "codes": packed(ksh(x / x.norm(dim=-1, keepdim=True))),
            "outputs": module(x, v).flatten().tolist(),
        }


def learning(performer):
    """The hash that the released code learns from tokens."""
    _, heads, _, dim, ARGS.nbits, ARGS.m, ARGS.topk = KSH
    x, start = tokens_to_learn()
    module = performer.EcoformerFastAttention(heads, dim)
    module.ksh.A.copy_(start)
    torch.manual_seed(SEED)  # of the permutation that picks anchors
    module(x, x)
    codes = module.ksh(x / x.norm(dim=-1, keepdim=True))
    return {
        "A": module.ksh.A.flatten().tolist(), "mvec": module.ksh.mvec.flatten().tolist(),
        "codes": packed(codes),
    }


def pyramid(performer, kind, shape):
    """Logits of a small network, with the hashes of ``fill``."""
    ARGS.nbits, ARGS.m = BITS, ANCHORS
    options = {
        "patch_size": 4, "num_classes": CLASSES, "embed_dims": shape["widths"],
        "depths": shape["depths"], "num_heads": shape["heads"], "mlp_ratios": shape["mlp_ratios"],
        "qkv_bias": True, "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "sr_ratios": (8, 4, 2, 1),
    }
    if kind == "pvt_v2":
        model = import_module("pvt_v2").PyramidVisionTransformerV2(**options)
    else:
        gvt = import_module("gvt")
        model = gvt.ALTGVT(**options, block_cls=gvt.EcoBlock, wss=(7, 7, 7, 7))
    fill(model.state_dict())
    codes = []
    for module in model.modules():
        if isinstance(module, performer.EcoformerFastAttention):
            module.is_trained = True
            module.ksh.register_forward_hook(lambda module, inputs, output: codes.append(output))
    with torch.no_grad():
        logits = model.eval()(normal(f"{kind}.images", 2, 3, SIDE, SIDE))
    return {
        "tensors": len(model.state_dict()), "logits": logits.flatten().tolist(),
        "ones": [int((code > 0).sum()) for code in codes],
    }


def main() -> None:
    if "--only" in sys.argv:
        *_, folder, _, kind = sys.argv
        stand_in()
        sys.path.insert(0, folder)
        performer = import_module("performer")
        found = {kind: pyramid(performer, kind, PYRAMIDS[kind])}
        if kind == "pvt_v2":
            found |= {"attention": dict(attention(performer)), "ksh": learning(performer)}
        print(json.dumps(found))
        return
    vectors = {}
    for folder, kind in zip(sys.argv[1:], PYRAMIDS, strict=True):  # their modules share names
        command = [sys.executable, "-m", "tests.golden.released.record", folder, "--only", kind]
        vectors |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
