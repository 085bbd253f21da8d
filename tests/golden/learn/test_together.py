# SPDX-License-Identifier: Apache-2.0
from copy import deepcopy

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.learn.together import distil_network
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer

SHAPE = NetworkConfig(image_size=8, patch=2, width=16, heads=2, depth=2, classes=5)
KINDS = {
    "linear": {"hash": "linear"},
    "ternary": {"hash": "linear", "weights": "ternary"},
    "rbf": {"anchors": 6},
}


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def limit_and_codes(**attention):
    """A network in the limit of many bits, and the same with codes."""
    torch.manual_seed(0)
    teacher = VisionTransformer(SHAPE)
    for weight in teacher.parameters():
        weight.data.mul_(2)  # so that attention has something to say
    config = AttentionConfig(code_bits=8, **attention)
    teacher.limit_attention(config)
    model = deepcopy(teacher.eval())
    model.replace_attention(config)
    return teacher, model.eval()


@torch.no_grad()
def error(model, teacher):
    """On images that nothing was learned from."""
    new = images(100, seed=9)
    target = teacher(new)
    return ((model(new) - target).square().sum() / target.square().sum()).item()


def learn(model, teacher, seed=0, steps=60):
    batches = images(96, seed=1).split(16)
    return distil_network(model, teacher, batches, DistillConfig(steps=steps), seed)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_learn_to_answer_as_the_limit_does(kind):
    teacher, model = limit_and_codes(**KINDS[kind])
    drawn = []
    for seed in range(3):
        other = deepcopy(model)
        learn_hashes(other, images(96, 1), seed, None, "random")
        drawn.append(error(other, teacher))
    before = {name: p.clone() for name, p in model.named_parameters()}
    history = learn(model, teacher)
    assert min(history) < 0.8 * history[0]
    assert error(model, teacher) < 0.8 * min(drawn)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all(".core." in name for name in moved)  # no other weight
    offsets = torch.cat([layer.offset for layer in model.attention_layers()])
    assert ((offsets >= 0) & (offsets <= 16)).all()


def test_equal_seeds_give_equal_hashes():
    states = []
    for seed in (1, 1, 2):
        teacher, model = limit_and_codes(hash="linear")
        learn(model, teacher, seed, steps=3)
        states.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_without_a_teacher_softmax_is_the_aim():
    torch.manual_seed(0)
    model = VisionTransformer(SHAPE)
    model.replace_attention(AttentionConfig(code_bits=8, hash="linear"))
    softmax = deepcopy(model.eval())
    for layer in softmax.attention_layers():
        layer.exact = True
    learn(model, None, steps=0)
    start = error(model, softmax)
    learn(model, None)
    assert error(model, softmax) < 0.8 * start


def test_what_cannot_learn_is_refused():
    teacher, model = limit_and_codes(hash="linear")
    with pytest.raises(EcoformerError, match="calibration must be at least 2 batches"):
        distil_network(model, teacher, [images(16, 0)], DistillConfig(), 0)
    with pytest.raises(ValueError, match="^model must have EcoFormer attention$"):
        distil_network(teacher, teacher, images(32, 0).split(16), DistillConfig(), 0)
