# SPDX-License-Identifier: Apache-2.0
"""Associative recall: a network trained in the limit of many bits, and codes put in afterwards.

Nothing is tuned after the swap: what is measured is the hash alone, on a task that a network which
cannot choose what it looks at does not solve.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.results.section import LEARNING, arguments, begin
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.fit import accuracy
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.learn.recall import CHANNELS, SIDE, VALUES
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer

__all__ = ["main"]

NETWORK = NetworkConfig(
    image_size=SIDE, channels=CHANNELS, classes=VALUES, patch=1, width=64, heads=2, depth=2
)
HASH_IMAGES = 256
HASHES = {
    "linear": ({"hash": "linear"}, ("random", "ksh")),
    "kernelized": ({"anchors": SIDE * SIDE}, ("random", "released", "ksh")),
}
"""What of the attention is another, and learners."""
LEARNING_OF = {"ksh": KshConfig(optimizer="whitened", iterations=25)}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, nargs=2, default=(3, 12), help="of softmax and limit")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--seeds", type=int, default=3, help="of the hashes")
    run = begin(parser)
    options = run.options
    pretrain, limit = options.epochs
    training = TrainingConfig(
        data="recall", seed=options.seed, shift=0, batch=128, label_smoothing=0.0,
        weight_decay=0.01, pretrain_epochs=pretrain, limit_epochs=limit, tune_epochs=1,
        tune_lrs=(1e-4,), hash_learner="random", hash_images=HASH_IMAGES, controls=("mean", "none"),
    )
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(NETWORK, AttentionConfig(), training, Path(folder), control=False)
        state = read_checked(Path(folder) / "checkpoints" / "limit.pt", "checkpoint")["model"]
    scores = metrics["held_out_accuracy"]
    rows = [
        [name, "", "", f"{scores[arm]:.1%}"]
        for name, arm in (
            ("softmax", "pretrained"), ("mean of values", "mean"), ("no attention", "none"),
            ("limit of many bits", "limit"),
        )
    ]
    data = datasets.load("recall", None, options.seed)
    for name, (shape, learners) in HASHES.items():
        for learner in learners:
            for bits in options.bits:
                attention = AttentionConfig(code_bits=bits, **shape)
                found = [
                    _swapped(state, attention, learner, data, seed) for seed in range(options.seeds)
                ]
                span = f"{min(found):.1%} to {max(found):.1%}"
                rows.append([f"{name} hash", learner, bits, span])
                print(*rows[-1], file=sys.stderr, flush=True)
    run.write_section(
        "hash-learning", "recall", "Codes in a network trained in the limit of many bits",
        ["attention", "hash learner", "bits", "recall, held out"],
        rows,
        headline=f"associative recall: softmax {rows[0][-1]}, limit {rows[3][-1]}, mean of values "
        f"{rows[1][-1]}",
        tools=LEARNING,
        notes=[
            f"One training seed, {options.seeds} seeds of the hashes; nothing is tuned after the "
            "swap. Hashes are learned or calibrated on "
            f"{HASH_IMAGES} training sequences; weights are rounded to int8.",
        ],
    )


def _swapped(state, attention, learner, data, seed):
    """Accuracy with codes in the place of the limit."""
    model = VisionTransformer(NETWORK)
    model.limit_attention(attention)
    model.load_state_dict(state)
    model.replace_attention(attention)
    images = data.train.images[:HASH_IMAGES]
    learn_hashes(model.eval(), images, seed, LEARNING_OF.get(learner), learner)
    return accuracy(model, data.held_out.images, data.held_out.labels)


if __name__ == "__main__":
    main()
