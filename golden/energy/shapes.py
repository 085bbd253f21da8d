# SPDX-License-Identifier: Apache-2.0
"""A network as data: stages of transformer blocks, unrolled into the layers that are counted.

The stage is the form of the built-in networks and of a user's shape file; every count is derived
from the layers, and only from them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ecoformer.spec.checks import check_choice, check_number

__all__ = [
    "ARMS", "Attention", "Convolution", "Elementwise", "Linear", "Network", "Norm", "PARTS",
    "Layer", "Stage",
]

LARGEST, DEEPEST = 1_000_000, 1_000
"""Bounds of every size and of all blocks; what is counted is unrolled layer by layer."""

ARMS = ("softmax", "ecoformer")
"""The two networks that are compared."""

PROJECTIONS = {"softmax": ("q_k_v", 3), "ecoformer": ("qk_v", 2)}
"""Name and number of the projections before the attention of an arm."""

PARTS = ("attention", "projections", "MLP", "other")
"""What a layer belongs to; ``other`` is embeddings, norms and the classifier."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Base of all layers: a name, the part of the network, and tokens (output positions)."""

    name: str
    part: str
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """A two-dimensional convolution with bias; ``groups`` = ``inputs`` makes it depthwise."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def weights(self) -> int:
        """Multiply-accumulates of one output position."""
        return self.kernel**2 * self.inputs // self.groups * self.outputs

    @property
    def fan_in(self) -> int:
        """Products in one sum."""
        return self.kernel**2 * self.inputs // self.groups

    @property
    def input_elements(self) -> int:
        """Elements of the input image, which is read once."""
        return self.tokens * self.stride**2 * self.inputs


@dataclass(frozen=True, kw_only=True)
class Linear(Layer):
    """A matrix applied to every token."""

    inputs: int
    outputs: int

    @property
    def weights(self) -> int:
        """Multiply-accumulates of one token."""
        return self.inputs * self.outputs

    @property
    def fan_in(self) -> int:
        """Products in one sum."""
        return self.inputs

    @property
    def input_elements(self) -> int:
        """Elements of the input, which is read once."""
        return self.tokens * self.inputs


@dataclass(frozen=True, kw_only=True)
class Norm(Layer):
    """A layer norm over the ``width`` elements of every token."""

    width: int


@dataclass(frozen=True, kw_only=True)
class Elementwise(Layer):
    """``what`` = ``activation`` or ``residual``, on every element; the paper counts neither."""

    width: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Attention(Layer):
    """The attention itself, without its projections.

    Parameters
    ----------
    heads : int
    head_dim, value_dim : int
        Elements D and E per head of a query or key and of a value.
    kind : str
        ``softmax`` or ``ecoformer``.
    """

    heads: int
    head_dim: int
    value_dim: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one width, behind an optional patch embedding.

    Parameters
    ----------
    width : int
        Elements of a token.
    depth : int
        Blocks; 0 for a convolution of a stem and its activation.
    heads : int
        Attention heads; divides ``width``.
    mlp_ratio : float
        Hidden width of the MLP over ``width``; 0 for blocks without an MLP.
    patch : int
        Kernel of the convolution that makes the tokens of this stage; 0 if there is none.
    stride : int
        Its stride. A kernel above the stride is padded by half of itself (overlapping patches).
    embedding_norm : bool
        Layer norm behind the patch embedding.
    mlp_convolution : bool
        3 × 3 depthwise convolution with bias between the two matrices of the MLP.
    position_convolution : bool
        One 3 × 3 depthwise convolution with bias per stage, for positions.
    norm : bool
        Layer norm at the end of the stage.
    attention : str
        What the EcoFormer network has here: ``ecoformer``, or ``softmax`` where that stays.
    """

    width: int
    depth: int
    heads: int
    mlp_ratio: float = 4
    patch: int = 0
    stride: int = 1
    embedding_norm: bool = False
    mlp_convolution: bool = False
    position_convolution: bool = False
    norm: bool = False
    attention: str = "ecoformer"

    def __post_init__(self) -> None:
        for name in ("width", "heads", "stride"):
            check_number(name, getattr(self, name), int, 1, LARGEST)
        check_number("depth", self.depth, int, 0, DEEPEST)
        check_number("patch", self.patch, int, 0, LARGEST)
        check_number("mlp_ratio", self.mlp_ratio, float, 0, LARGEST)
        check_choice("attention", self.attention, ARMS)
        for f in fields(self):
            if isinstance(f.default, bool) and not isinstance(getattr(self, f.name), bool):
                raise TypeError(
                    f"{f.name} must be true or false, not {getattr(self, f.name)!r}"
                )
        if self.width % self.heads:
            raise ValueError(f"heads must divide width = {self.width}, not be {self.heads}")
        if not self.patch and not self.depth:
            raise ValueError("patch must be given with depth = 0")
        if not self.patch and self.stride != 1:
            raise ValueError(f"patch must be given with stride = {self.stride}")

    @property
    def hidden(self) -> int:
        """Hidden width of the MLP."""
        return int(self.width * self.mlp_ratio)

    def side(self, side: int) -> int:
        """Tokens along one side behind the patch embedding of an image of ``side`` positions."""
        padding = (self.patch - 1) // 2 if self.patch > self.stride else 0
        return (side + 2 * padding - self.patch) // self.stride + 1 if self.patch else side


@dataclass(frozen=True, kw_only=True)
class Network:
    """Shape of a whole network.

    Parameters
    ----------
    name : str
    stages : tuple of Stage
    image_size : int
        Pixels along one side of a square image; 0 for a network of ``tokens``.
    tokens : int
        Tokens of a sequence, for networks without images; 0 for a network of images.
    channels : int
        Colours of a pixel.
    classes : int
        Outputs of the classifier; 0 if there is none.
    """

    name: str
    stages: tuple
    image_size: int = 0
    tokens: int = 0
    channels: int = 3
    classes: int = 0

    def __post_init__(self) -> None:
        for name, low in (("image_size", 0), ("tokens", 0), ("channels", 1), ("classes", 0)):
            check_number(name, getattr(self, name), int, low, LARGEST)
        if not self.stages:
            raise ValueError("stages must hold at least one stage")
        check_number("blocks", sum(stage.depth for stage in self.stages), int, 0, DEEPEST)
        if bool(self.image_size) == bool(self.tokens):
            raise ValueError(
                "image_size or tokens must be given, and only one of them, "
                f"not {self.image_size} and {self.tokens}"
            )
        for number, (stage, side) in enumerate(zip(self.stages, self._sides()), 1):
            if self.tokens and (
                stage.patch or stage.mlp_convolution or stage.position_convolution
            ):
                raise ValueError(f"image_size must be given for the convolutions of stage {number}")
            if self.image_size and side < 1:
                raise ValueError(
                    f"image_size must leave tokens for stage {number}, not be {self.image_size}"
                )

    def resized(self, image_size: int) -> Network:
        """The same network on images of another size."""
        if self.tokens:
            raise ValueError(f"image_size must not be given for {self.name}, which has no images")
        return replace(self, image_size=image_size)

    def layers(self, arm: str) -> list[Layer]:
        """Every counted layer of the ``arm`` of :data:`ARMS`, in order.

        The softmax network projects to q, k and v, the EcoFormer one to qk and v.
        """
        check_choice("arm", arm, ARMS)
        layers = []
        inputs = self.channels
        for number, (stage, side) in enumerate(zip(self.stages, self._sides()), 1):
            tokens = side**2 if self.image_size else self.tokens
            layers += _stage_layers(stage, f"stage{number}", tokens, inputs, arm)
            inputs = stage.width
        if self.classes:
            layers.append(Linear(name="classifier", part="other", tokens=1, inputs=inputs,
                                 outputs=self.classes))
        return layers

    def _sides(self):
        side, sides = self.image_size, []
        for stage in self.stages:
            side = stage.side(side)
            sides.append(side)
        return sides


def _stage_layers(stage, name, tokens, inputs, arm):
    width = stage.width
    if stage.patch:
        yield Convolution(name=f"{name}.embedding", part="other", tokens=tokens, inputs=inputs,
                          outputs=width, kernel=stage.patch, stride=stage.stride)
        if stage.embedding_norm:
            yield Norm(name=f"{name}.embedding_norm", part="other", tokens=tokens, width=width)
    if not stage.depth:
        yield Elementwise(name=f"{name}.gelu", part="other", tokens=tokens, width=width,
                          what="activation")
    for block in range(1, stage.depth + 1):
        yield from _block_layers(stage, f"{name}.block{block}", tokens, arm)
        if stage.position_convolution and block == 1:
            yield Convolution(name=f"{name}.position", part="other", tokens=tokens, inputs=width,
                              outputs=width, kernel=3, groups=width)
    if stage.norm:
        yield Norm(name=f"{name}.norm", part="other", tokens=tokens, width=width)


def _block_layers(stage, name, tokens, arm):
    width, hidden = stage.width, stage.hidden
    kind = stage.attention if arm == "ecoformer" else "softmax"
    projections, count = PROJECTIONS[kind]
    each = width // stage.heads
    yield Norm(name=f"{name}.norm1", part="other", tokens=tokens, width=width)
    yield Linear(name=f"{name}.{projections}", part="projections", tokens=tokens, inputs=width,
                 outputs=count * width)
    yield Attention(name=f"{name}.attention", part="attention", tokens=tokens, heads=stage.heads,
                    head_dim=each, value_dim=each, kind=kind)
    yield Linear(name=f"{name}.out", part="projections", tokens=tokens, inputs=width,
                 outputs=width)
    yield Elementwise(name=f"{name}.add1", part="other", tokens=tokens, width=width,
                      what="residual")
    if not hidden:
        return
    yield Norm(name=f"{name}.norm2", part="other", tokens=tokens, width=width)
    yield Linear(name=f"{name}.mlp1", part="MLP", tokens=tokens, inputs=width, outputs=hidden)
    if stage.mlp_convolution:
        yield Convolution(name=f"{name}.mlp_convolution", part="MLP", tokens=tokens, inputs=hidden,
                          outputs=hidden, kernel=3, groups=hidden)
    yield Elementwise(name=f"{name}.gelu", part="MLP", tokens=tokens, width=hidden,
                      what="activation")
    yield Linear(name=f"{name}.mlp2", part="MLP", tokens=tokens, inputs=hidden, outputs=width)
    yield Elementwise(name=f"{name}.add2", part="other", tokens=tokens, width=width,
                      what="residual")
