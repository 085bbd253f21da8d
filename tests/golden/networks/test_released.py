# SPDX-License-Identifier: Apache-2.0
"""Our attention, hash learning and networks beside what the released code computed."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import RELEASED
from ecoformer.golden.hashing import KernelHash
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.learn.released_ksh import learn_released
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import ECOFORMER, NAMED, SOFTMAX, PyramidConfig
from ecoformer.golden.networks.released import (
    from_released,
    load_released,
    released_state,
    save_released,
    shape_of,
)
from tests.golden.released.recipe import (
    ANCHORS,
    ATTENTION,
    BITS,
    CLASSES,
    KSH,
    PYRAMIDS,
    SEED,
    SIDE,
    fill,
    hash_parameters,
    normal,
    packed,
    tokens_to_learn,
)

VECTORS = json.loads((Path(__file__).parents[1] / "released" / "vectors.json").read_text())
ECO = replace(RELEASED, code_bits=BITS, anchors=ANCHORS)


def config(kind, attention=ECOFORMER):
    return PyramidConfig(family=kind, classes=CLASSES, attention=attention, **PYRAMIDS[kind])


@pytest.fixture(scope="module")
def states():
    """The tensors that the released networks were recorded with."""
    found = {}
    for kind in PYRAMIDS:
        found[kind] = released_state(make_pyramid(config(kind), ECO))
        fill(found[kind])
    return found


def images(kind):
    return normal(f"{kind}.images", 2, 3, SIDE, SIDE)


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_that_of_the_released_code(name):
    number, heads, tokens, dim, bits, anchors = ATTENTION[name]
    core = EcoFormerAttention(heads, dim, replace(RELEASED, code_bits=bits, anchors=anchors))
    rows, points, mean = hash_parameters(name, heads, dim, bits, anchors)
    core.hash.projection.copy_(rows)
    core.hash.anchors.copy_(points[0])
    core.hash.threshold.copy_((rows @ mean[0].mT)[..., 0])
    x, v = (normal(f"{name}.{kind}", number, heads, tokens, dim) for kind in "xv")
    assert packed(core.hash(x)) == VECTORS["attention"][name]["codes"]
    want = torch.tensor(VECTORS["attention"][name]["outputs"])
    torch.testing.assert_close(core(x, x, v).flatten(), want, rtol=0, atol=1e-6)


def test_learned_hash_is_that_of_the_released_code():
    _, heads, _, dim, bits, anchors, pairs = KSH
    x, start = tokens_to_learn()
    hash = KernelHash(heads, dim, bits, anchors, "float", "zero", "per-sequence")
    hash.projection.copy_(start)
    curve = learn_released(hash, x, torch.Generator().manual_seed(SEED), KshConfig(pairs=pairs))
    assert curve.shape == (bits, 101, heads)
    want = torch.tensor(VECTORS["ksh"]["A"]).view(heads, bits, anchors)
    assert (want != start).any(-1).float().mean() > 0.5  # rows that descent has changed
    assert cosine_similarity(hash.projection, want, dim=-1).min() > 0.9999
    mean = torch.tensor(VECTORS["ksh"]["mvec"]).view(heads, anchors, 1)
    torch.testing.assert_close(hash.threshold[..., None], want @ mean, rtol=0, atol=1e-5)
    assert packed(hash(x)) == VECTORS["ksh"]["codes"]


def test_learning_as_released_needs_as_many_tokens_as_anchors():
    with pytest.raises(ValueError, match="^tokens must be at least as many as the 5 anch"):
        learn_released(KernelHash(1, 3, 2, 5), torch.randn(1, 1, 4, 3), torch.Generator())


def test_a_calibrated_hash_learned_as_released_is_ready_for_hardware():
    hash = KernelHash(2, 4, 3, 5)
    learn_released(hash, x := torch.randn(2, 2, 9, 4), torch.Generator(), KshConfig(iterations=3))
    assert hash.frozen
    assert hash.project(x).mean((0, 2)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", PYRAMIDS)
def test_networks_are_those_of_the_released_code(states, kind):
    recorded = VECTORS[kind]
    assert len(states[kind]) == recorded["tensors"]
    model = from_released(states[kind])
    assert model.config == replace(config(kind), reductions=(8, 4, 2, 1))
    codes = []
    for core in model.cores:
        core.hash.register_forward_hook(lambda module, inputs, output: codes.append(output))
    with torch.no_grad():
        logits = model(images(kind)).flatten()
    assert [int((code > 0).sum()) for code in codes] == recorded["ones"]
    torch.testing.assert_close(logits, torch.tensor(recorded["logits"]), rtol=0, atol=1e-5)


def test_the_bandwidth_of_a_released_network_is_never_frozen(states):
    hash = from_released(states["pvt_v2"]).cores[0].hash
    hash.calibrate(torch.randn(2, 1, 9, 8))
    assert not hash.frozen


@pytest.mark.parametrize("kind", PYRAMIDS)
def test_what_is_written_reads_back(states, kind, tmp_path):
    model = from_released(states[kind])
    save_released(model, tmp_path / "again.pth")
    written = torch.load(tmp_path / "again.pth", weights_only=True)
    assert written["epoch"] == 0 and written["model"].keys() == states[kind].keys()
    again = load_released(tmp_path / "again.pth")
    with torch.no_grad():
        torch.testing.assert_close(again(images(kind)), model(images(kind)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", PYRAMIDS)
@pytest.mark.parametrize(
    "attention", [SOFTMAX, ("reduced",) * 4, ("softmax-shared",) * 3 + ("reduced",)]
)
def test_attention_shows_in_a_state(kind, attention):
    # Heads of softmax attention do not show: widths of a published network tell them.
    known = NAMED["PVTv2-B0" if kind == "pvt_v2" else "Twins-SVT-S"]
    shape = replace(known, depths=(2, 3, 2, 2), attention=attention)
    with torch.device("meta"):
        found = shape_of(make_pyramid(shape).state_dict())
    assert found.attention == attention
    assert (found.heads, found.depths, found.widths) == (shape.heads, shape.depths, shape.widths)


@pytest.mark.parametrize(
    "field, value",
    [("value_term", "sum"), ("tie", "positive"), ("bandwidth", "calibrated"), ("offset", 3.0)],
)
def test_what_the_released_code_cannot_compute_is_not_written(field, value):
    model = make_pyramid(config("pvt_v2"), replace(ECO, **{field: value}))
    with pytest.raises(EcoformerError, match=f"^attention: {field} must be .* for the released"):
        released_state(model)


def test_nothing_but_tensors_is_read(states, tmp_path):
    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    arguments = argparse.Namespace(folder=tmp_path, hostile=Hostile(), names={1, 2})
    torch.save({"model": states["pvt_v2"], "args": arguments}, tmp_path / "theirs.pth")
    assert load_released(tmp_path / "theirs.pth").config.family == "pvt_v2"
    assert not (tmp_path / "touched").exists()


def test_other_files_are_refused(states, tmp_path):
    path = tmp_path / "file.pth"
    with pytest.raises(EcoformerError, match="file.pth: no such file; give a checkpoint"):
        load_released(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(EcoformerError, match="file.pth: not a file of tensors"):
        load_released(path)
    torch.save([1], path)
    with pytest.raises(EcoformerError, match="file.pth: not tensors by name"):
        load_released(path)
    torch.save({"model": {"fc.weight": torch.zeros(2)}}, path)
    with pytest.raises(EcoformerError, match="file.pth: not a PVTv2 or Twins-SVT"):
        load_released(path)
    torch.save(dict(list(states["pvt_v2"].items())[:-1]), path)
    with pytest.raises(EcoformerError, match="file.pth: not a PVTv2 or Twins-SVT"):
        load_released(path)
