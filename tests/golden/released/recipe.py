# SPDX-License-Identifier: Apache-2.0
"""Inputs and weights of the recorded vectors, from seeds: the same here and where they were made.

numpy's generators give the same numbers everywhere, so only what the released code made of them
has to be recorded (``vectors.json``; ``record.py`` is what recorded it).
"""

import zlib

import numpy as np
import torch

SEED = 2209
ATTENTION = {
    "one token": (1, 1, 1, 4, 4, 3),
    "a head": (1, 1, 7, 5, 3, 6),
    "heads and images": (2, 3, 6, 4, 8, 9),
    "more bits than anchors": (1, 2, 5, 4, 9, 4),
    "the published b and m": (1, 1, 9, 8, 16, 25),
}
"""B, H, N, D, b, m by name."""
KSH = (2, 2, 48, 4, 6, 8, 5)
"""B, H, N, D, b, m, and pairs l."""
PYRAMIDS = {
    "pvt_v2": {
        "widths": (8, 16, 40, 64), "depths": (1, 2, 1, 1), "heads": (1, 2, 5, 8),
        "mlp_ratios": (8, 8, 4, 4),
    },
    "twins_svt": {
        "widths": (16, 32, 64, 128), "depths": (2, 1, 2, 1), "heads": (2, 4, 8, 16),
        "mlp_ratios": (4, 4, 4, 4),
    },
}
CLASSES, SIDE, BITS, ANCHORS = 5, 64, 8, 9


def normal(name: str, *shape: int) -> torch.Tensor:
    """Standard normal float32 numbers that depend on ``name``."""
    generator = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    return torch.from_numpy(generator.standard_normal(shape, np.float32))


def tokens_to_learn() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens x [B, H, N, D] in six groups, and rows to start from [H, b, m]."""
    images, heads, tokens, dim, bits, anchors, _ = KSH
    centres = normal("ksh.centres", 1, heads, 6, dim).repeat_interleave(tokens // 6, 2)
    x = centres + 0.4 * normal("ksh.x", images, heads, tokens, dim)
    return x, 0.2 * normal("ksh.start", heads, bits, anchors)


def hash_parameters(name: str, heads: int, dim: int, bits: int, anchors: int) -> tuple:
    """A [H, b, m], anchors [1, H, m, D] of unit length, and mean kernel vector [1, H, 1, m]."""
    points = normal(f"{name}.anchor", 1, heads, anchors, dim)
    return (
        normal(f"{name}.A", heads, bits, anchors),
        points / points.norm(dim=-1, keepdim=True),
        0.55 + 0.05 * normal(f"{name}.mvec", 1, heads, 1, anchors),
    )


def fill(state: dict[str, torch.Tensor]) -> None:
    """Set every tensor of a state_dict in the released layout, in place."""
    for name, tensor in state.items():
        numbers = normal(name, *tensor.shape)
        if name.endswith("ksh.anchor"):
            numbers /= numbers.norm(dim=-1, keepdim=True)
        elif name.endswith("ksh.mvec"):
            numbers = 0.55 + 0.05 * numbers
        elif "norm" in name and name.endswith("weight"):
            numbers = 1 + 0.1 * numbers
        elif name.endswith("bias"):
            numbers *= 0.1
        elif not name.endswith("ksh.A"):
            numbers *= tensor[0].numel() ** -0.5
        tensor.copy_(numbers)


def packed(codes: torch.Tensor) -> str:
    """Codes as hexadecimal digits, a bit for each that is positive."""
    return np.packbits(codes.flatten().numpy() > 0).tobytes().hex()
