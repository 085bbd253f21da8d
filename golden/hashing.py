# SPDX-License-Identifier: Apache-2.0
"""The hash functions in float: a token becomes a code of ±1 bits.

Source: "EcoFormer: Energy-Saving Attention with Linear Complexity", arXiv 2209.09004, §3; after
kernel-based supervised hashing (Liu et al., CVPR 2012). Linear hashes: Charikar, "Similarity
Estimation Techniques from Rounding Algorithms", STOC 2002, with learned rows.
"""

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import normalize

from ecoformer.golden.weights import ROUNDINGS, constrain, round_weights
from ecoformer.spec.checks import check_choice, check_number
from ecoformer.spec.walsh import walsh_signs

__all__ = [
    "BANDWIDTHS", "HASHES", "LARGEST", "TIES", "HadamardHash", "Hash", "KernelHash", "LinearHash",
    "SignSTE", "check_tokens", "sign",
]

LARGEST = 8_192
"""Of heads, head dimension, code bits and anchors."""


BANDWIDTHS = ("calibrated", "per-sequence")
"""Whether σ of a kernelized hash is fixed (hardware) or that of the sequence at hand (released)."""


def sign(y: torch.Tensor) -> torch.Tensor:
    """±1 of ``y``'s shape; a tie (0) is +1, as in hardware."""
    return torch.where(y >= 0, 1.0, -1.0)


TIES = {"positive": sign, "zero": torch.sign}
"""The bit of a value y, by what a tie (y = 0) becomes: +1 (hardware) or 0 (released code)."""


class SignSTE(torch.autograd.Function):
    """Sign to ±1 forward, a tie as ``tie`` says; backward the gradient passes where ``|y| < 1``."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, tie: str = "positive") -> torch.Tensor:
        ctx.save_for_backward(y)
        return TIES[tie](y)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (y,) = ctx.saved_tensors
        return grad * (y.abs() < 1), None


class Hash(nn.Module):
    """Binary codes of tokens, one hash function per head and bit; what the families share.

    ::

        y_r = Σ_j A[r,j]·φ_j(x) - t_r
        h_r = sign(y_r)

    A family says what the features φ are. The rows of A count as they are stored, rounded to
    ``weights``; their gradient passes the rounding.

    Parameters
    ----------
    heads : int
        Attention heads H.
    head_dim : int
        Elements of a token D.
    code_bits : int
        Bits of a code b.
    features : int
        Features f of a token.
    weights : str
        What A may hold on the chip: ``int8``, ``pow2`` or ``ternary``; or ``float``, for no chip.
    tie : str
        A key of :data:`TIES`: the bit where y is exactly 0.

    Members
    -------
    projection : Parameter [H, b, f]
        The matrix A before rounding.
    threshold : Parameter [H, b]
        The t_r. Neither requires a gradient: in the paper the task loss does not train the hash.
        ``hash.requires_grad_()`` changes that.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """Parameters of the constructor that only this family has."""
    learns_rows: ClassVar[bool] = True
    """Whether rows can be learned one by one; else they are drawn all at once."""

    def __init__(
        self,
        heads: int,
        head_dim: int,
        code_bits: int,
        features: int,
        weights: str,
        tie: str = "positive",
    ):
        super().__init__()
        shape = dict(heads=heads, head_dim=head_dim, code_bits=code_bits, anchors=features)
        for name, value in shape.items():
            check_number(name, value, int, 1, LARGEST)
        check_choice("weights", weights, tuple(ROUNDINGS))
        check_choice("tie", tie, tuple(TIES))
        self.heads = heads
        self.head_dim = head_dim
        self.code_bits = code_bits
        self.weights = weights
        self.tie = tie
        self.projection = _fixed(torch.randn(heads, code_bits, features))
        self.threshold = _fixed(torch.zeros(heads, code_bits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Codes ±1 [B, H, N, b] of the tokens ``x`` [B, H, N, D]; 0 for ties with ``zero``."""
        return SignSTE.apply(self.project(x), self.tie)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Values y [B, H, N, b], whose signs are the code bits; in full precision at any time."""
        with torch.autocast(x.device.type, enabled=False):
            features = self.features(x.to(self.threshold.dtype))
            return features @ self.rows.mT - self.threshold[:, None]

    @property
    def rows(self) -> torch.Tensor:
        """The matrix A as it is stored, [H, b, f]."""
        return constrain(self.projection, self.weights)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Features φ [B, H, N, f] of the tokens ``x``."""
        raise NotImplementedError

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the rows at random."""
        self.projection.copy_(torch.randn(self.projection.shape, generator=generator))

    @torch.no_grad()
    def copy_rows(self, other: "Hash") -> None:
        """Take the rows of another hash of the same shape."""
        self.projection.copy_(other.projection)

    @torch.no_grad()
    def centre(self, x: torch.Tensor, key_mask: torch.Tensor | None = None) -> None:
        """Set the thresholds so that y averages to 0 over the tokens ``x``.

        Parameters
        ----------
        x : Tensor [B, H, N, D]
        key_mask : bool Tensor [B, N] or None
            True for tokens that count; all count when None.
        """
        self.threshold.copy_((self.rows @ _mean(self.features(x), key_mask)[..., None])[..., 0])

    @torch.no_grad()
    def rescale(self, x: torch.Tensor, key_mask: torch.Tensor | None = None) -> None:
        """Scale rows and thresholds so that the mean square of every y over ``x`` is 1.

        Codes do not depend on the length of a row, but the window ``|y| < 1`` of the
        straight-through gradient does.
        """
        length = _mean(self.project(x).square(), key_mask).sqrt().clamp_min(1e-12)  # [H, b]
        self.projection /= length[..., None]
        self.threshold /= length

    def _check(self, x):
        if x.shape[1] != self.heads or x.shape[-1] != self.head_dim:
            raise ValueError(
                f"tokens must have shape [B, {self.heads}, N, {self.head_dim}], not {list(x.shape)}"
            )


class KernelHash(Hash):
    """The kernelized hash of EcoFormer: the features are similarities with anchors.

    ::

        x̂   = x / ‖x‖
        κ_j = exp(-‖x̂ - a_j‖² / (2σ))

    A zero token has the dot products 0 and otherwise counts as unit norm: its squared distances
    are 1 + ‖a_j‖². This is what hardware without a special case computes.

    Parameters
    ----------
    heads, head_dim, code_bits, weights, tie
        Same as :class:`Hash`. Once σ is frozen, ``pow2`` and ``ternary`` hold for anchors, too.
    anchors : int
        Support samples m of the kernel.
    bandwidth : str
        ``calibrated``: σ of a head is frozen by :meth:`calibrate` (hardware). ``per-sequence``: it
        stays the mean squared distance over all tokens × anchors of the image and head at hand, at
        inference too, as in the released code.

    Members
    -------
    anchors : Parameter [H, m, D]
        The a_j, unit tokens.
    sigma : buffer [H]
        Bandwidth σ, a mean squared distance.
    frozen : buffer
        Whether ``sigma`` is used; until then σ is that of the sequence at hand.
    is_frozen : bool
        The same, for code: a compiler cannot branch on a tensor.
    """

    options = ("anchors", "bandwidth")

    def __init__(
        self,
        heads: int,
        head_dim: int,
        code_bits: int,
        anchors: int,
        weights: str = "int8",
        tie: str = "positive",
        bandwidth: str = "calibrated",
    ):
        super().__init__(heads, head_dim, code_bits, anchors, weights, tie)
        check_choice("bandwidth", bandwidth, BANDWIDTHS)
        self.bandwidth = bandwidth
        self.anchors = _fixed(normalize(torch.randn(heads, anchors, head_dim), dim=-1))
        self.register_buffer("sigma", torch.ones(heads))
        self.register_buffer("frozen", torch.tensor(False))
        self.is_frozen = False
        self.register_load_state_dict_post_hook(_note_frozen)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Kernel values κ [B, H, N, m] of the tokens ``x`` with the anchors."""
        self._check(x)
        if self.is_frozen:
            # σ goes into the small operands, so only one multiply-add touches [B, H, N, m].
            anchors = self.stored_anchors()
            scale = 1 / self.sigma[:, None]
            cosine = normalize(x, dim=-1) @ (anchors * scale[..., None]).mT
            bias = (1 + anchors.square().sum(-1)) * scale / 2
            return torch.exp(cosine - bias[:, None])
        return self.sequence_features(x)

    def sequence_features(self, x: torch.Tensor) -> torch.Tensor:
        """The same with σ of each sequence and head, frozen or not."""
        distance = self.distance(x)
        return torch.exp(-distance / (2 * distance.mean((-2, -1), keepdim=True)))

    def distance(self, x: torch.Tensor) -> torch.Tensor:
        """Squared distances ‖x̂ - a_j‖² [B, H, N, m]; a zero token is as far as a unit one."""
        self._check(x)
        cosine = normalize(x, dim=-1) @ self.anchors.mT
        return 1 + self.anchors.square().sum(-1)[:, None] - 2 * cosine

    @torch.no_grad()
    def draw_anchors(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Take random unit tokens of ``x`` [H, N, D] for anchors; repeated when there are fewer."""
        tokens, count = x.shape[1], self.anchors.shape[1]
        rounds = -(-count // tokens)
        for head, own in enumerate(normalize(x, dim=-1)):
            picks = [torch.randperm(tokens, generator=generator) for _ in range(rounds)]
            self.anchors[head] = own[torch.cat(picks)[:count]]

    def stored_anchors(self) -> torch.Tensor:
        """The anchors as the chip holds them; int8 anchors count as exact."""
        if ROUNDINGS[self.weights].is_fine:
            return self.anchors
        integers, scale = self.anchor_weights()
        return self.anchors + (integers / scale - self.anchors).detach()

    @torch.no_grad()
    def anchor_weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Stored anchors and their scale per head: ``a_j ≈ integers / scale``.

        The scale is 2^e/σ, so that the argument of the exponential follows from dot products by
        a shift.

        Returns
        -------
        integers : Tensor [H, m, D]
        scale : Tensor [H, 1, 1]
        """
        sigma = self.sigma[:, None, None]
        rounding = ROUNDINGS[self.weights]
        largest = self.anchors.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)
        exponent = (rounding.largest * sigma / largest).log2().floor()
        # A coarse format may fit better where its largest value saturates.
        steps = 1 if rounding.is_fine else 4
        tries = [exponent + step for step in range(steps)]
        scales = torch.stack([torch.exp2(e) / sigma for e in tries])
        rounded = round_weights(self.anchors * scales, self.weights)
        error = (rounded / scales - self.anchors).square().sum((2, 3))  # [tries, H]
        best = error.argmin(0)
        heads = torch.arange(self.heads, device=best.device)
        return rounded[best, heads], scales[best, heads]

    @torch.no_grad()
    def freeze(
        self, sigma: torch.Tensor, x: torch.Tensor, key_mask: torch.Tensor | None = None
    ) -> None:
        """Fix σ to ``sigma`` [H] and centre the thresholds on the calibration tokens ``x``.

        Raises
        ------
        ValueError
            ``sigma`` has another shape or is not positive, or σ is to stay that of the sequence.
        """
        if self.bandwidth == "per-sequence":
            raise ValueError("bandwidth must be 'calibrated' to freeze σ, not 'per-sequence'")
        sigma = torch.as_tensor(sigma, dtype=self.sigma.dtype)
        if sigma.shape != self.sigma.shape:
            raise ValueError(f"sigma must have shape [{self.heads}], not {list(sigma.shape)}")
        if not (sigma > 0).all():
            raise ValueError(f"sigma must be positive, not {sigma.tolist()}")
        self.sigma.copy_(sigma)
        self.frozen.fill_(True)
        self.is_frozen = True
        self.centre(x, key_mask)

    @torch.no_grad()
    def calibrate(self, x: torch.Tensor, key_mask: torch.Tensor | None = None) -> None:
        """Freeze σ at the mean squared distance of ``x`` [B, H, N, D], per head; centre.

        With ``bandwidth = "per-sequence"`` only centre.
        """
        if self.bandwidth == "per-sequence":
            self.centre(x, key_mask)
        else:
            self.freeze(_mean(self.distance(x), key_mask).mean(-1), x, key_mask)


class LinearHash(Hash):
    """A hash without kernel: the features are the elements of the token itself.

    Parameters
    ----------
    heads, head_dim, code_bits, weights, tie
        Same as :class:`Hash`.
    normalise : bool
        Whether a token is divided by its length first, which the host then does.
    """

    options = ("normalise",)

    def __init__(
        self,
        heads: int,
        head_dim: int,
        code_bits: int,
        weights: str = "int8",
        tie: str = "positive",
        normalise: bool = False,
    ):
        super().__init__(heads, head_dim, code_bits, head_dim, weights, tie)
        if not isinstance(normalise, bool):
            raise TypeError(f"normalise must be true or false, not {normalise!r}")
        self.normalise = normalise

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens [B, H, N, D], of unit length if ``normalise``; 0 stays 0."""
        self._check(x)
        return normalize(x, dim=-1) if self.normalise else x

    def calibrate(self, x: torch.Tensor, key_mask: torch.Tensor | None = None) -> None:
        """Centre the thresholds on the tokens ``x``."""
        self.centre(x, key_mask)


class HadamardHash(LinearHash):
    """A linear hash whose rows are a random rotation, which takes additions only.

    ::

        y_r = |ρ_r|·Σ_d H[r mod P,d]·s[⌊r/P⌋,d]·x_d - t_r

    H is the Walsh-Hadamard matrix of P rows, the smallest power of two of at least D. No bit
    depends on ``weights``, nor on the lengths ρ of the rows, which are for gradients.

    Parameters
    ----------
    heads, head_dim, code_bits, weights, tie, normalise
        Same as :class:`LinearHash`.

    Members
    -------
    signs : buffer [H, ⌈b/P⌉, D]
        The s, ±1; random until drawn again.
    projection : Parameter [H, b, 1]
        The ρ.
    """

    learns_rows = False

    def __init__(
        self,
        heads: int,
        head_dim: int,
        code_bits: int,
        weights: str = "int8",
        tie: str = "positive",
        normalise: bool = False,
    ):
        super().__init__(heads, head_dim, code_bits, weights, tie, normalise)
        self.projection = _fixed(torch.ones(heads, code_bits, 1))
        size = 1 << (head_dim - 1).bit_length()
        rotations = -(-code_bits // size)
        self.register_buffer("signs", sign(torch.randn(heads, rotations, head_dim)))
        number = torch.arange(code_bits)
        self.register_buffer("rotation", number // size, persistent=False)
        walsh = walsh_signs((number % size).numpy(), torch.arange(head_dim).numpy())
        self.register_buffer("walsh", torch.from_numpy(walsh).float(), persistent=False)

    @property
    def rows(self) -> torch.Tensor:
        """Rows of all rotations, [H, b, D]."""
        return self.projection.abs() * self.walsh * self.signs[:, self.rotation]

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the signs at random."""
        self.signs.copy_(sign(torch.randn(self.signs.shape, generator=generator)))
        self.projection.fill_(1.0)

    @torch.no_grad()
    def copy_rows(self, other: Hash) -> None:
        """Take the signs of another hash of the same shape."""
        assert isinstance(other, HadamardHash)
        super().copy_rows(other)
        self.signs.copy_(other.signs)


HASHES: dict[str, type[Hash]] = {
    "rbf": KernelHash, "linear": LinearHash, "hadamard": HadamardHash,
}
"""Hash families that can be learned, by ``hash``."""


def check_tokens(x: torch.Tensor) -> None:
    """Refuse tokens ``x`` [H, N, D] that no hash can be learned from.

    Raises
    ------
    ValueError
        Numbers that are not finite, or a head whose tokens all point the same way.
    """
    if not x.isfinite().all():
        raise ValueError("tokens must be finite numbers to learn a hash from")
    spread = normalize(x, dim=-1).var(1, correction=0).sum(-1)
    if spread.min() < 1e-10:
        raise ValueError(f"tokens of head {spread.argmin()} must differ to learn a hash from them")


def _note_frozen(hashing, incompatible):
    hashing.is_frozen = bool(hashing.frozen)


def _fixed(tensor):
    return nn.Parameter(tensor, requires_grad=False)


def _mean(y, key_mask):
    """Mean [H, …] of ``y`` [B, H, N, …] over the tokens that count."""
    if key_mask is None:
        return y.mean((0, 2))
    weight = key_mask.to(y.dtype)
    return torch.einsum("bhnr,bn->hr", y, weight) / weight.sum()
