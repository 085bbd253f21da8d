# SPDX-License-Identifier: Apache-2.0
"""Parts of the recipe, each against its definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.arithmetic import Arithmetic
from ecoformer.golden.learn.average import Average
from ecoformer.golden.learn.batches import Batches
from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.loop import learning_rate
from ecoformer.golden.learn.mixing import cut_mix, mix, mix_up
from ecoformer.golden.learn.recipe import STEPS, TrainingConfig
from ecoformer.golden.networks.drop_path import draw_paths, dropping
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.pictures.config import PictureConfig

NETWORK = NetworkConfig(image_size=8, patch=4, width=8, heads=2, depth=3, classes=3)


def batch(count=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 10, 12), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 3


def test_mixup_blends_pictures_and_labels():
    images, labels = batch()
    mixed, targets = mix(images, labels, 3, PictureConfig(mixup=0.8), np.random.default_rng(5))
    rng = np.random.default_rng(5)
    partners = rng.permutation(6)
    rng.integers(1)
    share = rng.beta(0.8, 0.8)
    for i, j in enumerate(partners):
        wanted = share * images[i].double() + (1 - share) * images[j].double()
        torch.testing.assert_close(mixed[i].double(), wanted, rtol=1e-5, atol=1e-3)
        target = torch.zeros(3)
        target[labels[i]] += share
        target[labels[j]] += 1 - share
        torch.testing.assert_close(targets[i], target)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_cutmix_pastes_a_rectangle_and_counts_its_pixels(share):
    images, _ = batch()
    partners = torch.tensor([1, 2, 3, 4, 5, 0])
    for seed in range(20):
        mixed, left = cut_mix(images, partners, share, np.random.default_rng(seed))
        taken = (mixed != images).any(1)
        same = (images == images[partners]).all(1)
        rows, columns = np.nonzero(taken.any(0).numpy())
        area = 0
        if len(rows):
            box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
            assert (taken | same)[(slice(None), *box)].all()
            assert torch.equal(mixed[..., box[0], box[1]], images[partners][..., box[0], box[1]])
            area = taken[0][box].numel()
        assert left == pytest.approx(1 - area / 120)
        assert left >= share - 0.1


def test_each_batch_is_mixed_in_one_way_or_the_other():
    images, labels = batch()
    config = PictureConfig(mixup=1.0, cutmix=1.0)
    blended = 0
    for seed in range(200):
        mixed, targets = mix(images, labels, 3, config, np.random.default_rng(seed))
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        blended += mixed.is_floating_point()
    assert 70 < blended < 130
    same, unmixed = mix(images, labels, 3, PictureConfig(), np.random.default_rng(0))
    assert same is images and unmixed is labels
    assert torch.equal(mix_up(images, torch.arange(6), 0.25, None)[0], images.float())


def test_paths_are_dropped_more_often_towards_the_end_and_keep_their_mean():
    model = VisionTransformer(NETWORK)
    scales = draw_paths(model, 0.5, 4_000, np.random.default_rng(0))
    assert scales.shape == (6, 4_000)
    for scale, rate in zip(scales, (0, 0, 0.25, 0.25, 0.5, 0.5)):
        assert (scale == 0).double().mean() == pytest.approx(rate, abs=0.03)
        assert scale.mean() == pytest.approx(1, abs=0.06)
        assert set(scale.tolist()) - {0.0} == {np.float32(1 / (1 - rate))}


def test_dropped_paths_are_those_of_the_image_and_gone_afterwards():
    torch.manual_seed(0)
    model = VisionTransformer(NETWORK).eval()
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    scales = torch.ones(6, 4)
    scales[:, 1] = 0
    with torch.no_grad():
        whole = model(images)
        with dropping(model, scales):
            dropped = model(images)
        assert torch.equal(model(images), whole)
        tokens = model.to_tokens(images / 127.5 - 1).flatten(2).transpose(1, 2) + model.position
        bare = model.classifier(model.norm(tokens).mean(1))
    torch.testing.assert_close(dropped[[0, 2, 3]], whole[[0, 2, 3]])
    torch.testing.assert_close(dropped[1], bare[1])
    assert not torch.allclose(dropped[1], whole[1])


def gradients(training, **changes):
    """Gradient of one step on 12 images as training computes it."""
    from ecoformer.golden.learn import fit
    from ecoformer.golden.learn.data import DataSet
    from ecoformer.progress import SILENT

    training = replace(training, **changes)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (12, 1, 8, 8), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(12) % 3)
    fitter = fit.Fitter(DataSet("mnist", 3, split, split, split), training, None, SILENT)
    torch.manual_seed(0)
    model = VisionTransformer(NETWORK)
    run = fit._Epochs(fitter, "x", model, torch.optim.SGD(model.parameters(), 0.1), 1, (0, 0), 0,
                      None)
    for loss in run.losses(0):
        run.arithmetic.backward(loss)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_a_batch_in_parts_has_the_same_gradient():
    training = TrainingConfig(batch=12, mixup=0.8, cutmix=1.0, drop_path=0.3, shift=1)
    whole = gradients(training)
    for parts in (2, 5, 12):
        torch.testing.assert_close(
            gradients(training, accumulate=parts), whole, rtol=1e-4, atol=1e-6
        )
    assert not torch.allclose(gradients(training, seed=1), whole, rtol=1e-2)


def test_gradients_are_clipped_by_their_common_norm():
    model = nn.Linear(3, 2)
    arithmetic = Arithmetic(clip=0.5)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    arithmetic.backward(100 * model(torch.ones(1, 3)).sum())
    arithmetic.step(optimizer)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_float16_leaves_out_a_step_and_halves_the_scale():
    model = nn.Linear(3, 2)
    arithmetic = Arithmetic("float16")
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    before = model.weight.detach().clone()
    scale = arithmetic.scaler.get_scale()
    arithmetic.backward(model(torch.ones(1, 3)).sum() * float("inf"))
    arithmetic.step(optimizer)
    assert torch.equal(model.weight, before)
    assert arithmetic.scaler.get_scale() == scale / 2
    saved = arithmetic.state()
    optimizer.zero_grad()
    arithmetic.backward(model(torch.ones(1, 3)).sum())
    arithmetic.step(optimizer)
    assert not torch.equal(model.weight, before)
    other = Arithmetic("float16")
    other.restore(saved)
    assert other.scaler.get_scale() == scale / 2
    with pytest.raises(FloatingPointError, match="^gradients are not finite in float16; lower"):
        for _ in range(99):
            optimizer.zero_grad()
            arithmetic.backward(model(torch.ones(1, 3)).sum() * float("inf"))
            arithmetic.step(optimizer)


@pytest.mark.parametrize("precision, dtype", [
    ("bfloat16", torch.bfloat16), ("float16", torch.float16), ("float32", torch.float32)
])
def test_matrices_are_multiplied_in_the_precision(precision, dtype):
    with Arithmetic(precision).casting():
        assert nn.Linear(3, 2)(torch.ones(1, 3)).dtype is dtype


def test_average_forgets_the_start_and_copies_hashes():
    torch.manual_seed(0)
    model = VisionTransformer(NETWORK, AttentionConfig(code_bits=4, anchors=3))
    average = Average(model, 0.9)
    weight, start = model.classifier.weight, model.classifier.weight.detach().clone()
    hashes = [p for core in cores_of(model) for p in core.parameters()]
    expected = start.clone()
    for step in range(30):
        with torch.no_grad():
            weight += 1
            for p in hashes:
                p += 1
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(average.model.classifier.weight.detach(), expected)
    own = [p for core in cores_of(average.model) for p in core.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(own, hashes, strict=True))


def test_schedule_begins_and_ends_where_it_should():
    rates = [learning_rate(step / 2, 100, 10, 0.5, 2.0, 1e-3, 1e-2) for step in range(201)]
    assert rates[0] == pytest.approx(1e-3 + (2.0 - 1e-3) / 20)
    assert rates[19] == rates[20] == pytest.approx(2.0)
    assert rates[110] == pytest.approx(1.005)
    assert rates[200] == pytest.approx(1e-2)
    # The recipe of the paper: 5e-5 for a batch of 512.
    training = TrainingConfig(batch=256, lr_batch=512, warmup_lr=1e-7, final_lr=1e-6)
    assert training.rates(5e-5) == (5e-8, 2.5e-5, 5e-7)


def test_everything_random_follows_from_the_step():
    images, labels = batch(20)
    training = TrainingConfig(
        batch=8, shift=2, mixup=0.8, cutmix=1.0, flip=0.5, randaugment=2, erasing=0.25, seed=7
    )
    part = Split(images[..., :10], labels)
    one, two = Batches(part, 3, training, 1), Batches(part, 3, training, 1)
    one.begin(3)
    two.begin(3)
    first = [one.draw(step) for step in range(len(one))]
    for step in (2, 0):  # in any order
        for a, b in zip(two.draw(step), first[step]):
            assert torch.equal(a, b)
    assert [len(images) for images, _ in first] == [8, 8, 4]
    two.begin(4)
    assert not torch.equal(two.draw(0)[0].float(), first[0][0].float())


def test_fields_of_steps_exist_and_others_belong_to_all():
    names = vars(TrainingConfig()).keys()
    assert {name for step in STEPS.values() for name in step} <= names
    shared = TrainingConfig().settings()
    assert {"batch", "seed", "mixup", "data"} <= shared.keys()
    assert not {"tune_lrs", "controls", "tune_epochs", "pretrain_lr"} & shared.keys()
    assert "pretrain_lr" in TrainingConfig().settings("pretrain")


@pytest.mark.parametrize("field, value, error, text", [
    ("accumulate", 51, ValueError, "^accumulate must be 1…50, not 51$"),
    ("ema", 1, ValueError, "^ema must be 0…0.999999, not 1$"),
    ("precision", "float64", ValueError, "^precision must be 'float32' or 'bfloat16' or 'float16'"),
    ("drop_path", 1.0, ValueError, "^drop_path must be 0…0.99, not 1.0$"),
    ("clip", "x", TypeError, "^clip must be a number, not 'x'$"),
])
def test_impossible_recipes_are_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        TrainingConfig(**{field: value})


def test_smoothing_and_mixing_go_together():
    logits, labels = torch.randn(6, 3), torch.arange(6) % 3
    one_hot = torch.eye(3)[labels]
    torch.testing.assert_close(
        cross_entropy(logits, one_hot, label_smoothing=0.1),
        cross_entropy(logits, labels, label_smoothing=0.1),
    )


@pytest.mark.parametrize("data", ["names", "recall", "largest"])
def test_a_path_that_nobody_would_read_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match=f"data_path must be left out with data = '{data}'"):
        TrainingConfig(data=data, data_path="somewhere")
    with pytest.raises(EcoformerError, match="data_path must be left out"):
        TrainingConfig(data=data).at(tmp_path)
    assert TrainingConfig(data="frames").at(tmp_path).data_path == str(tmp_path)
