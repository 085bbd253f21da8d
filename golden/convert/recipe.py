# SPDX-License-Identifier: Apache-2.0
"""Hyper-parameters of a conversion, as the table [convert] of a configuration gives them."""

from dataclasses import dataclass

from ecoformer.golden.convert.readouts import READOUTS
from ecoformer.golden.learn.distill import OBJECTIVES, DistillConfig
from ecoformer.golden.learn.loop import FASTEST, MOST
from ecoformer.spec.checks import SEEDS, check_choice, check_number

__all__ = ["ConvertConfig"]


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Hyper-parameters of a conversion.

    Parameters
    ----------
    seed : int
        Of hashes, and of the order of the batches.
    batch : int
        Sentences, or rows of the arrays, per batch.
    length : int
        Tokens at which a sentence is cut.
    held_out : float
        Share of the batches held out, to choose the best step and to measure.
    objective : str
        What one layer learns from, as in :class:`golden.learn.distill.DistillConfig`.
    layer_batches : int
        Batches that layers learn from, one layer after the other, at least two; 0: as many as are
        enough by the loss on held-out batches.
    layer_steps : int
        Gradient steps per layer.
    layer_lr : float
        Their peak learning rate.
    steps : int
        Gradient steps of all hashes together, against the outputs of the model.
    lr : float
        Their peak learning rate.
    tune_steps : int
        Gradient steps of all weights afterwards; with 0 the model's own weights stay as they are.
    tune_lr, tune_hash_lr : float
        Peak learning rates of the model's own weights and of the hashes.
    learn_offset : bool
        Whether the offset of every head is learned.
    readout : str
        What part of the output has to agree, by name in
        :data:`golden.convert.readouts.READOUTS`.
    tune_readout : str
        The same for the training of all weights.
    disagreement : str
        How it is compared: ``square``, as numbers, or ``divergence``, as logits of distributions,
        which suits what answers with one of many classes or tokens.
    clip : float
        Largest norm of a gradient of more than one layer; 0: any.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    seed: int = 0
    batch: int = 32
    length: int = 128
    held_out: float = 0.05
    objective: str = "output"
    layer_batches: int = 0
    layer_steps: int = 60
    layer_lr: float = 0.02
    steps: int = 600
    lr: float = 0.01
    tune_steps: int = 0
    tune_lr: float = 5e-4
    tune_hash_lr: float = 5e-3
    learn_offset: bool = True
    readout: str = "tokens"
    tune_readout: str = "layers"
    disagreement: str = "square"
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_number("seed", self.seed, int, *SEEDS)
        check_number("batch", self.batch, int, 1, MOST)
        check_number("length", self.length, int, 1, MOST)
        check_choice("objective", self.objective, tuple(OBJECTIVES))
        for name in ("readout", "tune_readout"):
            check_choice(name, getattr(self, name), tuple(READOUTS))
        if self.layer_batches != 0:
            check_number("layer_batches", self.layer_batches, int, 2, MOST)
        for name in ("layer_steps", "steps", "tune_steps"):
            check_number(name, getattr(self, name), int, 0, MOST)
        for name in ("layer_lr", "lr", "tune_lr", "tune_hash_lr"):
            check_number(name, getattr(self, name), float, 0, FASTEST)
        self.layerwise, self.together, self.tuning  # noqa: B018  check the other fields now

    @property
    def layerwise(self) -> DistillConfig:
        """One layer after the other."""
        return DistillConfig(
            objective=self.objective,
            steps=self.layer_steps,
            lr=self.layer_lr,
            learn_offset=self.learn_offset,
        )

    @property
    def together(self) -> DistillConfig:
        """All hashes against the outputs of the model."""
        return self._of_outputs(self.steps, self.lr)

    @property
    def tuning(self) -> DistillConfig:
        """All weights against the outputs of the model."""
        return self._of_outputs(self.tune_steps, self.tune_lr)

    def _of_outputs(self, steps, lr):
        return DistillConfig(
            steps=steps, lr=lr, held_out=self.held_out, disagreement=self.disagreement,
            clip=self.clip,
        )
