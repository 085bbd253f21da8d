# SPDX-License-Identifier: Apache-2.0
"""Compiled attention, and training on a GPU, do what they do on a CPU as written."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.learn.cuda_graphs import compiled
from ecoformer.golden.learn.distill import DistillConfig

CONFIG = AttentionConfig(hash="linear", code_bits=8, queries="separate")


@pytest.fixture
def pieces():
    """A converted encoder, and batches of two shapes."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    batches = [torch.randn(4, 8 + 4 * (i % 2), 16) for i in range(8)]
    return convert(model, CONFIG, batches, DistillConfig(steps=3)), batches


def gradients(model, batch):
    model.zero_grad()
    model(batch).square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.filterwarnings("ignore")  # of the compiler about itself
@pytest.mark.slow
def test_compiled_attention_is_the_same(pieces):
    model, batches = pieces
    cores = cores_of(model)
    for core in cores:
        core.requires_grad_()
    expected = gradients(model, batches[0])
    with compiled(cores):
        assert all("forward" in vars(core) for core in cores)
        torch.testing.assert_close(gradients(model, batches[0]), expected)
    assert not any("forward" in vars(core) for core in cores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("whole", [False, True])
def test_a_descent_on_a_gpu_is_that_of_a_cpu(pieces, whole):
    model, batches = pieces
    learning = DistillConfig(steps=20, lr=1e-3)

    def descent(device):
        network = deepcopy(model).to(device)
        trained = everything(network, 1e-2, 1e-3) if whole else None
        there = [batch.to(device) for batch in batches]
        history = refine(network, there, learning, parameters=trained)
        return network.cpu(), torch.tensor(history)

    (one, expected), (other, found) = descent("cpu"), descent("cuda")
    assert expected[-1] < expected[0]
    torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-3)
    for a, b in zip(cores_of(one), cores_of(other)):
        assert not torch.equal(a.hash.projection, cores_of(model)[a.layer].hash.projection)
        torch.testing.assert_close(a.hash.projection, b.hash.projection, rtol=0.05, atol=0.01)
