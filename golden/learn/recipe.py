# SPDX-License-Identifier: Apache-2.0
"""Hyper-parameters of a training run, as the table [training] of a configuration gives them."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.distill import OBJECTIVES, DistillConfig
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.learn.loop import FASTEST, MOST
from ecoformer.golden.learn.networks import LEARNERS
from ecoformer.golden.learn.step_config import StepConfig
from ecoformer.golden.learn.together import NETWORK
from ecoformer.golden.pictures.config import PictureConfig
from ecoformer.golden.stand_ins import CONTROLS
from ecoformer.spec.checks import SEEDS, check_choice, check_number

__all__ = ["HASH_LEARNERS", "NAMES", "STEPS", "TEXTS", "TrainingConfig"]

HASH_LEARNERS = (*LEARNERS, *OBJECTIVES, NETWORK)
"""What hashes can be learned from."""
NAMES = "names"
TEXTS = (NAMES, "lines", "text")
"""Data for decoders (:mod:`golden.learn.text`)."""
FARTHEST, MOST_RATES = 64, 16
"""Pixels that an image may be shifted by; learning rates that may be tried."""
STEPS = {
    "pretrain": ("pretrain_epochs", "pretrain_lr"),
    "limit": ("limit_epochs", "limit_lr"),
    "hashes": (
        "hash_learner", "hash_optimizer", "hash_start", "hash_iterations", "hash_lr",
        "hash_images", "hash_refresh", "train_hash",
    ),
    "tune": ("tune_epochs",),
}
"""Fields that only one step of the training uses; all steps use those that are in none."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StepConfig, PictureConfig):
    """Hyper-parameters of a training run; its bases have those of a step and of pictures.

    Parameters
    ----------
    data : str
        ``mnist``, ``fashion`` or ``cifar10``; a task that needs attention, ``recall``, ``largest``
        or ``frames`` (:mod:`golden.learn.drawn`); or ``folder``, for pictures in
        ``train/CLASS/`` and ``val/CLASS/`` or ``test/CLASS/``. For a decoder: ``lines`` or
        ``text``, a text of a context in every line, or one that is cut into contexts; or ``names``,
        the first names and surnames of the package `names`.
    data_path : str
        That folder, or the UTF-8 file of a text; the folder of the four files of ``mnist`` (also
        for ``frames``) or ``fashion``, in the place of an embedded part and of Debian's; archive or
        folder of ``cifar10``. Other data are read from no file.
    seed : int
        Of weights, order, augmentation, hashes and the validation part.
    pretrain_epochs, tune_epochs : int
        Length of step 1, and of each run of step 2. With 0 ``tune_epochs`` nothing is tuned after
        the swap, for networks that were trained for codes with ``limit_epochs``.
    limit_epochs : int
        Length of a step between them, 0 for none: the network is fine-tuned with what EcoFormer
        attention becomes with ever more bits (:class:`golden.stand_ins.LimitAttention`), so that
        codes can take its place.
    limit_lr : float
        Its peak learning rate.
    controls : tuple of str
        Networks that are trained for comparison, as long as step 1, with ``mean`` (of all values)
        or ``none`` (a token's own value) in the place of attention. A task that they solve says
        nothing about attention.
    pretrain_lr : float
        Peak learning rate of step 1.
    tune_lrs : tuple of float
        Peak learning rates tried in step 2, by both arms.
    label_smoothing : float
        Of the cross-entropy.
    shift : int
        Every training image is moved by up to this many pixels in both directions; says nothing of
        text.
    hash_learner : str
        What hashes are learned from. ``ksh``: labels of similar and dissimilar tokens (paper);
        ``released``: the same in every detail as the released code, kernelized hashes only;
        ``random``: nothing; ``orthogonal``: nothing, linear hashes with orthogonal rows, and
        Hadamard hashes;
        ``output`` or ``attention``: what softmax attention does
        (:class:`golden.learn.distill.DistillConfig`); ``network``: what the whole network before
        the swap answers, all layers together (:mod:`golden.learn.together`).
    hash_optimizer, hash_start
        Of ``ksh``, as in :class:`golden.learn.ksh.KshConfig`.
    hash_iterations : int
        Gradient steps: per bit with ``ksh`` and ``released``, in all with ``network``, else per
        layer.
    hash_lr : float
        Peak learning rate of ``output``, ``attention`` and ``network``.
    hash_images : int
        Training images from which hashes are learned and calibrated; the three learners with a
        ``hash_lr`` hold a part of them out, to choose the best step.
    hash_refresh : int
        Hashes are learned again every so many epochs of step 2 (the paper's τ); 0: never.
    train_hash : bool
        Whether the task loss trains hashes and offsets, too; in the paper it does not.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    data: str = "mnist"
    data_path: str = ""
    seed: int = 0
    pretrain_epochs: int = 14
    tune_epochs: int = 20
    limit_epochs: int = 0
    limit_lr: float = 2e-3
    controls: tuple[str, ...] = ()
    pretrain_lr: float = 2e-3
    tune_lrs: tuple[float, ...] = (2e-3, 4e-3)
    label_smoothing: float = 0.1
    shift: int = 2
    hash_learner: str = "ksh"
    hash_optimizer: str = "adam"
    hash_start: str = "random"
    hash_iterations: int = 100
    hash_lr: float = 0.02
    hash_images: int = 64
    hash_refresh: int = 0
    train_hash: bool = False

    def __post_init__(self) -> None:
        StepConfig.__post_init__(self)
        PictureConfig.__post_init__(self)
        check_choice("data", self.data, (*datasets.DATASETS, datasets.FOLDER, *TEXTS))
        if not isinstance(self.data_path, str):
            raise TypeError(f"data_path must be a string, not {self.data_path!r}")
        if self.data_path and self.data in (*datasets.PATHLESS, NAMES):
            raise ValueError(
                f"data_path must be left out with data = {self.data!r}, which is read from no "
                f"file, not be {self.data_path!r}"
            )
        check_number("seed", self.seed, int, *SEEDS)
        check_number("pretrain_epochs", self.pretrain_epochs, int, 1, MOST)
        check_number("tune_epochs", self.tune_epochs, int, 0, MOST)
        check_number("limit_epochs", self.limit_epochs, int, 0, MOST)
        check_number("limit_lr", self.limit_lr, float, 0, FASTEST)
        if not isinstance(self.controls, tuple):
            raise TypeError(f"controls must be a list of names, not {self.controls!r}")
        for control in self.controls:
            check_choice("each of controls", control, CONTROLS)
        check_number("pretrain_lr", self.pretrain_lr, float, 0, FASTEST)
        if not isinstance(self.tune_lrs, tuple) or not self.tune_lrs:
            raise TypeError(f"tune_lrs must be a list of numbers, not {self.tune_lrs!r}")
        for lr in self.tune_lrs:
            check_number("each of tune_lrs", lr, float, 0, FASTEST)
        check_number("tune_lrs", len(self.tune_lrs), int, 1, MOST_RATES)
        if len({*self.tune_lrs}) < len(self.tune_lrs):
            raise ValueError(f"tune_lrs must be different numbers, not {self.tune_lrs!r}")
        check_number("label_smoothing", self.label_smoothing, float, 0, 1)
        check_number("shift", self.shift, int, 0, FARTHEST)
        check_choice("hash_learner", self.hash_learner, HASH_LEARNERS)
        check_number("hash_lr", self.hash_lr, float, 0, FASTEST)
        check_number("hash_images", self.hash_images, int, 1, MOST)
        check_number("hash_refresh", self.hash_refresh, int, 0, MOST)
        if not isinstance(self.train_hash, bool):
            raise TypeError(f"train_hash must be true or false, not {self.train_hash!r}")
        self.hash_learning  # noqa: B018  check its fields now, not in step 2

    def at(self, data_path: str | Path | None) -> "TrainingConfig":
        """The same with data at ``data_path``, or where they were if it is None.

        Raises
        ------
        EcoformerError
            Data of this name are at no path.
        """
        try:
            return self if data_path is None else replace(self, data_path=str(data_path))
        except ValueError as error:
            raise EcoformerError(f"[training] {error}; leave it out, or name other data") from error

    def settings(self, *steps: str) -> dict[str, Any]:
        """Values on which the result of ``steps`` depends, keys of :data:`STEPS`; JSON-ready.

        Networks for comparison, and which other learning rates are tried, change no step.
        """
        left_out = {name for step, names in STEPS.items() if step not in steps for name in names}
        left_out |= {"controls", "tune_lrs"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @property
    def hash_learning(self) -> KshConfig | DistillConfig:
        """Hyper-parameters of the hash learner."""
        if self.hash_learner in LEARNERS:
            return KshConfig(
                optimizer=self.hash_optimizer,
                start=self.hash_start,
                iterations=self.hash_iterations,
            )
        learning = DistillConfig(steps=self.hash_iterations, lr=self.hash_lr)
        if self.hash_learner == NETWORK:  # which has an objective of its own
            return learning
        return replace(learning, objective=self.hash_learner)

    def check_attention(self, attention: AttentionConfig, tokens: int) -> None:
        """Refuse, with a ValueError, an ``attention`` that the hash learner cannot learn.

        ``tokens`` are those of a sequence.
        """
        if self.hash_learner not in OBJECTIVES and not attention.shares_queries:
            raise ValueError(
                "hash_learner must be 'output' or 'attention' with queries = 'separate', not "
                f"{self.hash_learner!r}"
            )
        if self.limit_epochs and self.hash_learner in OBJECTIVES:
            others = [name for name in HASH_LEARNERS if name not in OBJECTIVES]
            raise ValueError(
                f"hash_learner must be {' or '.join(map(repr, others))} with limit_epochs, not "
                f"{self.hash_learner!r}, which learns from softmax attention"
            )
        if self.hash_learner == "orthogonal" and attention.has_kernel:
            raise ValueError(
                f"hash_learner must not be 'orthogonal' with hash = {attention.hash!r}: it rotates "
                "tokens, which hash = 'linear' alone sees"
            )
        if self.hash_learner == "released" and not attention.has_kernel:
            raise ValueError(
                f"hash_learner must not be 'released' with hash = {attention.hash!r}: the released "
                "code has kernelized hashes only"
            )
        if self.hash_learner in ("ksh", "released") and not attention.learns_rows:
            raise ValueError(
                "hash_learner must be 'orthogonal' or another that draws, with hash = "
                f"{attention.hash!r}, whose rows are not learned, not {self.hash_learner!r}"
            )
        if self.hash_learner == "released" and tokens < attention.anchors:
            raise ValueError(
                f"hash_learner must not be 'released' with {attention.anchors} anchors and "
                f"{tokens} tokens: in the released code anchors are different tokens of one image"
            )
