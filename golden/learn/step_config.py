# SPDX-License-Identifier: Apache-2.0
"""How a training step is made, as a part of the table [training]."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecoformer.golden.learn.arithmetic import PRECISIONS
from ecoformer.golden.learn.loop import FASTEST, MOST
from ecoformer.spec.checks import check_choice, check_number

__all__ = ["StepConfig", "merit"]


def merit(entry: dict) -> tuple[float, float]:
    """By which epochs and runs are compared: accuracy decides; of equal ones the lower loss.

    Of text the loss decides: what follows a token is never certain.
    """
    ranks = entry["validation_accuracy"], -entry["validation_loss"]
    return ranks[::-1] if "validation_perplexity" in entry else ranks


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """Size, schedule and arithmetic of the steps of AdamW.

    Parameters
    ----------
    batch : int
        Images per step, those of all processes together.
    accumulate : int
        Parts in which a batch is computed, one after the other: the same gradient in less memory.
    weight_decay : float
        Of AdamW.
    warmup_epochs : float
        Linear warm-up at the start of every run; then a cosine.
    warmup_lr, final_lr : float
        Learning rates before the warm-up and at the end of the cosine; published 1e-7 and 1e-6.
    lr_batch : int
        Batch for which learning rates are given: all are multiplied by ``batch / lr_batch`` (linear
        scaling); published 512. 0: they are taken as they are.
    clip : float
        Largest norm of the gradient of all weights; a longer one is scaled down. 0: never.
    ema : float
        Decay, per step, of an exponential moving average of the weights, which is then what is
        validated and kept; 0: none.
    drop_path : float
        Probability that a branch of the last block is dropped for an image; it falls to 0 in the
        first block. Published 0.1.
    precision : str
        ``float32``, ``bfloat16`` or ``float16`` (with a scaled loss): what matrices are multiplied
        in during training. Weights and hashes stay float32.

    keep : str
        Which epoch's network a run ends with: the ``last``, or the ``best`` on the validation part.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    batch: int = 50
    accumulate: int = 1
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    warmup_lr: float = 0.0
    final_lr: float = 0.0
    lr_batch: int = 0
    clip: float = 0.0
    ema: float = 0.0
    drop_path: float = 0.0
    precision: str = "float32"
    keep: str = "last"

    def __post_init__(self) -> None:
        check_number("batch", self.batch, int, 1, MOST)
        check_number("accumulate", self.accumulate, int, 1, self.batch)
        check_number("warmup_epochs", self.warmup_epochs, float, 0, MOST)
        for name in ("weight_decay", "warmup_lr", "final_lr", "clip"):
            check_number(name, getattr(self, name), float, 0, FASTEST)
        check_number("lr_batch", self.lr_batch, int, 0, MOST)
        check_number("ema", self.ema, float, 0, 0.999999)
        check_number("drop_path", self.drop_path, float, 0, 0.99)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("keep", self.keep, ("last", "best"))

    def kept(self, history: Sequence[dict]) -> dict:
        """The entry of the epoch that is kept: of equally accurate ones that of the lower loss."""
        return history[-1] if self.keep == "last" else max(history, key=merit)

    def rates(self, lr: float) -> tuple[float, float, float]:
        """Learning rates before the warm-up, at the peak ``lr`` and at the end, scaled."""
        scale = self.batch / self.lr_batch if self.lr_batch else 1.0
        return self.warmup_lr * scale, lr * scale, self.final_lr * scale
