# SPDX-License-Identifier: Apache-2.0
"""Learning hashes by gradient descent, against the attention or the output of softmax attention.

Anchors, rows, thresholds and the offset of a layer are trained, straight through the signs and
through the rounding of the weights (:mod:`golden.weights`), so that the
hashes learned are those the hardware computes, the guard of the denominator included.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.hashing import KernelHash, check_tokens
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.descent import descend, mean_loss
from ecoformer.golden.learn.disagreement import DISAGREEMENTS
from ecoformer.golden.learn.loop import FASTEST, MOST
from ecoformer.golden.masks import softmax_mask
from ecoformer.golden.recording import Call, record
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.checks import check_choice, check_number

__all__ = [
    "DistillConfig", "distil_layer", "distil_layers", "exact_outputs", "layer_loss",
    "start_hashes", "OBJECTIVES",
]

FLOOR = 1e-4
"""Least weight of a key in the divergence; weights at c ≤ b can be negative."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Hyper-parameters of a descent.

    Parameters
    ----------
    objective : str
        One of :data:`OBJECTIVES`.
    steps : int
        Gradient steps; each takes one batch of the calibration data.
    lr : float
        Peak learning rate of Adam; half a cosine to 0.
    held_out : float
        Share of the batches, at least one, held out to choose the best step, head by head.
    learn_offset : bool
        Whether the offset c of every head is learned, within 0…2b; else it stays.
    disagreement : str
        How outputs of the whole network are compared: a key of
        :data:`golden.learn.disagreement.DISAGREEMENTS`.
    clip : float
        Largest norm of a gradient of the whole network; 0: any.
    """

    objective: str = "output"
    steps: int = 200
    lr: float = 0.02
    held_out: float = 0.2
    learn_offset: bool = True
    disagreement: str = "square"
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_choice("objective", self.objective, tuple(OBJECTIVES))
        check_number("steps", self.steps, int, 0, MOST)
        check_number("lr", self.lr, float, 0, FASTEST)
        check_number("held_out", self.held_out, float, 0, 0.9)
        if not isinstance(self.learn_offset, bool):
            raise TypeError(f"learn_offset must be true or false, not {self.learn_offset!r}")
        check_choice("disagreement", self.disagreement, tuple(DISAGREEMENTS))
        check_number("clip", self.clip, float, 0, FASTEST)

    def split(self, batches: Sequence) -> tuple[Sequence, Sequence]:
        """(train, held out) of a list of at least two batches; ValueError with fewer."""
        if len(batches) < 2:
            raise ValueError(
                f"calibration must be at least 2 batches, one of them held out, not {len(batches)}"
            )
        count = min(max(1, round(self.held_out * len(batches))), len(batches) - 1)
        return batches[:-count], batches[-count:]


@torch.no_grad()
def start_hashes(
    core: EcoFormerAttention, calls: Sequence[Call], generator: torch.Generator
) -> None:
    """Random hashes of an :class:`golden.attention.EcoFormerAttention`, centred and scaled.

    Anchors are random tokens. Separate queries start with the rows of the keys, because codes of
    one random projection agree as their tokens do. Queries that are all the same, as that of a
    pooling head, have no centre of their own: they start with the whole hash of the keys.

    Parameters
    ----------
    core : EcoFormerAttention
    calls : list of golden.recording.Call
        Calibration data.
    generator : torch.Generator

    Raises
    ------
    ValueError
        Fewer tokens than anchors, or tokens that are all equal or not finite.
    """
    core.hash.draw(generator)
    drawn = deepcopy(core.hash)
    for hashing, name in zip(core.hashes, ("k", "q")):
        tokens = [torch.cat([call.present(h, getattr(call, name)) for call in calls])
                  for h in range(core.heads)]
        x = torch.stack(tokens)[None]
        if hashing is core.query_hash and (x == x[:, :, :1]).all():
            hashing.load_state_dict(core.hash.state_dict())
            continue
        check_tokens(x[0])
        hashing.copy_rows(drawn)
        if isinstance(hashing, KernelHash):
            _check_anchors(hashing.anchors.shape[1], x.shape[2])
            hashing.draw_anchors(x[0], generator)
        hashing.calibrate(x)
        hashing.rescale(x)


def _check_anchors(anchors, tokens):
    if tokens < anchors:
        raise ValueError(
            f"calibration must have at least {anchors} tokens for {anchors} anchors, not {tokens}"
        )


def distil_layers(
    cores: Sequence[EcoFormerAttention],
    run: Callable[[], object],
    targets: list,
    config: DistillConfig,
    generator: torch.Generator,
    names: Sequence[str],
    progress: Progress = SILENT,
    checkpoint: Checkpoint | None = None,
) -> list[list[float]]:
    """Learn the hashes layer by layer, each on what the layers before it now produce.

    Parameters
    ----------
    cores : list of EcoFormerAttention
        In the order of use; changed in place.
    run : callable
        ``run()`` runs their network on the calibration data, batch by batch.
    targets : list of list of Tensor
        What each layer should put out, as :func:`exact_outputs` gives it; a layer's are dropped
        after use.
    config : DistillConfig
    generator : torch.Generator
    names : list of str
        Name of each layer, for errors.
    progress : Progress
        Stage ``layers``, and a line per layer.
    checkpoint : golden.learn.checkpoint.Checkpoint or None
        Written after every layer; layers that it holds are not learned again.

    Returns
    -------
    list of list of float
        Held-out losses of every layer, as :func:`distil_layer` gives them.

    Raises
    ------
    EcoformerError
        Calibration data no hash can be learned from, or a loss that is not finite.
    """
    histories = []
    if checkpoint is not None and (state := checkpoint.load()) is not None:
        try:
            histories = state["histories"]
            generator.set_state(state["generator"])
            for number, values in enumerate(state["cores"]):
                cores[number].load_state_dict(values)
                cores[number].exact = False
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise EcoformerError(
                f"{checkpoint.path}: checkpoint of another version; begin again with --restart"
            ) from error
    progress.update("layers", len(histories), len(cores))
    for number, core in list(enumerate(cores))[len(histories) :]:
        (calls,) = record([core], run)
        try:
            start_hashes(core, calls, generator)
            if config.learn_offset and not core.config.offset:
                core.offset.data.fill_(core.config.code_bits / 2)
            core.exact = False
            histories.append(distil_layer(core, calls, targets[number], config, generator))
        except (ValueError, FloatingPointError) as error:
            raise EcoformerError(f"{names[number]}: {error}") from error
        targets[number] = None
        if checkpoint is not None:
            done = [core.state_dict() for core in cores[: number + 1]]
            checkpoint.save(histories=histories, cores=done, generator=generator.get_state())
        progress.line(f"{names[number]}: held-out error {min(histories[-1]):.4f}")
        progress.update("layers", number + 1, len(cores))
    return histories


def distil_layer(
    core: EcoFormerAttention,
    calls: Sequence[Call],
    targets: Sequence[torch.Tensor],
    config: DistillConfig,
    generator: torch.Generator,
) -> list[float]:
    """Train the hashes of one layer to match softmax attention.

    Parameters
    ----------
    core : EcoFormerAttention
        Changed in place.
    calls : list of golden.recording.Call
        Inputs of the layer, batch by batch.
    targets : list of Tensor [B, H, M, E]
        Outputs it should give; used by the objective ``output``.
    config : DistillConfig
    generator : torch.Generator

    Returns
    -------
    list of float
        Mean held-out loss over heads: at the start and after every evaluation. ``output``: squared
        error over that of the output 0; ``attention``: nats.

    Raises
    ------
    FloatingPointError
        The loss is not finite.
    """
    parameters = [p for hashing in core.hashes for p in hashing.parameters()]
    if config.learn_offset:
        parameters.append(core.offset)
    loss = _loss(core, config)
    train, held_out = config.split(list(zip(calls, targets, strict=True)))
    return descend(
        parameters, loss, train, held_out, steps=config.steps, lr=config.lr, generator=generator,
        after_step=core.limit_offset,
    )


def layer_loss(
    core: EcoFormerAttention,
    calls: Sequence[Call],
    targets: Sequence[torch.Tensor],
    config: DistillConfig,
) -> float:
    """Mean loss over heads, the same as that of :func:`distil_layer`, of a layer on any data."""
    return mean_loss(_loss(core, config), list(zip(calls, targets, strict=True))).mean().item()


def _loss(core, config):
    loss = OBJECTIVES[config.objective]
    return lambda item: loss(core, *item)


def _output_loss(core, call, target):
    """Squared error of every head [H] over its target's square."""
    error = core(call.q, call.k, call.v, call.key_mask) - target
    mask = _query_mask(call)
    if mask is not None:
        error, target = error * mask, target * mask
    return error.square().sum((0, 2, 3)) / target.square().sum((0, 2, 3)).clamp_min(1e-12)


def _attention_loss(core, call, target):
    """Kullback-Leibler divergence [H] of the weights from those of softmax, in nats per query.

    Weights are shares of the sum of magnitudes, so that a negative one, which no distribution
    has, costs what it adds to that sum.
    """
    scale = core.scale or call.q.shape[-1] ** -0.5
    logits = scale * call.q @ call.k.mT
    queries, keys = core.codes(call.q, call.k)
    weights = queries @ keys.mT + core.offset[:, None, None]
    allowed = softmax_mask(core.mask, call.q, call.k, call.key_mask)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -math.inf)
        weights = weights * allowed
    target = torch.softmax(logits, -1).nan_to_num()  # a query before all keys sees none
    total = weights.abs().sum(-1, keepdim=True).clamp_min(FLOOR)
    log_ratio = target.clamp_min(1e-12).log() - weights.clamp_min(FLOOR).log() + total.log()
    divergence = (target * log_ratio).sum(-1, keepdim=True)  # [B, H, M, 1]
    mask = _query_mask(call)
    if mask is None:
        return divergence.mean((0, 2, 3))
    return (divergence * mask).sum((0, 2, 3)) / mask.sum()


def _query_mask(call):
    """Which queries count [B, 1, M, 1]: with self-attention those of padding do not."""
    if call.key_mask is None or not call.is_of_itself:
        return None
    return call.key_mask[:, None, :, None].to(call.v.dtype)


OBJECTIVES = {"output": _output_loss, "attention": _attention_loss}
"""What a layer is trained against: the outputs of softmax attention, or its distribution (KL)."""


def exact_outputs(core: EcoFormerAttention, calls: Sequence[Call]) -> list[torch.Tensor]:
    """Outputs of softmax attention for ``calls``: list of Tensor [B, H, M, E]."""
    with torch.no_grad():
        return [core.softmax(c.q, c.k, c.v, c.key_mask) for c in calls]
