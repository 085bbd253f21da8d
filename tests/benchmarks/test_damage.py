# SPDX-License-Identifier: Apache-2.0
import io
import random

import numpy as np
import pytest
import torch

from benchmarks.damage import Kind, Run, _verdict
from benchmarks.kills import _timeless
from benchmarks.mutations import BYTES, TEXT, arrays_of, tensors_of
from ecoformer.golden.files import torch_bytes
from ecoformer.inputs import sealed


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(4), b=np.ones(3))
    return sealed(buffer.getvalue())


@pytest.mark.parametrize(
    "mutation, data",
    [
        *((mutation, b"[engine]\nhead_dim = 8\nvalue_dim = 4\n") for mutation in TEXT),
        *((mutation, bytes(range(200))) for mutation in BYTES),
        (arrays_of, npz()),
        (tensors_of, torch_bytes({"state": {"w": torch.ones(3)}, "n": torch.tensor([1])})),
    ],
)
def test_mutations_are_reproducible_and_change_something(mutation, data):
    found = [mutation(data, random.Random(seed)) for seed in range(20)]
    assert found == [mutation(data, random.Random(seed)) for seed in range(20)]
    assert sum(one != data for one in found) > 10


@pytest.mark.parametrize(
    "status, errors, seconds, same, want",
    [
        (2, "ecoformer: c.toml: no", 1, False, "refused"),
        (2, "no", 1, False, "tracebacks"),
        (1, "Traceback (most recent call last):", 1, False, "tracebacks"),
        (139, "", 1, False, "tracebacks"),
        (0, "", 1, True, "harmless"),
        (0, "", 1, False, "other content"),
        (0, "", 30, True, "beyond limits"),
        (2, "ecoformer: this machine: not enough memory", 1, False, "beyond limits"),
    ],
)
def test_verdicts(status, errors, seconds, same, want):
    found = Run(status, "", errors, seconds, 10.0)
    assert _verdict(Kind(None, [], ()), found, same) == want
    if want == "other content":
        assert _verdict(Kind(None, [], (), is_text=True), found, same) == "as written"
    if want == "harmless":
        assert _verdict(Kind(None, [], (), is_sealed=True), found, same) == "other content"


def test_figures_that_differ_from_run_to_run_are_left_out():
    assert _timeless({"a": [{"seconds": 1, "b": 2}], "seconds": 3}) == {"a": [{"b": 2}]}
