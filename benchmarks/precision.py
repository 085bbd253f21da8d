# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of long trainings."""

import torch

__all__ = ["mixed_precision"]


def mixed_precision(device: str = "cpu") -> torch.autocast:
    """A context in bfloat16 where ``device`` multiplies in it, and in float32 elsewhere.

    A CPU without such instructions emulates them, some 75 times slower than float32.
    """
    fast = device != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device, torch.bfloat16, enabled=fast)
