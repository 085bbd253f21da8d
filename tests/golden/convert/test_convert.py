# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert, enough_batches
from ecoformer.golden.convert.readouts import READOUTS, readout
from ecoformer.golden.convert.saved import load_converted, save_converted
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.recording import record
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.placing import filled_sites
from tests.golden.convert.models import CONFIG, FAMILIES, QUICK, answer, bert, make_text
from tests.recorded_progress import RecordedProgress


@pytest.mark.parametrize("family", FAMILIES)
def test_every_attention_is_replaced(family):
    model, batches = FAMILIES[family]()
    model.eval()
    before = answer(model, batches[0])
    progress = RecordedProgress()
    converted = convert(model, CONFIG, batches, QUICK, progress=progress)
    cores = cores_of(converted)
    assert len(cores) == len(progress.lines) == 2
    assert progress.updates == [("layers", done, 2) for done in range(3)]
    assert all(not core.exact and core.heads == 4 for core in cores)
    after = answer(converted, batches[0])
    assert after.isfinite().all() and not torch.allclose(after, before, atol=1e-3)
    # The original is untouched, and softmax in the same places gives its answer back.
    assert torch.equal(answer(model, batches[0]), before)
    for core in cores:
        core.exact = True
    torch.testing.assert_close(answer(converted, batches[0]), before, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, EcoFormerAttention) for m in model.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_file_gives_the_same_network(family, tmp_path):
    model, batches = FAMILIES[family]()
    converted = convert(model, CONFIG, batches, QUICK, seed=3)
    save_converted(converted, tmp_path / "model.pt")
    loaded = load_converted(tmp_path / "model.pt", model)
    assert torch.equal(answer(loaded, batches[1]), answer(converted, batches[1]))
    again = convert(model, CONFIG, batches, QUICK, seed=3)
    assert torch.equal(answer(again, batches[1]), answer(converted, batches[1]))
    other, _ = FAMILIES["own" if family == "encoder" else "encoder"]()
    with pytest.raises(EcoformerError, match="model.pt: not a converted |no module"):
        load_converted(tmp_path / "model.pt", other)


@pytest.mark.parametrize("family", FAMILIES)
def test_converted_network_trains(family):
    model, batches = FAMILIES[family]()
    converted = convert(model, CONFIG, batches, QUICK).train()
    for core in cores_of(converted):
        core.requires_grad_()
    readout(run_model(converted, batches[0]), batches[0]).square().sum().backward()
    for core in cores_of(converted):
        for name, p in core.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all(), name
        assert core.hash.projection.grad.abs().sum() > 0


def test_more_bits_answer_more_alike():
    model, batches = bert()
    batches = make_text(6)
    want = answer(model.eval(), batches[-1])
    errors = []
    for bits in (2, 64):
        config = AttentionConfig(hash="linear", code_bits=bits, queries="separate")
        converted = convert(model, config, batches, DistillConfig(steps=40))
        errors.append((answer(converted, batches[-1]) - want).square().mean())
    assert errors[1] < 0.7 * errors[0]


def test_readouts_leave_padding_out():
    model, batches = bert()
    batch = batches[0] | {"output_hidden_states": True}
    output = run_model(model.eval(), batch)
    there = batch["attention_mask"].bool()
    layers = READOUTS["layers"](output, batch)
    assert layers.shape == (4, 2 * 10, 24)
    lengths = layers.norm(dim=-1).unflatten(1, (2, 10))
    torch.testing.assert_close(lengths, there[:, None].float().expand(-1, 2, -1))
    last = output.last_hidden_state
    torch.testing.assert_close(layers[1, 10], nn.functional.normalize(last[1, 0], dim=-1))
    mean = torch.stack([row[keys].mean(0) for row, keys in zip(last, there)])
    found = READOUTS["embedding"](output, batch)
    torch.testing.assert_close(found, nn.functional.normalize(mean, dim=-1))
    both = READOUTS["layers-embedding"](output, batch)
    torch.testing.assert_close(both[:, :-1], layers)
    torch.testing.assert_close(nn.functional.normalize(both[:, -1], dim=-1), found)
    assert both[:, -1].square().sum().item() == pytest.approx(layers.square().sum().item())
    with pytest.raises(EcoformerError, match="no hidden_states in it"):
        READOUTS["layers"](run_model(model, batches[0]), batches[0])
    with pytest.raises(EcoformerError, match="no hidden state of every token"):
        READOUTS["embedding"](torch.zeros(2, 3), {})


def test_padding_does_not_matter():
    model, batches = bert()
    converted = convert(model, CONFIG, batches, QUICK)
    batch = {name: x[1:2] for name, x in batches[0].items()}
    short = {name: x[:, :6] for name, x in batch.items()}
    torch.testing.assert_close(
        answer(converted, batch)[:, :6], answer(converted, short), atol=1e-5, rtol=1e-4
    )


def test_looking_for_attention_changes_nothing():
    model, batches = bert()
    before = answer(model.eval(), batches[0])
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    assert [site.path for site in sites] == [f"encoder.layer.{i}.attention.self" for i in (0, 1)]
    assert {(site.heads, site.head_dim, site.scale) for site in sites} == {(4, 6, 6**-0.5)}
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(answer(model, batches[0]), before)


def test_batches_are_enough_where_more_gain_nothing():
    model, batches = bert()
    model.eval()
    held_out = make_text(seed=1)
    learning = DistillConfig(steps=40, held_out=0.25)
    # Sixteen times the same few: nothing to gain.
    count, tried = enough_batches(model, CONFIG, 16 * batches[:1], held_out, learning)
    assert (count, [number for number, _ in tried]) == (4, [4, 8])
    assert tried[1][1] > 0.99 * tried[0][1]
    assert enough_batches(model, CONFIG, 16 * batches[:1], held_out, learning) == (count, tried)
    # Then others: more are better, and there is an end.
    varied = 4 * batches[:1] + make_text(count=10, seed=2)
    progress = RecordedProgress()
    count, tried = enough_batches(model, CONFIG, varied, held_out, learning, progress=progress)
    assert [number for number, _ in tried] == [4, 8, 14][: len(tried)]
    assert progress.updates == [("calibration batches", number, 14) for number, _ in tried]
    assert count == tried[-1][0] or tried[-1][1] > 0.99 * tried[-2][1]
    assert count > 4 and tried[1][1] < 0.99 * tried[0][1]


class Tied(nn.Module):
    """One attention module at every depth."""

    def __init__(self, depth=3):
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)
        self.depth = depth

    def forward(self, x):
        for _ in range(self.depth):
            x = x + self.attention(x, x, x, need_weights=False)[0]
        return x


def test_a_module_has_hashes_for_each_of_its_turns():
    model = Tied().eval()
    batches = list(torch.randn(3, 4, 10, 24))
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    assert [(site.path, site.turn) for site in sites] == [("attention", turn) for turn in range(3)]
    converted = convert(model, CONFIG, batches, QUICK)
    cores = cores_of(converted)
    assert filled_sites(converted) == sites
    calls = record(cores, lambda: run_model(converted, batches[0]))
    assert [len(each) for each in calls] == [1, 1, 1]
    assert not torch.equal(calls[0][0].k, calls[1][0].k)
    assert not torch.equal(cores[0].hash.projection, cores[1].hash.projection)
    want = answer(converted, batches[0])
    cores[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answer(converted, batches[0])
    cores[1]._forward_pre_hooks.clear()
    assert torch.equal(answer(converted, batches[0]), want)  # from the first turn again
    converted.depth = 2
    with pytest.raises(EcoformerError, match="^Tied: a module did not attend as often as during"):
        answer(converted, batches[0])


def test_a_model_inside_another_is_converted():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = bert()[0], nn.Linear(24, 3)

        def forward(self, input_ids, attention_mask):
            return self.head(self.body(input_ids, attention_mask).last_hidden_state[:, 0])

    model, batches = Classifier(), make_text()
    converted = convert(model, CONFIG, batches, QUICK)
    assert [site.path for site in filled_sites(converted)] == [
        f"body.encoder.layer.{number}.attention.self" for number in (0, 1)
    ]
    assert model.body.config._attn_implementation == "sdpa"
