# SPDX-License-Identifier: Apache-2.0
from copy import deepcopy

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.readouts import embedding
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.files import state_digest
from ecoformer.golden.learn import distill
from ecoformer.golden.learn.distill import DistillConfig
from tests.golden.convert.models import CONFIG, FAMILIES, QUICK, answer, bert, make_text
from tests.golden.learn.stopping import StopAfter
from tests.recorded_progress import RecordedProgress


def test_refining_agrees_better_and_trains_the_hashes_only():
    model, _ = bert()
    batches = 2 * make_text(4)  # random words teach nothing about others: the same are held out
    converted = convert(model, CONFIG, batches, DistillConfig(steps=2))
    before = {name: p.clone() for name, p in converted.state_dict().items()}
    history = refine(converted, batches, DistillConfig(steps=80, lr=5e-3))
    assert min(history) < 0.9 * history[0]
    for name, p in converted.state_dict().items():
        assert ".ecoformer." in name or torch.equal(p, before[name]), name
    assert not torch.equal(before[(name := "encoder.layer.0.attention.self.ecoformer.offset")],
                           converted.state_dict()[name])
    assert all(p.grad is None for p in converted.parameters())
    assert all(p.requires_grad != (".ecoformer." in name)
               for name, p in converted.named_parameters())
    before = {name: p.clone() for name, p in converted.state_dict().items()}
    tuned = refine(
        converted, batches, DistillConfig(steps=40), parameters=everything(converted, 0.0, 1e-3)
    )
    assert min(tuned) < 0.9 * tuned[0]
    for name, p in converted.state_dict().items():  # each group at its own rate
        moved = not torch.equal(p, before[name])
        assert moved == (".ecoformer." not in name and "pooler" not in name), name


def test_refining_goes_on_against_the_original_when_other_weights_have_changed(tmp_path):
    model, batches = bert()
    model.eval()
    converted = convert(model, CONFIG, batches, QUICK)
    with torch.no_grad():
        for layer in converted.encoder.layer:
            layer.output.dense.weight.mul_(1.5)
    still = DistillConfig(steps=0)
    (drifted,) = refine(converted, batches, still)
    (true,) = refine(converted, batches, still, original=model)
    _, held_out = still.split(batches)
    wanted = torch.stack([
        (answer(converted, batch) - target).square().sum() / target.square().sum()
        for batch in held_out for target in [answer(model, batch)]
    ]).mean().item()
    assert true == pytest.approx(wanted, rel=1e-4)
    assert drifted != pytest.approx(true, rel=1e-2)
    other = deepcopy(converted)
    refine(other, batches, QUICK, original=model, folder=tmp_path)
    with pytest.raises(EcoformerError, match="checkpoint of other settings"):
        refine(converted, batches, QUICK, original=other, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "own"])
def test_interrupted_conversion_goes_on_and_ends_with_the_same_bytes(
    family, tmp_path, monkeypatch
):
    model, batches = FAMILIES[family]()
    done = {"layers": 0}
    distil_layer = distill.distil_layer

    def counted(*arguments):
        done["layers"] += 1
        return distil_layer(*arguments)

    monkeypatch.setattr(distill, "distil_layer", counted)

    def learn(progress, folder=None):
        done["layers"] = 0
        converted = convert(model, CONFIG, batches, QUICK, progress=progress, folder=folder)
        refine(converted, batches, DistillConfig(steps=45), progress=progress, folder=folder)
        return state_digest(converted.state_dict())

    def work(progress):
        steps = [line for line in progress.lines if "step" in line]
        return {"layers": done["layers"], "evaluations": len(steps)}

    progress = RecordedProgress()
    whole = learn(progress)
    assert work(progress) == {"layers": 2, "evaluations": 23}
    for calls in (1, 2, 3, 9, 25):
        folder = tmp_path / str(calls)
        folder.mkdir()
        with pytest.raises(KeyboardInterrupt):
            learn(StopAfter(calls), folder)
        progress = RecordedProgress()
        assert learn(progress, folder) == whole
        left = {"layers": max(0, 2 - calls), "evaluations": 23 - max(0, calls - 2)}
        assert work(progress) == left


def test_checkpoint_of_another_conversion_is_refused(tmp_path):
    model, batches = bert()
    convert(model, CONFIG, batches, QUICK, folder=tmp_path)
    other, _ = bert()
    for arguments in (
        (other, CONFIG, batches, QUICK),
        (model, AttentionConfig(hash="linear", queries="separate"), batches[:2], QUICK),
        (model, CONFIG, batches, DistillConfig(steps=9)),
        (model, CONFIG, batches, QUICK, 1),
    ):
        with pytest.raises(EcoformerError, match="layers.pt: checkpoint of other settings: "):
            convert(*arguments, folder=tmp_path)
    refine(convert(model, CONFIG, batches, QUICK), batches, QUICK, folder=tmp_path)
    with pytest.raises(EcoformerError, match="together.pt: checkpoint of other settings: "):
        refine(
            convert(model, CONFIG, batches, QUICK), batches, QUICK, embedding, folder=tmp_path
        )
    (tmp_path / "layers.pt").write_bytes(b"x")
    with pytest.raises(EcoformerError, match="layers.pt: damaged checkpoint"):
        convert(model, CONFIG, batches, QUICK, folder=tmp_path)


def test_logits_are_compared_as_distributions_and_gradients_are_clipped(monkeypatch):
    model, batches = bert()
    converted = convert(model.eval(), CONFIG, batches, QUICK)
    learning = DistillConfig(steps=0, disagreement="divergence")
    (found,) = refine(converted, batches, learning, original=model)
    _, held_out = learning.split(batches)
    means = []
    for batch in held_out:
        wanted, got = answer(model, batch), answer(converted, batch)
        p, q = wanted.softmax(-1), got.softmax(-1)
        means.append((p * (p.log() - q.log())).sum(-1).mean().item())
    assert found == pytest.approx(sum(means) / len(means), rel=1e-3)

    norms = []
    step = torch.optim.Adam.step

    def watched(optimizer, *how):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.stack([g.square().sum() for g in gradients if g is not None])
                     .sum().sqrt().item())
        return step(optimizer, *how)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    refine(converted, batches, DistillConfig(steps=2), original=model)
    free = min(norms)
    norms.clear()
    refine(converted, batches, DistillConfig(steps=2, clip=free / 8), original=model)
    assert norms == pytest.approx(2 * [free / 8], rel=1e-3)
    with pytest.raises(ValueError, match="disagreement must be 'square' or 'divergence'"):
        DistillConfig(disagreement="cosine")
