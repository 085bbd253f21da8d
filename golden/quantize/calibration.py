# SPDX-License-Identifier: Apache-2.0
"""From float hashes to the integers of a parameter image: scales, rounded weights, thresholds.

Layers are :class:`golden.attention.EcoFormerAttention`; what they saw on calibration data, recorded
by :func:`golden.recording.record`, sets the scales.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import LEARNED, AttentionConfig
from ecoformer.golden.hashing import HadamardHash, KernelHash
from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.golden.kinds import KINDS
from ecoformer.golden.quantize.host import quantise_tokens
from ecoformer.golden.recording import Call
from ecoformer.golden.weights import quantise_rows
from ecoformer.spec.arithmetic import BIAS_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage, host_arrays
from ecoformer.spec.tables import DOT_FRACTION, KERNEL_FRACTION, KERNEL_WIDTH, ROOT_FRACTION

__all__ = [
    "calibrate", "check_attention", "check_layers", "code_disagreement", "common_kind",
    "set_numbers",
]

KERNEL_ONE = 2**KERNEL_WIDTH - 1
MOST_TOKENS = 2**15
"""Tokens of a head that the integer hash is run on."""


def set_numbers(layers: Sequence[EcoFormerAttention]) -> list[np.ndarray]:
    """Parameter sets of every layer: list of int array [H].

    Sets are numbered layer by layer and head by head.
    """
    ends = np.cumsum([layer.heads for layer in layers])
    return [end - layer.heads + np.arange(layer.heads) for layer, end in zip(layers, ends)]


def check_layers(
    config: Config, layers: Sequence[EcoFormerAttention], tokens: int = 1
) -> None:
    """Refuse attention that the engine of ``config`` cannot run.

    Parameters
    ----------
    config : Config
    layers : list of EcoFormerAttention
    tokens : int
        Length of the longest sequence.

    Raises
    ------
    EcoformerError
        Softmax attention, σ not frozen, or another shape.
    """
    if not layers or any(not hasattr(layer, "hash") for layer in layers):
        raise EcoformerError("model: it has softmax attention; train one with EcoFormer attention")
    for layer in layers:
        _check_hardware(layer.config)
        for hashing in layer.hashes:
            if isinstance(hashing, KernelHash) and not hashing.frozen:
                raise EcoformerError(
                    "model: σ is still computed per sequence; calibrate the hashes first"
                )
    kind = common_kind(layer.kind for layer in layers)
    attention = layers[0].config
    if any(layer.config != attention for layer in layers):
        raise EcoformerError("model: its layers have different attention; convert it again")
    sets = sum(number.size for number in set_numbers(layers))
    for head_dim in dict.fromkeys(layer.hash.head_dim for layer in layers):
        check_attention(config, attention, head_dim, sets, tokens, kind)


def common_kind(kinds: Iterable[str]) -> str:
    """The kind of all attention of a model; several are refused by an EcoformerError."""
    first, *others = sorted(set(kinds))
    if others:
        raise EcoformerError(
            f"[engine] computes one kind of attention, and this model has "
            f"{' and '.join([first, *others])} attention; give each kind an engine"
        )
    return first


def check_attention(
    config: Config, attention: AttentionConfig, head_dim: int, sets: int, tokens: int,
    kind: str = LEARNED,
) -> None:
    """Refuse attention of a shape that the engine of ``config`` does not have.

    Parameters
    ----------
    config : Config
    attention : AttentionConfig
    head_dim : int
        Elements of a token D.
    sets : int
        Parameter sets of all layers and heads.
    tokens : int
        Length of the longest sequence.
    kind : str
        What attends to what: a key of :data:`golden.kinds.KINDS`.

    Raises
    ------
    EcoformerError
        Names the value of the configuration and what it must be.
    """
    _check_hardware(attention)
    if kind == "cross" and attention.shares_queries:
        raise EcoformerError(
            "[attention] queries must be 'separate' for cross attention, not 'shared'"
        )
    shape = attention.in_hardware | {"head_dim": head_dim} | KINDS[kind]
    rules = [(name, repr(value), getattr(config, name) == value) for name, value in shape.items()]
    rules += [
        ("max_tokens", f"at least {tokens}", config.max_tokens >= tokens),
        ("parameter_sets", f"at least {sets}", config.parameter_sets >= sets),
    ]
    for name, rule, holds in rules:
        if not holds:
            raise EcoformerError(
                f"[engine] {name} must be {rule} for this model, not {getattr(config, name)!r}; "
                "correct the configuration"
            )


def _check_hardware(attention):
    try:
        attention.check_hardware()
    except ValueError as error:
        raise EcoformerError(f"[attention] {error}; choose another for this export") from error


@torch.no_grad()
def calibrate(
    config: Config,
    layers: Sequence[EcoFormerAttention],
    tape: Sequence[Sequence[Call]],
    token_scales: dict[str, np.ndarray] | None = None,
) -> ParameterImage:
    """Parameter image of every head of every layer.

    Parameters
    ----------
    config : Config
    layers : list of EcoFormerAttention
        With frozen σ.
    tape : list of list of Call
        What each layer was given on calibration data: it sets the scales of tokens and values and
        centres the thresholds.
    token_scales : dict of float array [sets], or None
        ``token_scale`` of every side, where no host scales or divides each token by itself; then
        hashes of unit tokens are refused. None: there is a host, and they are calibrated.

    Returns
    -------
    ParameterImage

    Raises
    ------
    EcoformerError
        The layers do not fit the engine, or a number does not fit its width.
    """
    longest = max(max(call.q.shape[2], call.k.shape[2]) for calls in tape for call in calls)
    check_layers(config, layers, longest)
    if (width := tape[0][0].v.shape[-1]) != config.value_dim:
        raise EcoformerError(
            f"[engine] value_dim must be {width} for this model, not {config.value_dim}; "
            "correct the configuration"
        )
    sets = []
    for layer, calls in zip(layers, tape, strict=True):
        for head in range(layer.heads):
            values = torch.cat([call.present(head, call.v) for call in calls])
            sets.append({
                "offset": round(float(layer.offset[head]) * 2**config.offset_fraction),
                "value_scale": _full_range(config.value_width, values),
            })
            for side, hashing in _sides(config, layer):
                tokens = _tokens(calls, head, side)
                family = _kernel_set if isinstance(hashing, KernelHash) else _linear_set
                scale = None
                if token_scales is not None:
                    scale = token_scales[f"{side.prefix}token_scale"][len(sets) - 1]
                own = family(config, hashing, head, tokens, scale)
                sets[-1] |= {side.prefix + name: numbers for name, numbers in own.items()}
    image = _stack(config, sets)
    try:
        image.check(config)
    except ValueError as error:
        raise EcoformerError(f"model: {error}; it does not fit the engine") from error
    return image


@torch.no_grad()
def code_disagreement(
    config: Config,
    layers: Sequence[EcoFormerAttention],
    image: ParameterImage,
    tape: Sequence[Sequence[Call]],
) -> list[np.ndarray]:
    """Fraction of code bits per layer and head on which integer and float hash differ.

    Both see the same float tokens, those of the float network on ``tape``.

    Returns
    -------
    list of float64 array [H]
        With separate queries the mean of keys and queries.
    """
    rates = []
    for layer, numbers, calls in zip(layers, set_numbers(layers), tape, strict=True):
        rates.append(np.zeros(layer.heads))
        for (head, index), (side, hashing) in product(
            enumerate(numbers), _sides(config, layer)
        ):
            tokens = _tokens(calls, head, side)
            float_codes = hashing(_for_all_heads(hashing, tokens))[0, head].numpy() > 0
            codes = _integer_codes(config, image.side(side), index, tokens.numpy())
            rates[-1][head] += (codes != float_codes).mean() / len(layer.hashes)
    return rates


def _sides(config, layer):
    """Every side with its hash."""
    return zip(config.sides.all, layer.hashes[::-1], strict=True)


def _integer_codes(config, image, index, tokens):
    scale, unit = float(image.token_scale[index]), bool(image.unit_tokens[index])
    integers = quantise_tokens(config, tokens, scale, unit)
    return trace_tokens(config, image, index, integers).codes > 0


def _tokens(calls, head, side):
    """Tokens [n, D] of one side of a head, without padding."""
    parts = [call.present(head, call.vectors[side.vector]) for call in calls]
    return torch.cat(parts)[:MOST_TOKENS]


def _for_all_heads(hashing, tokens):
    """Tokens [n, D] of one head as [1, H, n, D]: a hash works on all heads."""
    return tokens.expand(1, hashing.heads, *tokens.shape)


def _kernel_set(config, hashing, head, x, token_scale):
    sigma = float(hashing.sigma[head])
    rounded, scale = (tensor[head].double().numpy() for tensor in hashing.anchor_weights())
    shift = DOT_FRACTION + ROOT_FRACTION - KERNEL_FRACTION
    shift += round(float(np.log2(scale[0, 0] * sigma)))
    if not 0 <= shift < 2**SHIFT_WIDTH:
        raise EcoformerError(
            f"model: σ = {sigma:.3g} of head {head} is out of the range of the kernel table; "
            "the tokens have collapsed, train the hashes again"
        )
    # From here on the rounded anchors count: the bias has their length.
    length = np.square(rounded / scale).sum(axis=1)
    bias = np.rint((1 + length) / (2 * sigma) * 2**KERNEL_FRACTION - 0.5)  # ⌊t⌋ is t - ½ on average
    if bias.max() >= 2 ** (BIAS_WIDTH - 1):
        raise EcoformerError(
            f"model: σ = {sigma:.3g} of head {head} is too small for the kernel table; "
            "the tokens have collapsed, train the hashes again"
        )
    rows, row_scale = _rows(hashing, head)
    integers = {
        "anchors": rounded.astype(np.int64),
        "bias": bias.astype(np.int64),
        "shift": shift,
        "projection": rows.astype(np.int64),
        "threshold": np.zeros(config.code_bits, dtype=np.int64),
    }
    # The threshold moves by the mean error of the integer kernel.
    kernel = hashing.features(_for_all_heads(hashing, x))[0, head].numpy()
    token_scale = 0.0 if token_scale is None else token_scale  # 0: every token to its own range
    tokens = quantise_tokens(config, x.numpy(), token_scale)
    alone = _stack(config, [integers | {"value_scale": 0}])
    integer_kernel = trace_tokens(config, alone, 0, tokens).kernel
    error = (integer_kernel - KERNEL_ONE * kernel).mean(axis=0)
    threshold = KERNEL_ONE * hashing.threshold[head].double().numpy() / row_scale + rows @ error
    return integers | {
        "threshold": _threshold(config, np.rint(threshold)), "token_scale": token_scale
    }


def _linear_set(config, hashing, head, x, scale):
    if hashing.normalise and scale is not None:
        raise EcoformerError(
            f"model: head {head} hashes tokens of unit length (unit_tokens), which a host divides "
            "by their length, and there is none between the layers of a network; train with "
            "normalise = false"
        )
    features = hashing.features(_for_all_heads(hashing, x))[0, head]
    rows, row_scale = _rows(hashing, head)
    scale = _full_range(config.token_width, features) if scale is None else scale
    threshold = hashing.threshold[head].double().numpy() / (row_scale * scale)
    return {
        "projection": rows.astype(np.int64),
        "threshold": _threshold(config, np.ceil(threshold)),  # a sum of integers is ≥ t if ≥ ⌈t⌉
        "token_scale": scale,
        "unit_tokens": int(hashing.normalise),
    }


def _rows(hashing, head):
    """Stored rows of A [b, f] and their scales [b] in float64."""
    if isinstance(hashing, HadamardHash):
        lengths = hashing.projection[head, :, 0].abs()
        return hashing.signs[head].double().numpy(), lengths.double().numpy()
    rows, scale = quantise_rows(hashing.projection[head], hashing.weights)
    return rows.double().numpy(), scale[:, 0].double().numpy()


def _threshold(config, threshold):
    limit = Arithmetic(config).max_projection
    return np.clip(threshold, -limit, limit).astype(np.int64)


def _full_range(width, tensor):
    """Scale by which the largest element fills ``width`` bits."""
    return np.float32(max(float(tensor.abs().max()), 1e-12) / (2 ** (width - 1) - 1))


def _stack(config, sets):
    """The image of ``sets``, a dict of numbers by name each."""
    host = host_arrays(config)
    return ParameterImage.of(config, **{
        name: np.stack([np.asarray(one[name]) for one in sets]).astype(host.get(name, np.int64))
        for name in sets[0]
    })
