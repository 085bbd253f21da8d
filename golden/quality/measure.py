# SPDX-License-Identifier: Apache-2.0
"""Quality of the hash of every head, measured on the inputs of its layer.

Nothing here changes a hash; warnings say what to do about a bad one.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.masks import MASKS
from ecoformer.golden.recording import Call
from ecoformer.golden.separation import separation

__all__ = ["HeadQuality", "assess"]

MOST_QUERIES = 128
"""Queries of a sequence that are examined, evenly spread, because there are many pairs."""
CONSTANT = 0.01
"""Share of one sign below which a bit counts as constant."""
TWINS = 0.99
"""Correlation above which two bits count as one."""


@dataclass(frozen=True, kw_only=True)
class HeadQuality:
    """The hash of one head of one layer.

    Parameters
    ----------
    layer, head : int
    separation : float
        P(codes of a similar pair agree more than those of a dissimilar one); 0.5 is chance. Pairs
        are all of queries and keys, those that a causal mask hides included.
    correlation : float
        Mean over queries of the correlation of code agreement h_q·h_k with the logits q·k.
    output_error : float
        Squared error of the outputs against softmax attention, over the square of the latter.
    uniform_error : float
        The same for attention with equal weights, which is what a useless hash gives.
    unanswered : float
        Share of queries whose denominator is ≤ 0, whose output is 0.
    balance : tuple of float
        Share of +1 in every bit; with separate queries the bits of the keys, then theirs.
    entropy : float
        Mean entropy of a bit, 0…1.
    codes : int
        Different codes of the keys.
    keys : int
        Keys examined.
    twins : int
        Bits that equal another one, or its opposite.
    """

    layer: int
    head: int
    separation: float
    correlation: float
    output_error: float
    uniform_error: float
    unanswered: float
    balance: tuple
    entropy: float
    codes: int
    keys: int
    twins: int

    @property
    def constant_bits(self) -> int:
        """How many bits hardly ever change."""
        return sum(not CONSTANT < share < 1 - CONSTANT for share in self.balance)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with this hash, and what helps."""
        warnings = []
        if self.codes == 1:
            warnings.append("collapsed: every key has the same code; learn the hash again")
        elif self.constant_bits:
            warnings.append(
                f"{self.constant_bits} of {len(self.balance)} bits are constant; learn the hash "
                "again on more data"
            )
        if self.twins and self.codes > 1:
            warnings.append(f"{self.twins} bits repeat another one; fewer code_bits would do")
        if self.output_error >= self.uniform_error:
            warnings.append("its output is no closer to softmax attention than a plain mean")
        if self.unanswered > 0:
            warnings.append(
                f"{self.unanswered:.1%} of the queries have a denominator ≤ 0 and the output 0; "
                "a larger offset avoids it"
            )
        return warnings

    def as_dict(self) -> dict:
        """Plain values for JSON, with the warnings."""
        return {**asdict(self), "balance": list(self.balance), "warnings": self.warnings}


@torch.no_grad()
def assess(
    layers: Sequence[EcoFormerAttention], tape: Sequence[Sequence[Call]]
) -> list[HeadQuality]:
    """Quality of the hash of every head of every layer.

    Parameters
    ----------
    layers : list of EcoFormerAttention
    tape : list of list of Call
        What each layer was given, by :func:`golden.recording.record`; at least one call each.

    Returns
    -------
    list of HeadQuality
        Layer by layer, head by head.

    Raises
    ------
    ValueError
        No sequence has two tokens.
    """
    qualities = []
    for layer, calls in zip(layers, tape, strict=True):
        sums = _Layer(layer)
        for call in calls:
            sums.add(call)
        qualities += [sums.quality(head) for head in range(layer.heads)]
    return qualities


class _Layer:
    """Sums over the sequences of one layer, all heads at once; every sum is a Tensor [H]."""

    def __init__(self, layer):
        self.layer = layer
        self.sums = MASKS[layer.mask]
        self.separation = self.correlation = self.rows = 0
        self.error = self.uniform = self.square = 0
        self.unanswered = self.queries = 0
        self.codes = [[] for _ in layer.hashes]

    def add(self, call):
        queries, keys = self.layer.codes(call.q, call.k)
        outputs = self.layer(call.q, call.k, call.v, call.key_mask)
        exact = self.layer.softmax(call.q, call.k, call.v, call.key_mask)
        for image in range(len(call.k)):
            key_mask = slice(None) if call.key_mask is None else call.key_mask[image]
            query_mask = key_mask if call.q.shape[2] == call.k.shape[2] else slice(None)
            h, h_q = keys[image][:, key_mask], queries[image][:, query_mask]
            self._outputs(
                outputs[image][:, query_mask],
                exact[image][:, query_mask],
                call.v[image][:, key_mask],
            )
            self._denominators(h, h_q)
            self._pairs(call.q[image][:, query_mask], call.k[image][:, key_mask], h_q, h)
            for rows, codes in zip(self.codes, (h, h_q)):
                rows.append(codes)

    def _outputs(self, outputs, exact, values):
        self.error += (outputs - exact).square().sum((1, 2))
        count = exact.shape[1]
        mean = self.sums.total(values, count) / self._seen(values, count)
        self.uniform += (mean - exact).square().sum((1, 2))
        self.square += exact.square().sum((1, 2))

    def _denominators(self, h, h_q):
        seen = self._seen(h, h_q.shape[1])
        denominator = self.sums.agreement(h_q, h) + self.layer.offset[:, None, None] * seen
        self.unanswered += (denominator <= 0).sum((1, 2))
        self.queries += h_q.shape[1]

    def _seen(self, keys, queries):
        """How many of ``keys`` [H, N, …] each query sees: [1, M or 1, 1]."""
        return self.sums.total(keys.new_ones(1, keys.shape[1], 1), queries)

    def _pairs(self, q, k, h_q, h):
        if k.shape[1] < 2:  # nothing to tell apart
            return
        step = -(-q.shape[1] // MOST_QUERIES)
        q, h_q = q[:, ::step], h_q[:, ::step]
        logits = q @ k.mT
        self.separation += q.shape[1] * separation(h[None], logits[None], queries=h_q[None])
        self.correlation += _correlation(h_q @ h.mT, logits).sum(1)
        self.rows += q.shape[1]

    def quality(self, head):
        if not self.rows:
            raise ValueError("sequences of at least 2 tokens are needed to judge a hash")
        bits = [torch.cat([codes[head] for codes in rows]) for rows in self.codes]  # [n, b]
        balance = torch.cat([(codes > 0).double().mean(0) for codes in bits])
        return HeadQuality(
            layer=self.layer.layer,
            head=head,
            separation=(self.separation[head] / self.rows).item(),
            correlation=(self.correlation[head] / self.rows).item(),
            output_error=(self.error[head] / self.square[head].clamp_min(1e-12)).item(),
            uniform_error=(self.uniform[head] / self.square[head].clamp_min(1e-12)).item(),
            unanswered=self.unanswered[head].item() / self.queries,
            balance=tuple(balance.tolist()),
            entropy=_entropy(balance).mean().item(),
            codes=len(bits[0].unique(dim=0)),
            keys=len(bits[0]),
            twins=sum(_twins(codes) for codes in bits),
        )


def _correlation(a, b):
    """Correlation of the last dimension of two Tensors; 0 where one of them is constant."""
    a, b = (x - x.mean(-1, keepdim=True) for x in (a, b))
    length = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    return (a * b).sum(-1) / length.clamp_min(1e-12)


def _entropy(share):
    """Entropy in bits of a sign that is +1 with probability ``share``."""
    return -(torch.xlogy(share, share) + torch.xlogy(1 - share, 1 - share)) / math.log(2)


def _twins(codes):
    """How many of the bits of ``codes`` [n, b] repeat an earlier one; constant ones do not."""
    centred = codes.double() - codes.double().mean(0)
    length = centred.square().sum(0).sqrt()
    varying = centred[:, length > 0] / length[length > 0]
    alike = (varying.mT @ varying).abs() > TWINS
    return alike.tril(-1).any(1).sum().item()
