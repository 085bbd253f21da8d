"""What a conversion says of itself while it learns, as reporters."""

import sys

__all__ = ["told_layer", "told_step"]


def told_layer(site, number, layers, history):
    print(f"layer {number + 1}/{layers}: held-out error {min(history):.3f}", file=sys.stderr)


def told_step(step, steps, loss):
    print(f"step {step}/{steps}: held-out error {loss:.4f}", file=sys.stderr)
