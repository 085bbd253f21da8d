"""From a trained network to the parameter image: the float hash expressed in integers.

With u = ‖x̂-a‖²/(2σ) in steps of 1/256, an anchor scaled to ``2^a/σ·a_j`` turns the dot product into
a kernel argument by shifts alone. A row of A may have any positive scale, as only the sign of its
sum matters, so each row uses the whole range of its weights.
"""

import numpy as np

from ecoformer.arithmetic import (
    BIAS_WIDTH,
    DOT_FRACTION,
    KERNEL_FRACTION,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    SHIFT_WIDTH,
    Arithmetic,
)
from ecoformer.errors import EcoformerError
from ecoformer.parameters import ParameterImage
from ecoformer.weights import WEIGHT_FORMATS
from golden.integer.hashing import trace_tokens
from golden.network import record
from golden.quantisation import quantise_tokens

__all__ = ["calibrate", "check_model", "code_disagreement", "head_sets"]

WEIGHT_LIMIT = WEIGHT_FORMATS["int8"].values[-1]
KERNEL_ONE = 2**KERNEL_WIDTH - 1


def head_sets(layer, heads):
    """Parameter sets of the heads of ``layer``: sets are numbered layer by layer."""
    return np.arange(layer * heads, (layer + 1) * heads)


def check_model(config, model):
    """Refuse a network that the engine of ``config`` cannot run.

    Raises
    ------
    EcoformerError
        Softmax attention, σ not frozen, or another shape.
    """
    if model.attention_config is None:
        raise EcoformerError("model: it has softmax attention; train one with EcoFormer attention")
    layers = model.attention_layers()
    if any(not layer.hash.frozen for layer in layers):
        raise EcoformerError("model: σ is still computed per sequence; calibrate the hashes first")
    shape, attention = model.config, model.attention_config
    sets = len(layers) * shape.heads
    for name, want, rule in (
        ("hash", "'rbf'", config.hash == "rbf"),
        ("weights", "'int8'", config.weights == "int8"),
        ("head_dim", shape.head_dim, config.head_dim == shape.head_dim),
        ("value_dim", shape.head_dim, config.value_dim == shape.head_dim),
        ("code_bits", attention.code_bits, config.code_bits == attention.code_bits),
        ("anchors", attention.anchors, config.anchors == attention.anchors),
        ("value_term", attention.value_term, config.value_term == attention.value_term),
        ("max_tokens", f"at least {shape.tokens}", config.max_tokens >= shape.tokens),
        ("parameter_sets", f"at least {sets}", config.parameter_sets >= sets),
    ):
        if not rule:
            raise EcoformerError(
                f"[engine] {name} must be {want} for this model, not {getattr(config, name)!r}; "
                "correct the configuration"
            )


def calibrate(config, model, images):
    """Parameter image of every head of every layer, calibrated on ``images``.

    Parameters
    ----------
    config : Config
    model : VisionTransformer
        With EcoFormer attention and frozen σ.
    images : uint8 Tensor [B, C, H, W]
        Training images: they set the scale of the values and centre the thresholds.

    Returns
    -------
    ParameterImage

    Raises
    ------
    EcoformerError
        The model does not fit the engine, or a number does not fit its width.
    """
    check_model(config, model)
    heads = model.config.heads
    sets = []
    for layer, (x, v) in zip(model.attention_layers(), record(model, images), strict=True):
        kernel = layer.hash.kernel(x).numpy()  # [B, H, N, m]
        for head in range(heads):
            integers = _quantise_hash(config, layer.hash, head)
            integers["offset"] = round(float(layer.offset) * 2**config.offset_fraction)
            largest = float(v[:, head].abs().max())
            integers["value_scale"] = np.float32(
                max(largest, 1e-12) / (2 ** (config.value_width - 1) - 1)
            )
            sets.append(
                _set_thresholds(config, integers, layer.hash, head, x[:, head], kernel[:, head])
            )
    return _stack(config, sets)


def code_disagreement(config, model, image, images):
    """Fraction of code bits per layer and head on which integer and float hash differ.

    Both see the same float tokens, those of the float network on ``images``.

    Returns
    -------
    float64 array [layers, heads]
    """
    rates = []
    for layer, (x, _) in zip(model.attention_layers(), record(model, images), strict=True):
        want = layer.hash(x).numpy() > 0
        tokens = quantise_tokens(config, x.numpy())
        rates.append(
            [
                (trace_tokens(config, image, index, tokens[:, head]).codes > 0) != want[:, head]
                for head, index in enumerate(head_sets(layer.layer, layer.heads))
            ]
        )
    return np.array(rates).mean(axis=(2, 3, 4))


def _quantise_hash(config, hashing, head):
    anchors = hashing.anchors[head].numpy().astype(np.float64)
    sigma = float(hashing.sigma[head])
    largest = max(np.abs(anchors).max(), 1e-12)
    exponent = int(np.floor(np.log2(WEIGHT_LIMIT * sigma / largest)))
    shift = DOT_FRACTION + ROOT_FRACTION - KERNEL_FRACTION + exponent
    if not 0 <= shift < 2**SHIFT_WIDTH:
        raise EcoformerError(
            f"model: σ = {sigma:.3g} of head {head} is out of the range of the kernel table; "
            "the tokens have collapsed, train the hashes again"
        )
    scale = 2.0**exponent / sigma
    integers = np.rint(anchors * scale)
    # The rounded anchors are the anchors now: their own length goes into the bias.
    length = np.square(integers / scale).sum(axis=1)
    bias = np.rint((1 + length) / (2 * sigma) * 2**KERNEL_FRACTION - 0.5)  # ⌊t⌋ is t - ½ on average
    if bias.max() >= 2 ** (BIAS_WIDTH - 1):
        raise EcoformerError(
            f"model: σ = {sigma:.3g} of head {head} is too small for the kernel table; "
            "the tokens have collapsed, train the hashes again"
        )
    projection = hashing.projection[head].numpy().astype(np.float64)
    rows = np.abs(projection).max(axis=1, keepdims=True)
    projection = np.rint(projection * (WEIGHT_LIMIT / np.where(rows > 0, rows, 1)))
    return {
        "anchors": integers.astype(np.int64),
        "bias": bias.astype(np.int64),
        "shift": shift,
        "projection": projection.astype(np.int64),
        "threshold": np.zeros(config.code_bits, dtype=np.int64),
    }


def _set_thresholds(config, integers, hashing, head, x, kernel):
    """Thresholds Σ_j A[r,j]·μ_j, with μ moved by the mean error of the integer kernel."""
    tokens = quantise_tokens(config, x.numpy())
    found = trace_tokens(config, _stack(config, [integers]), 0, tokens).kernel
    error = (found - KERNEL_ONE * kernel).mean(axis=(0, 1))
    mean = KERNEL_ONE * hashing.mean[head].numpy() + error
    limit = Arithmetic(config).max_projection
    threshold = np.clip(np.rint(integers["projection"] @ mean), -limit, limit)
    return integers | {"threshold": threshold.astype(np.int64)}


def _stack(config, sets):
    defaults = {"offset": 0, "value_scale": np.float32(1)}
    stacked = {
        name: np.stack([np.asarray((defaults | one)[name]) for one in sets])
        for name in ParameterImage.__dataclass_fields__
    }
    image = ParameterImage(
        **{n: a if n == "value_scale" else a.astype(np.int64) for n, a in stacked.items()}
    )
    try:
        image.check(config)
    except ValueError as error:
        raise EcoformerError(f"model: {error}; it does not fit the engine") from error
    return image
