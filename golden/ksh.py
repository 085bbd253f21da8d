"""Learning the hash functions from attention maps: kernel-based supervised hashing (KSH).

Source: arXiv 2209.09004, §3.2, in the form of its released code; greedy bits after Liu et al.,
"Supervised Hashing with Kernels", CVPR 2012.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from golden.attention import observed
from golden.checks import check_choice, check_number
from golden.hashing import sign

__all__ = ["HashLearning", "learn_hash", "learn_hashes", "pair_labels", "separation", "OPTIMIZERS"]

OPTIMIZERS = {
    "sgd": lambda a: torch.optim.SGD([a], lr=5e-4, momentum=0.9, nesterov=True),
    "adam": lambda a: torch.optim.AdamW([a], lr=0.05, weight_decay=1.0),
}
"""``sgd`` as released; ``adam`` separates similar from dissimilar pairs better.

The decay keeps Adam from separating tokens that lie close together by large coefficients of
opposite sign, whose bits would flip as soon as tokens and coefficients are rounded to int8.
"""


@dataclass(frozen=True, kw_only=True)
class HashLearning:
    """Hyper-parameters of hash learning.

    Parameters
    ----------
    optimizer : str
        A key of :data:`OPTIMIZERS`.
    iterations : int
        Gradient steps per bit.
    pairs : int
        Similar and dissimilar tokens l per token; at most N/2 are used.
    """

    optimizer: str = "adam"
    iterations: int = 100
    pairs: int = 10

    def __post_init__(self):
        check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        check_number("iterations", self.iterations, int, 0)
        check_number("pairs", self.pairs, int, 1)


@torch.no_grad()
def learn_hash(hash, x, similarity, generator, config=None):
    """Learn anchors, projection, σ and μ of ``hash`` from tokens and their attention.

    Per head, for the bits r = 1…b in turn: minimise ``-(yᵀ S y) / (N b)``, averaged over images,
    with ``y = 2·sigmoid(K a) - 1``; keep the new ``a`` only where the loss of the signed code
    fell; then ``S ← S - y yᵀ``. S starts as b times the labels, a as N(0, 1). Anchors are random
    tokens of the first image. Rows of A end with a length that makes the mean square of y 1.

    Parameters
    ----------
    hash : KernelHash
        Changed in place; its σ is frozen afterwards.
    x : Tensor [B, H, N, D]
        Tokens.
    similarity : Tensor [B, H, N, N]
        Attention map, or logits: only the order in a row counts.
    generator : torch.Generator
        Draws anchors and starting points; equal generators give equal hashes.
    config : HashLearning or None
        Hyper-parameters; the defaults when None.

    Returns
    -------
    Tensor [b, iterations + 1, H]
        Loss of every bit before each step and after the last.
    """
    config = config or HashLearning()
    images, heads, tokens, _ = x.shape
    bits, anchors = hash.projection.shape[1:]
    hash.anchors.copy_(_random_anchors(x[0], anchors, generator))
    hash.calibrate(x)
    kernel = hash.kernel(x) - hash.mean[:, None]  # [B, H, N, m]
    residual = bits * pair_labels(similarity, config.pairs)  # [B, H, N, N]
    scale = 1 / (images * tokens * bits)

    start = torch.randn(heads, bits, anchors, generator=generator)
    curve = torch.empty(bits, config.iterations + 1, heads)
    for r in range(bits):
        a = start[:, r].clone()  # [H, m]
        optimizer = OPTIMIZERS[config.optimizer](a)
        for step in range(config.iterations + 1):
            s = torch.sigmoid(torch.einsum("bhnm,hm->bhn", kernel, a))
            y = 2 * s - 1
            pull = torch.einsum("bhij,bhj->bhi", residual, y)
            curve[r, step] = -scale * (y * pull).sum((0, 2))
            if step < config.iterations:
                # d loss/d a by hand, S being symmetric in effect: see _symmetric.
                a.grad = -4 * scale * torch.einsum("bhn,bhnm->hm", pull * s * (1 - s), kernel)
                optimizer.step()
        before, after = (_code(kernel, w) for w in (start[:, r], a))
        better = _energy(residual, after) > _energy(residual, before)  # [H]
        hash.projection[:, r] = torch.where(better[:, None], a, start[:, r])
        y = torch.where(better[:, None], after, before)
        residual -= y[..., :, None] * y[..., None, :]
    # Codes do not depend on the length of a row, but the window |y| < 1 of the straight-through
    # gradient does; Adam leaves rows so long that few tokens would pass a gradient.
    length = hash.project(x).square().mean((0, 2)).sqrt()  # [H, b]
    hash.projection /= length.clamp_min(1e-12)[..., None]
    return curve


def learn_hashes(model, images, seed=0, config=None):
    """Learn the hash of every EcoFormer layer of ``model`` in one forward pass of ``images``.

    Each layer learns when the pass reaches it, so it sees tokens that come from layers replaced
    already, and labels from the similarity x·xᵀ of the current model, as released.

    Parameters
    ----------
    model : VisionTransformer
        Changed in place.
    images : uint8 Tensor [B, channels, height, width]
        Training images.
    seed : int
        The same seed gives the same hashes.
    config : HashLearning or None
        Hyper-parameters.

    Returns
    -------
    list of Tensor [b, iterations + 1, H]
        Loss curves, one per layer.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = model.attention_layers()
    curves = []

    def observer(layer, x, v):
        hash = layers[layer].hash
        curves.append(learn_hash(hash, x, x @ x.mT, generator, config))

    with torch.no_grad(), observed(layers, observer):
        model(images)
    return curves


def pair_labels(similarity, pairs=10):
    """+1 for the ``pairs`` largest entries of each row, -1 for the smallest, else 0.

    The result is made symmetric, (L + Lᵀ)/2: only this part of it acts in yᵀ L y.
    """
    top, bottom = _extremes(similarity, pairs)
    labels = torch.zeros_like(similarity).scatter_(-1, top, 1.0).scatter_(-1, bottom, -1.0)
    return (labels + labels.mT) / 2


def separation(codes, similarity, pairs=10):
    """P(code similarity of a top pair > code similarity of a bottom pair of the same token).

    A tie counts one half, so random codes score 0.5 and perfect ones 1.

    Parameters
    ----------
    codes : Tensor [B, H, N, b]
        Codes ±1.
    similarity : Tensor [B, H, N, N]
        Attention map, or logits.
    pairs : int
        How many of a row are top, and how many bottom; at most N/2 are used.

    Returns
    -------
    float
    """
    top, bottom = _extremes(similarity, pairs)
    product = codes @ codes.mT
    near, far = product.gather(-1, top), product.gather(-1, bottom)
    margin = near[..., :, None] - far[..., None, :]
    return (0.5 * (1 + margin.sign())).mean().item()


def _extremes(similarity, pairs):
    """Columns of the largest and of the smallest entries of each row, disjoint."""
    count = min(pairs, similarity.shape[-1] // 2)
    order = similarity.sort(stable=True, dim=-1, descending=True).indices
    return order[..., :count], order[..., order.shape[-1] - count :]


def _random_anchors(x, count, generator):
    """``count`` unit tokens of ``x`` [H, N, D] per head; repeated when there are fewer tokens."""
    heads, tokens, _ = x.shape
    rounds = -(-count // tokens)
    picks = [
        torch.cat([torch.randperm(tokens, generator=generator) for _ in range(rounds)])[:count]
        for _ in range(heads)
    ]
    return normalize(torch.stack([x[h, pick] for h, pick in enumerate(picks)]), dim=-1)


def _code(kernel, a):
    return sign(torch.einsum("bhnm,hm->bhn", kernel, a))


def _energy(residual, y):
    return torch.einsum("bhi,bhij,bhj->h", y, residual, y)
