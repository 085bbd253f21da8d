# SPDX-License-Identifier: Apache-2.0
"""Learning the hash functions from attention maps: kernel-based supervised hashing (KSH).

Source: arXiv 2209.09004, §3.2, in the form of its released code; greedy bits and the spectral start
after Liu et al., "Supervised Hashing with Kernels", CVPR 2012, §3.2.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.sparse import csr_array

from ecoformer.golden.hashing import Hash, KernelHash, check_tokens
from ecoformer.golden.learn.loop import MOST
from ecoformer.golden.learn.optimizers import OPTIMIZERS
from ecoformer.golden.separation import extremes
from ecoformer.golden.weights import ROUNDINGS, constrain
from ecoformer.spec.checks import check_choice, check_number

__all__ = ["GreedyBits", "KshConfig", "PairLabels", "learn_hash"]

STARTS = ("random", "spectral")
RIDGE = 1e-4
"""Of the spectral start, as a share of the mean eigenvalue: close anchors have equal kernels."""
WHITE_RIDGE = 1e-2
"""Of whitening, likewise: it bounds the coefficients that a step can make large."""
ROWS_AT_ONCE = 2**22
"""Similarities held at the same time while labels are derived."""


@dataclass(frozen=True, kw_only=True)
class KshConfig:
    """Hyper-parameters of hash learning.

    Parameters
    ----------
    optimizer : str
        A key of :data:`OPTIMIZERS`. ``sgd`` as released; ``adam`` separates similar from dissimilar
        pairs better; ``whitened`` better still, and in a quarter of the steps.
    start : str
        Where a row of A begins: ``random``, as released, or ``spectral``, the leading eigenvector
        of the relaxed problem.
    iterations : int
        Gradient steps per bit.
    pairs : int
        Similar and dissimilar tokens l per token; at most N/2 are used.
    """

    optimizer: str = "adam"
    start: str = "random"
    iterations: int = 100
    pairs: int = 10

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        check_choice("start", self.start, STARTS)
        check_number("iterations", self.iterations, int, 0, MOST)
        check_number("pairs", self.pairs, int, 1, MOST)


class PairLabels:
    """Labels L of pairs of tokens: +1 for the largest similarities of a row, -1 for the smallest.

    Only its symmetric part (L + Lᵀ)/2 acts in yᵀ L y, and only that is kept, sparse, for all heads
    and images at once: 4·l entries per token, not N.

    Parameters
    ----------
    top, bottom : int64 Tensor [H, B, N, l]
        Columns of +1 and -1 in each row.
    """

    def __init__(self, top: torch.Tensor, bottom: torch.Tensor):
        heads, images, tokens, count = top.shape
        self.shape = heads, images, tokens
        size = heads * images * tokens
        block = torch.arange(0, size, tokens).view(heads, images, 1, 1)
        columns = (torch.cat([top, bottom], -1) + block).reshape(-1).int().numpy()
        signs = np.repeat(np.array([0.5, -0.5], np.float32), count)
        row_ends = np.arange(0, columns.size + 1, 2 * count, dtype=np.int32)
        half = csr_array((np.tile(signs, size), columns, row_ends), shape=(size, size))
        whole = (half + half.T).tocsr()
        whole.sort_indices()
        parts = (torch.from_numpy(x) for x in (whole.indptr, whole.indices, whole.data))
        with warnings.catch_warnings():  # torch calls this format a beta; its product is quickest
            warnings.filterwarnings("ignore", "Sparse CSR", UserWarning)
            self.matrix = torch.sparse_csr_tensor(*parts, whole.shape, check_invariants=True)

    @classmethod
    def of_tokens(cls, x: torch.Tensor, pairs: int = 10) -> Self:
        """Labels of the similarities x·xᵀ of tokens ``x`` [B, H, N, D]; never holds all of them."""
        x = x.transpose(0, 1)
        step = max(1, ROWS_AT_ONCE // (x.shape[0] * x.shape[1] * x.shape[2]))
        parts = [extremes(rows @ x.mT, pairs) for rows in x.split(step, 2)]
        return cls(*(torch.cat(columns, 2) for columns in zip(*parts)))

    @classmethod
    def of_similarity(cls, similarity: torch.Tensor, pairs: int = 10) -> Self:
        """Labels of an attention map or its logits [B, H, N, N]; only the order in a row counts."""
        return cls(*extremes(similarity.transpose(0, 1), pairs))

    def __matmul__(self, y: np.ndarray) -> np.ndarray:
        """L·y for a float32 array ``y`` [H, B, N, f]."""
        flat = y.reshape(-1, y.shape[-1]) if y.shape[-1] > 1 else y.ravel()  # a vector is quicker
        return (self.matrix @ torch.from_numpy(flat)).numpy().reshape(y.shape)


@torch.no_grad()
def learn_hash(
    hash: Hash,
    x: torch.Tensor,
    generator: torch.Generator,
    config: KshConfig | None = None,
    similarity: torch.Tensor | None = None,
) -> torch.Tensor:
    """Learn the projection, and anchors and σ, of ``hash`` from tokens and their similarity.

    Per head, for the bits r = 1…b in turn: minimise ``-(yᵀ S y) / (N b)``, averaged over images,
    with ``y = 2·sigmoid(φ a) - 1`` and centred features φ; keep the new ``a`` only where the loss
    of the signed code fell; then ``S ← S - y yᵀ``. S starts as b times the labels. S is never
    written out: it is the sparse labels less a product of the codes learned so far. Anchors are
    random tokens of the first image. Rows of A end with a length that makes the mean square of y 1.

    Parameters
    ----------
    hash : Hash
        Changed in place; its σ is frozen afterwards.
    x : Tensor [B, H, N, D]
        Tokens.
    generator : torch.Generator
        Draws anchors and starting points; equal generators give equal hashes.
    config : KshConfig or None
        Hyper-parameters; the defaults when None.
    similarity : Tensor [B, H, N, N] or None
        Attention map, or logits: only the order in a row counts; x·xᵀ when None.

    Returns
    -------
    Tensor [b, iterations + 1, H]
        Loss of every bit before each step and after the last.

    Raises
    ------
    ValueError
        The tokens of a head are all equal, or not finite.
    """
    config = config or KshConfig()
    images, heads, tokens, _ = x.shape
    check_tokens(x.transpose(0, 1).flatten(1, 2))
    if isinstance(hash, KernelHash):
        hash.draw_anchors(x[0], generator)
    hash.calibrate(x)
    features = hash.features(x).transpose(0, 1)  # [H, B, N, f]
    features = features - features.mean((1, 2), keepdim=True)
    flat = features.reshape(heads, images * tokens, -1)
    if similarity is None:
        labels = PairLabels.of_tokens(x, config.pairs)
    else:
        labels = PairLabels.of_similarity(similarity, config.pairs)

    learner = GreedyBits(flat.numpy(), labels, hash.code_bits, hash.weights)
    start = torch.randn(heads, hash.code_bits, flat.shape[-1], generator=generator).numpy()
    curve = np.empty((hash.code_bits, config.iterations + 1, heads), np.float32)
    for r in range(hash.code_bits):
        first = start[:, r] if config.start == "random" else learner.spectral()
        a, curve[r] = learner.descend(first, config)
        hash.projection[:, r] = torch.from_numpy(learner.keep_better(a, first))
    hash.centre(x)
    hash.rescale(x)
    return torch.from_numpy(curve)


class GreedyBits:
    """One bit after the other against the labels, less what the bits before explain.

    The arrays are small and the steps many, so this is numpy, which has less overhead per step.

    Parameters
    ----------
    features : float32 array [H, B·N, f]
        Centred.
    labels : PairLabels
    bits : int
        Bits of the whole code b.
    weights : str
        What rows are rounded to.
    """

    def __init__(self, features: np.ndarray, labels: PairLabels, bits: int, weights: str):
        heads, images, tokens = labels.shape
        self.columns = np.ascontiguousarray(features.swapaxes(1, 2))
        self.features = np.ascontiguousarray(features)
        self.labels = labels
        self.bits = bits
        self.weights = weights
        self.codes = np.empty((heads, images, bits, tokens), np.float32)  # codes of the bits so far
        self.count = 0
        self.scale = np.float32(1 / (images * tokens * bits))

    def residual(self, y: np.ndarray) -> np.ndarray:
        """S·y for ``y`` [H, B, N, f]."""
        codes = self.codes[:, :, : self.count]
        result = self.labels @ y
        result *= self.bits
        # All are finite; BLAS kernels may set the flag by what lies beyond a short vector.
        with np.errstate(invalid="ignore"):
            result -= codes.swapaxes(-1, -2) @ (codes @ y)
        return result

    def descend(
        self, start: np.ndarray, config: KshConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """The row a [H, f] after gradient descent from ``start``, and its loss curve."""
        optimizer = OPTIMIZERS[config.optimizer]
        to, back = self.whitening if optimizer.whitens else (None, None)
        u = start.copy() if to is None else _times(start, to)
        step = optimizer.steps(u)
        curve = np.empty((config.iterations + 1, len(u)), np.float32)
        for i in range(config.iterations + 1):
            a = u if back is None else _times(u, back)
            y = np.tanh(self._project(a / 2))  # 2·sigmoid(z) - 1 with z = φa
            pull = self.residual(y[..., None])[..., 0]
            curve[i] = -self.scale * (y * pull).sum((1, 2))
            if i < config.iterations:
                # d loss/d a by hand, straight through the rounding; S is symmetric.
                slope = (pull * (1 - y * y)).reshape(len(a), 1, -1)
                gradient = -self.scale * (slope @ self.features)[:, 0]
                step(gradient if back is None else _times(gradient, back))
        return a, curve

    @cached_property
    def whitening(self) -> tuple[np.ndarray, ...]:
        """Roots C^(1/2) and C^(-1/2) [H, f, f] of the features' covariance.

        With u = C^(1/2) a, the variance of φa is ‖u‖².
        """
        count, size = self.features.shape[1:]
        variances, axes = np.linalg.eigh((self.columns @ self.features / count).astype(float))
        variances += WHITE_RIDGE * variances.mean(-1, keepdims=True)
        roots = np.sqrt(variances)[:, None]
        return tuple(
            (axes * scale @ axes.swapaxes(1, 2)).astype(np.float32)
            for scale in (roots, 1 / roots)
        )

    def spectral(self) -> np.ndarray:
        """Leading eigenvector of φᵀSφ a = λ φᵀφ a, scaled to a mean square of φa of 1: [H, f]."""
        _, count, size = self.features.shape
        pulled = self.residual(self.features.reshape(*self.labels.shape, size))
        rows = []
        for columns, features, pull in zip(self.columns, self.features, pulled):
            gram = columns @ features
            gram += RIDGE * gram.trace() / size * np.eye(size, dtype=gram.dtype)
            quadratic = columns @ pull.reshape(count, size)
            quadratic = (quadratic + quadratic.T) / 2
            rows.append(eigh(quadratic, gram, subset_by_index=[size - 1, size - 1])[1][:, 0])
        return np.float32(count**0.5) * np.asarray(rows, np.float32)

    def keep_better(self, a: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Per head ``a`` where its signed code is better, else ``start``; the code joins S."""
        before, after = (self.signs(self._project(w)).astype(np.float32) for w in (start, a))
        better = self.improved(self._energy(before), self._energy(after))  # [H]
        self.codes[:, :, self.count] = np.where(better[:, None, None], after, before)
        self.count += 1
        return np.where(better[:, None], a, start)

    def signs(self, y: np.ndarray) -> np.ndarray:
        """Code bits of the values ``y``."""
        return np.where(y >= 0, 1, -1)

    def improved(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Which heads [H] keep their new row, by yᵀSy of the old and of the new code [H]."""
        return after > before

    def _project(self, a):
        if not ROUNDINGS[self.weights].is_fine:
            a = constrain(torch.from_numpy(a), self.weights).numpy()
        return (a[:, None] @ self.columns).reshape(self.labels.shape)

    def _energy(self, y):
        return (y * self.residual(y[..., None])[..., 0]).sum((1, 2))


def _times(rows, matrices):
    """Each head's row times its matrix: [H, f] of [H, f] and [H, f, f]."""
    return (rows[:, None] @ matrices)[:, 0]
