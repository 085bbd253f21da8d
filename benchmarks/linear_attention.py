# SPDX-License-Identifier: Apache-2.0
"""Time and memory of EcoFormer attention in float beside torch's softmax attention, on the CPU.

Every point runs in a process of its own, on one thread, forward only. Time is the least of several
calls; memory is the growth of the process at its peak. EcoFormer's figures include its hash.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.results.section import LEARNING, arguments, begin

__all__ = ["main"]

PLOT = Path(__file__).parents[1] / "build" / "linear_attention.svg"
ARMS = {
    "softmax": "SDPA",
    "rbf": "EcoFormer, rbf",
    "linear": "EcoFormer, linear",
}
MOST_SECONDS = 3
"""Time after which a point is not repeated."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--tokens", type=int, nargs="*", default=[2**e for e in range(6, 17)])
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--code-bits", type=int, default=16)
    parser.add_argument("--point", nargs=2, metavar=("ARM", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(options, options.point[0], int(options.point[1]))))
        return
    run = begin(parser)
    points = {}
    for tokens in options.tokens:
        for arm in ARMS:
            reply = subprocess.run(
                [sys.executable, "-m", "benchmarks.linear_attention", *sys.argv[1:],
                 "--point", arm, str(tokens)],
                check=True, stdout=subprocess.PIPE, text=True,
            )
            points[arm, tokens] = json.loads(reply.stdout)
            print(arm, tokens, points[arm, tokens], file=sys.stderr)
    rows = []
    for tokens in options.tokens:
        softmax = points["softmax", tokens]
        row = [f"{tokens:,}"]
        for arm in ARMS:
            seconds, megabytes = points[arm, tokens]
            row += [f"{1e3 * seconds:.2f}", f"{megabytes:.0f}"]
            if arm != "softmax":
                row.append(f"{softmax[0] / seconds:.2f}")
        rows.append(row)
    notes = []
    for arm, name in [*ARMS.items()][1:]:
        faster = [n for n in options.tokens if points[arm, n][0] < points["softmax", n][0]]
        first, last = options.tokens[-3], options.tokens[-1]
        growth = points[arm, last][0] / points[arm, first][0]
        text = f"{name}: faster from N = {min(faster):,}; " if faster else f"{name}: never faster; "
        notes.append(f"{text}{last // first} × the tokens take {growth:.1f} × the time")
    run.write_section(
        "attention-on-cpu", "speed",
        f"{options.heads} heads, D = E = {options.head_dim}, b = {options.code_bits}",
        ["N", "SDPA, ms", "MB", "rbf, ms", "MB", "SDPA / rbf", "linear, ms", "MB", "SDPA / linear"],
        rows,
        headline=f"N = {rows[-1][0]}: {rows[-1][5]} × as fast as torch's softmax attention (rbf)",
        notes=notes, conditions="1 thread", tools=LEARNING,
    )
    plot(options.tokens, points)


def measure(options: argparse.Namespace, arm: str, tokens: int) -> tuple[float, float]:
    """Seconds of one call, and megabytes the process grew by."""
    import torch

    from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention
    from ecoformer.golden.attention_config import AttentionConfig

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    shape = 1, options.heads, tokens, options.head_dim
    k, v = torch.randn(shape), torch.randn(shape)
    if arm == "softmax":
        attention = SoftmaxAttention(options.heads)
    else:
        config = AttentionConfig(hash=arm, code_bits=options.code_bits)
        attention = EcoFormerAttention(options.heads, options.head_dim, config)
        attention.hash.calibrate(k[:, :, :64])
    with torch.inference_mode():
        few = k[:, :, :64]
        attention(few, few, v[:, :, :64])  # the first call costs more
        before = peak()
        times = []
        while not times or (sum(times) < MOST_SECONDS and len(times) < 50):
            clock = time.perf_counter()
            attention(k, k, v)
            times.append(time.perf_counter() - clock)
    return min(times), peak() - before


def peak() -> float:
    """Most memory this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plot(tokens: list[int], points: dict) -> None:
    """Time and memory over N, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    titles = "seconds", "megabytes"
    for part, (axis, title) in enumerate(zip(figure.subplots(1, 2), titles)):
        for arm, name in ARMS.items():
            axis.plot(tokens, [points[arm, n][part] for n in tokens], marker="o", label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log" if part == 0 else "symlog")
        axis.set_xlabel("tokens N")
        axis.set_title(title, loc="left")
        axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT)
    print(f"plot: {PLOT}", file=sys.stderr)


if __name__ == "__main__":
    main()
