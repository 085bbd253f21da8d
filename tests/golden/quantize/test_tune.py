# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.fit import Fitter
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.quantize.integer_network import compare, quantise
from ecoformer.golden.quantize.linear import quantise_linear
from ecoformer.golden.quantize.network import network_shape
from ecoformer.golden.quantize.tune import OnGrid, fold_norms, tune
from ecoformer.progress import SILENT
from ecoformer.spec.choices import Weights
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.layers import LinearShape
from tests.golden.quantize.test_network import make


def quadrants(count, seed):
    """Noise with a bright quadrant, which is the label."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 128, (count, 1, 16, 16), dtype=np.uint8)
    labels = rng.integers(0, 4, count)
    for image, label in zip(images, labels):
        row, column = divmod(label, 2)
        image[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 100
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


@pytest.fixture(scope="module")
def data():
    return DataSet("quadrants", 10, quadrants(200, 0), quadrants(40, 1), quadrants(200, 2))


@pytest.mark.parametrize("name", ["shared", "separate", "colours"])
def test_folded_norms_change_nothing(name):
    model, _, images = make(name)
    folded = fold_norms(model)
    with torch.no_grad():
        torch.testing.assert_close(folded(images[:8]), model(images[:8]))
    for module in folded.modules():
        if isinstance(module, torch.nn.LayerNorm):
            assert (module.weight == 1).all() and not module.bias.any()
            assert not module.weight.requires_grad and not module.bias.requires_grad
    assert not (model.norm.weight == 1).all()  # the model itself is left alone


@pytest.mark.parametrize("format", list(Weights))
def test_weights_are_those_of_the_quantiser_and_gradients_pass(format):
    rng = np.random.default_rng(0)
    shape = LinearShape(6, 5, 8, 16, format)
    inputs, outputs = rng.uniform(0.5, 2, 6), 0.1
    weights = torch.from_numpy(rng.normal(0, 0.02, (5, 6))).requires_grad_()
    grid = OnGrid(shape, weights, inputs, outputs)(weights)
    (grid * torch.arange(30.0).view(5, 6)).sum().backward()
    assert torch.equal(weights.grad, torch.arange(30.0, dtype=torch.float64).view(5, 6))
    matrix = weights.detach().numpy().T * inputs[:, None]
    numbers = quantise_linear(shape, matrix, np.zeros(5), outputs)
    wanted = (numbers["weights"] / 2.0 ** numbers["shift"] * outputs / inputs[:, None]).T
    np.testing.assert_allclose(grid.detach().numpy(), wanted)
    again = OnGrid(shape, grid, inputs, outputs)(grid.detach())  # what is on the grid stays there
    np.testing.assert_allclose(again.numpy(), grid.detach().numpy())


@pytest.mark.parametrize("format", list(Weights))
def test_shifts_stay_and_the_quantiser_finds_them_again(format):
    rng = np.random.default_rng(1)
    shape = LinearShape(6, 5, 8, 16, format)
    inputs, outputs = rng.uniform(0.5, 2, 6), 0.1
    weights = torch.from_numpy(rng.normal(0, 0.02, (5, 6)))
    grid = OnGrid(shape, weights, inputs, outputs)
    units = quantise_linear(shape, weights.numpy().T * inputs[:, None], np.zeros(5), outputs)
    moved = grid(1.9 * weights).numpy().T * inputs[:, None]
    steps = moved / outputs * 2.0 ** units["shift"]
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert shape.weights.holds(np.rint(steps).astype(np.int64))
    numbers = quantise_linear(shape, moved, np.zeros(5), outputs)
    np.testing.assert_allclose(numbers["weights"] / 2.0 ** numbers["shift"] * outputs, moved)


@pytest.mark.slow
def test_coarse_weights_learn_what_rounding_loses(data, tmp_path):
    model, config, _ = make("shared")
    training = TrainingConfig(batch=20, shift=0, tune_lrs=(4e-3,))
    plain = Fitter(data, training, tmp_path / "float", SILENT)
    plain.fit("float", model, 10, 4e-3, stream=0, settings={})
    design = NetworkDesign(**network_shape(model), attention=config, weights=Weights.TERNARY)
    before = quantise(design, model, data)
    weights = model.state_dict()["blocks.0.mlp.0.weight"].clone()
    after = tune(design, model, data, training, 10, tmp_path / "tuned")
    after.image.check(design)
    assert torch.equal(model.state_dict()["blocks.0.mlp.0.weight"], weights)
    lost, kept = (compare(q, model, data.held_out)["accuracy"] for q in (before, after))
    assert kept > 0.9 and kept > lost + 0.2, (lost, kept)
