# SPDX-License-Identifier: Apache-2.0
from itertools import islice

import numpy as np
import pytest

from ecoformer.golden.integer import roots
from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.phases.ties import has_thresholds, ties
from ecoformer.spec.config import Config

SMALL = dict(
    head_dim=3, value_dim=2, code_bits=5, anchors=4, max_tokens=4, cycles_per_token=8,
    parameter_sets=2,
)
ENGINES = {
    "rbf": Config(**SMALL),
    "rbf, ternary": Config(**SMALL, weights="ternary"),
    "linear, pow2": Config(**SMALL, hash="linear", weights="pow2"),
    "separate": Config(**SMALL, queries="separate"),
    "cross": Config(**SMALL, queries="cross", tuser_width=2),
}


def traces(config, count=30):
    """Hash of every side of every packet, and the thresholds of its set."""
    for scene in islice(ties(Draw(config, np.random.default_rng(0), 1e4)), count):
        for index, packet in enumerate(scene.packets):
            for inlet, sent in zip(config.wire.inlets, packet.streams):
                for side, tokens in zip(inlet.all, inlet.split(sent.tokens)):
                    image = scene.image.side(side)
                    yield trace_tokens(config, image, index, tokens), image.threshold[index]


@pytest.mark.parametrize("name", ENGINES)
def test_every_bit_ties_for_a_token_or_misses_by_one(name):
    found = [trace.projection - thresholds for trace, thresholds in traces(ENGINES[name])]
    assert all(np.isin(near, (0, -1)).any(axis=0).all() for near in found)
    both = np.concatenate(found)
    assert (both == 0).any(axis=0).all() and (both == -1).any(axis=0).all()


@pytest.mark.parametrize("name", ["rbf", "rbf, ternary", "separate"])
def test_kernel_values_are_live(name):
    kernels = np.concatenate([trace.kernel for trace, _ in traces(ENGINES[name])])
    assert np.mean((kernels > 0) & (kernels < 511)) > 0.5


def test_the_least_error_of_a_table_flips_codes(monkeypatch):
    right = [trace.codes for trace, _ in traces(ENGINES["rbf"])]
    aimed = list(islice(ties(Draw(ENGINES["rbf"], np.random.default_rng(0), 1e4)), 30))
    monkeypatch.setattr(roots, "ROOT", roots.ROOT ^ 1)
    wrong = [
        trace_tokens(ENGINES["rbf"], scene.image, index, packet.tokens).codes
        for scene in aimed for index, packet in enumerate(scene.packets)
    ]
    differ = [not np.array_equal(a, b) for a, b in zip(right, wrong, strict=True)]
    assert np.mean(differ) > 0.2


def test_engines_that_compute_no_codes_have_none():
    assert not has_thresholds(Config(**SMALL, hash="codes"))
    assert not has_thresholds(Config(**SMALL, hash="none", dataflow="softmax"))
