"""The kernelized hash of EcoFormer in float: a token becomes a code of ±1 bits.

Source: "EcoFormer: Energy-Saving Attention with Linear Complexity", arXiv 2209.09004, §3; after
kernel-based supervised hashing (Liu et al., CVPR 2012).
"""

import torch
from torch import nn
from torch.nn.functional import normalize

from golden.checks import check_number

__all__ = ["KernelHash", "SignSTE", "sign"]


class SignSTE(torch.autograd.Function):
    """Sign to ±1 forward, a tie to +1; backward the gradient passes where ``|y| < 1``."""

    @staticmethod
    def forward(ctx, y):
        ctx.save_for_backward(y)
        return sign(y)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (y.abs() < 1)


def sign(y):
    """±1 of ``y``'s shape; a tie (0) is +1, as in hardware."""
    return torch.where(y >= 0, 1.0, -1.0)


class KernelHash(nn.Module):
    """Binary codes of tokens, one hash function per head and bit.

    ::

        x̂   = x / ‖x‖
        κ_j = exp(-‖x̂ - a_j‖² / (2σ))
        y_r = Σ_j A[r,j]·(κ_j - μ_j)
        h_r = sign(y_r)

    A zero token has the dot products 0 and otherwise counts as unit norm: its squared distances
    are 1 + ‖a_j‖². This is what hardware without a special case computes.

    Parameters
    ----------
    heads : int
        Attention heads H.
    head_dim : int
        Elements of a token D.
    code_bits : int
        Bits of a code b.
    anchors : int
        Support samples m of the kernel.

    Members
    -------
    anchors : buffer [H, m, D]
        The a_j, unit tokens.
    projection : buffer [H, b, m]
        The matrix A. The task loss does not train it; :mod:`golden.ksh` learns it.
    mean : buffer [H, m]
        Mean kernel vector μ of the calibration tokens.
    sigma : buffer [H]
        Bandwidth σ, a mean squared distance.
    bandwidth : str
        ``frozen``: ``sigma`` is used (hardware). ``per_sequence``: as in the released code, σ is
        the mean squared distance over all tokens × anchors of the image and head at hand, at
        inference too. Kept in the ``state_dict``.
    """

    def __init__(self, heads, head_dim, code_bits, anchors):
        super().__init__()
        shape = dict(heads=heads, head_dim=head_dim, code_bits=code_bits, anchors=anchors)
        for name, value in shape.items():
            check_number(name, value, int, 1)
        self.heads = heads
        self.head_dim = head_dim
        self.code_bits = code_bits
        self.register_buffer("anchors", normalize(torch.randn(heads, anchors, head_dim), dim=-1))
        self.register_buffer("projection", torch.randn(heads, code_bits, anchors))
        self.register_buffer("mean", torch.zeros(heads, anchors))
        self.register_buffer("sigma", torch.ones(heads))
        self.register_buffer("frozen", torch.tensor(False))

    @property
    def bandwidth(self):
        return "frozen" if self.frozen else "per_sequence"

    def forward(self, x):
        """Codes ±1 [B, H, N, b] of the tokens ``x`` [B, H, N, D]."""
        return SignSTE.apply(self.project(x))

    def project(self, x):
        """Values y [B, H, N, b], whose signs are the code bits."""
        threshold = torch.einsum("hrm,hm->hr", self.projection, self.mean)
        y = torch.einsum("bhnm,hrm->bhnr", self.kernel(x), self.projection)
        return y - threshold[:, None]

    def kernel(self, x):
        """Kernel values κ [B, H, N, m] of the tokens ``x`` with the anchors."""
        if self.frozen:
            # σ goes into the small operands, so only one multiply-add touches [B, H, N, m].
            scale = 1 / self.sigma[:, None]
            cosine = torch.einsum("bhnd,hmd->bhnm", self._unit(x), self.anchors * scale[..., None])
            bias = (1 + self.anchors.square().sum(-1)) * scale / 2
            return torch.exp(cosine - bias[:, None])
        distance = self.distance(x)
        return torch.exp(-distance / (2 * distance.mean((-2, -1), keepdim=True)))

    def distance(self, x):
        """Squared distances ‖x̂ - a_j‖² [B, H, N, m]."""
        cosine = torch.einsum("bhnd,hmd->bhnm", self._unit(x), self.anchors)
        return 1 + self.anchors.square().sum(-1)[:, None] - 2 * cosine

    @torch.no_grad()
    def freeze(self, sigma, x):
        """Fix σ to ``sigma`` [H] and refit μ with it on the calibration tokens ``x`` [B, H, N, D].

        Raises
        ------
        ValueError
            ``sigma`` has another shape or is not positive.
        """
        sigma = torch.as_tensor(sigma, dtype=self.sigma.dtype)
        if sigma.shape != self.sigma.shape:
            raise ValueError(f"sigma must have shape [{self.heads}], not {list(sigma.shape)}")
        if not (sigma > 0).all():
            raise ValueError(f"sigma must be positive, not {sigma.tolist()}")
        self.sigma.copy_(sigma)
        self.frozen.fill_(True)
        self.mean.copy_(self.kernel(x).mean((0, 2)))

    @torch.no_grad()
    def calibrate(self, x):
        """Freeze σ at the mean squared distance of ``x`` [B, H, N, D], per head; refit μ."""
        self.freeze(self.distance(x).mean((0, 2, 3)), x)

    def _unit(self, x):
        if x.shape[1] != self.heads or x.shape[-1] != self.head_dim:
            raise ValueError(
                f"tokens must have shape [B, {self.heads}, N, {self.head_dim}], not {list(x.shape)}"
            )
        return normalize(x, dim=-1)  # 0 stays 0
