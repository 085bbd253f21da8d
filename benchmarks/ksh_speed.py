# SPDX-License-Identifier: Apache-2.0
"""KSH with sparse labels and all heads at once against plain loops on dense N × N labels.

Same data, anchors, start and threads; both begin with tokens and end with rows of A. With ``sgd``
and ``adam`` both take the same steps; ``whitened`` takes fewer than the ``adam`` beside it.
"""

import time

import numpy as np
import torch

from benchmarks.plain_ksh import dense_labels, plain_ksh
from benchmarks.results.section import LEARNING, arguments, begin
from ecoformer.golden.hashing import KernelHash
from ecoformer.golden.learn.ksh import KshConfig, learn_hash

HEADS, HEAD_DIM, BITS, ANCHORS = 8, 32, 16, 25
CLUSTERS = 40
WHITENED = KshConfig(optimizer="whitened", iterations=25)
RUNS = {
    "sgd": (KshConfig(optimizer="sgd"), KshConfig(optimizer="sgd")),
    "adam": (KshConfig(optimizer="adam"), KshConfig(optimizer="adam")),
    "whitened": (KshConfig(optimizer="adam"), WHITENED),
}
"""Settings of the plain loops, and ours."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--tokens", type=int, nargs="*", default=[784, 3136])
    parser.add_argument("--optimizers", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--repeats", type=int, default=3, help="the median counts")
    run = begin(parser)
    options = run.options
    learn_fast(clustered_tokens(64, 0), KshConfig(), 0)  # loads the libraries
    rows = []
    for tokens in options.tokens:
        x = clustered_tokens(tokens, options.seed)
        for optimizer in options.optimizers:
            theirs, ours = RUNS[optimizer]
            seconds = []
            for _ in range(options.repeats):  # in turn, so that load on the machine hits both
                fast, fast_seconds, features, start = learn_fast(x, ours, options.seed)
                clock = time.perf_counter()
                _, plain = plain_ksh(features, (x @ x.mT)[0], start, theirs)
                seconds.append((time.perf_counter() - clock, fast_seconds))
            plain_seconds, fast_seconds = np.median(seconds, axis=0)
            steps = f"{theirs.optimizer}, {theirs.iterations}"
            if ours != theirs:
                steps += f" → {ours.optimizer}, {ours.iterations}"
            rows.append([
                tokens, steps, f"{plain_seconds:.1f}", f"{fast_seconds:.2f}",
                f"{plain_seconds / fast_seconds:.1f}×", f"{plain.mean():.5f}",
                f"{fast.mean():.5f}",
            ])
            print(*rows[-1], flush=True)
    run.write_section(
        "hash-learning", "speed", f"Learning time, {HEADS} heads, {BITS} bits",
        ["N", "optimizer, steps", "plain, s", "ours, s", "faster", "signed loss, plain", "ours"],
        rows,
        headline=f"{rows[-1][4]} faster than plain loops at N = {rows[-1][0]}, {rows[-1][1]} steps",
        conditions=f"{torch.get_num_threads()} threads", tools=LEARNING,
    )


def clustered_tokens(tokens: int, seed: int) -> torch.Tensor:
    """Tokens [1, H, N, D] around random directions, as those of an image are."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(HEADS, CLUSTERS, HEAD_DIM, generator=generator)
    which = torch.randint(CLUSTERS, (HEADS, tokens), generator=generator)
    x = torch.stack([centre[index] for centre, index in zip(centres, which)])
    return (x + 0.7 * torch.randn(x.shape, generator=generator))[None]


def learn_fast(x: torch.Tensor, config: KshConfig, seed: int) -> tuple:
    """Signed loss [H], seconds, and the features and starting rows for the plain loops."""
    hash = KernelHash(HEADS, HEAD_DIM, BITS, ANCHORS)
    clock = time.perf_counter()
    learn_hash(hash, x, torch.Generator().manual_seed(seed), config)
    seconds = time.perf_counter() - clock
    features = hash.features(x)
    centred = (features - features.mean((0, 2), keepdim=True))[0]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(HEADS):
        torch.randperm(x.shape[2], generator=generator)  # the anchors
    start = torch.randn(HEADS, BITS, ANCHORS, generator=generator)
    return signed_loss(hash(x)[0], x[0]), seconds, centred, start


def signed_loss(codes: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """As :func:`plain_ksh.plain_ksh` measures it, from codes [H, N, b]."""
    losses = []
    for code, tokens in zip(codes, x):
        residual = BITS * dense_labels(tokens @ tokens.T) - code @ code.T
        losses.append(residual.square().sum() / (len(tokens) * BITS) ** 2)
    return torch.stack(losses)


if __name__ == "__main__":
    main()
