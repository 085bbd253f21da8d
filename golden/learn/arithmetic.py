# SPDX-License-Identifier: Apache-2.0
"""From losses to a step of an optimizer: precision, scaling of losses, clipping of gradients."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

__all__ = ["PRECISIONS", "Arithmetic"]

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What matrices are multiplied in, by name. Weights, sums of gradients and hashes stay float32."""

SMALLEST_SCALE = 2.0**-20
"""Of the loss in float16; below it no gradient is left."""


class Arithmetic:
    """How a step is computed.

    With ``float16`` the loss is scaled up, so that small gradients do not become 0. A step whose
    gradients are not finite is left out, and the scale halved.

    Parameters
    ----------
    precision : str
        A key of :data:`PRECISIONS`.
    clip : float
        Gradients whose norm over all weights is larger are scaled down to it; 0: never.
    processes : int
        How many share a loss; the mean over them is what a step follows.
    """

    def __init__(self, precision: str = "float32", clip: float = 0.0, processes: int = 1):
        self.dtype = PRECISIONS[precision]
        self.clip = clip
        self.processes = processes
        self.scaler = torch.amp.GradScaler("cpu", enabled=self.dtype is torch.float16)

    def casting(self) -> AbstractContextManager:
        """Context in which a network runs forward."""
        return torch.autocast("cpu", self.dtype) if self.dtype else nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of ``loss`` to those of the weights."""
        self.scaler.scale(loss * self.processes).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """One step along the gradients.

        Raises
        ------
        FloatingPointError
            They are not finite, however the loss is scaled.
        """
        if self.clip:
            self.scaler.unscale_(optimizer)
            weights = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(weights, self.clip)
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < SMALLEST_SCALE:
            raise FloatingPointError(
                "gradients are not finite in float16; lower the learning rate, or give "
                "precision = 'bfloat16'"
            )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return self.scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
