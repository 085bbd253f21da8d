# SPDX-License-Identifier: Apache-2.0
import json
from copy import deepcopy

import pytest
import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import (
    convert,
    enough_batches,
    learn_layers,
    replace_attention,
)
from ecoformer.golden.convert.readouts import READOUTS, embedding, readout
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.convert.saved import load_converted, save_converted
from ecoformer.golden.files import state_digest, torch_bytes
from ecoformer.golden.learn import distill
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.recording import record
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.placing import filled_sites
from ecoformer.progress import Progress
from tests.recorded_progress import RecordedProgress

transformers = pytest.importorskip("transformers")

CONFIG = AttentionConfig(hash="linear", code_bits=16, queries="separate")
QUICK = DistillConfig(steps=8)
SIZES = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
    initializer_range=0.3,  # large enough for attention to matter
)


def make_text(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(10) < torch.tensor([[10], [6], [8], [3]])
    return [
        {"input_ids": torch.randint(3, 50, (4, 10), generator=generator),
         "attention_mask": mask.long()}
        for _ in range(count)
    ]


def make_pixels(count=3, size=16):
    generator = torch.Generator().manual_seed(0)
    return [{"pixel_values": torch.randn(4, 3, size, size, generator=generator)}
            for _ in range(count)]


def bert():
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=16, **SIZES)
    return transformers.BertModel(config), make_text()


def albert():
    config = transformers.AlbertConfig(
        vocab_size=50, embedding_size=8, max_position_embeddings=16, **SIZES
    )
    return transformers.AlbertModel(config), make_text()


def vit():
    config = transformers.ViTConfig(image_size=16, patch_size=4, **SIZES)
    return transformers.ViTForImageClassification(config), make_pixels()


def encoder():
    # An even number of heads, as torch's fused softmax kernel wants, which must not be used.
    layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    generator = torch.Generator().manual_seed(0)
    padding = torch.arange(10) >= torch.tensor([[10], [6], [8], [3]])
    batches = [
        {"src": torch.randn(4, 10, 24, generator=generator), "src_key_padding_mask": padding}
        for _ in range(3)
    ]
    return model, batches


def own():
    model = VisionTransformer(NetworkConfig(image_size=16, width=24, heads=4, depth=2))
    images = torch.randint(0, 256, (3, 4, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    return model, list(images.byte())


FAMILIES = {"bert": bert, "albert": albert, "vit": vit, "encoder": encoder, "own": own}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def answer(model, batch):
    with torch.no_grad():
        return readout(run_model(model, batch), batch)


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


class Interrupted(Exception):
    pass


class InterruptAfter(Progress):
    """Interrupts the work, as a user would, after so many lines."""

    def __init__(self, lines):
        self.lines = lines

    def line(self, text):
        self.lines -= 1
        if self.lines == 0:
            raise Interrupted


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
        with pytest.raises(Interrupted):
            learn(InterruptAfter(calls), folder)
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


def test_a_network_without_attention_is_refused():
    with pytest.raises(EcoformerError, match="^Linear: no attention that can be replaced; "):
        find_sites(model := nn.Linear(3, 3), lambda: model(torch.zeros(1, 3)))


def gpt(**sizes):
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=32, n_embd=24, n_layer=2, n_head=4, initializer_range=0.3,
        bos_token_id=1, eos_token_id=2, **sizes,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def grouped():
    config = transformers.LlamaConfig(
        vocab_size=50, max_position_embeddings=32, num_key_value_heads=2, **SIZES
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated")
@pytest.mark.parametrize("make", [gpt, grouped])
def test_a_decoder_attends_to_what_came_before(make):
    model = make()
    converted = convert(model, CONFIG, make_text(), QUICK)
    assert [core.mask for core in cores_of(converted)] == ["causal"] * 2
    batch = {"input_ids": make_text(1)[0]["input_ids"]}
    later = {"input_ids": batch["input_ids"].clone()}
    later["input_ids"][:, 6:] = 7
    want, found = answer(converted, batch), answer(converted, later)
    torch.testing.assert_close(found[:, :6], want[:, :6])
    assert not torch.allclose(found[:, 6:], want[:, 6:], atol=1e-2)
    # Token by token with a cache, by a sequence at once, and behind padding.
    with torch.no_grad():
        cache, rows = None, []
        for position in range(10):
            output = converted(batch["input_ids"][:, position : position + 1],
                               past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            rows.append(output.logits)
    torch.testing.assert_close(torch.cat(rows, 1), want, atol=1e-3, rtol=1e-3)
    padded = nn.functional.pad(batch["input_ids"], (3, 0))
    mask = nn.functional.pad(torch.ones(4, 10).long(), (3, 0))
    inputs = {"input_ids": padded, "attention_mask": mask,
              "position_ids": (mask.cumsum(1) - 1).clamp_min(0)}
    torch.testing.assert_close(answer_logits(converted, inputs)[:, 3:], want, atol=1e-3, rtol=1e-3)
    words = converted.generate(batch["input_ids"], max_new_tokens=5, do_sample=False,
                               pad_token_id=0)
    greedy = answer(converted, {"input_ids": words[:, :-1]})[:, 9:].argmax(-1)
    assert torch.equal(words[:, 10:], greedy)


def answer_logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits


@pytest.mark.parametrize("objective", ["output", "attention"])
def test_a_decoder_learns_what_it_attends_to(objective):
    batches = 2 * make_text(4)  # the same are held out: random words teach nothing about others
    model = replace_attention(gpt(), CONFIG, batches[0])
    losses = learn_layers(model, batches, DistillConfig(steps=60, objective=objective))
    assert all(min(layer) < 0.9 * layer[0] for layer in losses)


def test_masks_other_than_padding_are_refused():
    model, batches = bert()
    square = torch.rand(4, 1, 10, 10) > 0.3
    with pytest.raises(EcoformerError, match="attention.self: a mask that is neither padding nor"):
        convert(model, CONFIG, [batch | {"attention_mask": square} for batch in batches], QUICK)
    converted = convert(model, CONFIG, batches, QUICK)
    with pytest.raises(EcoformerError, match="^BertSelfAttention: a mask that is neither padding"):
        answer(converted, batches[0] | {"attention_mask": square})


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


def test_what_cannot_be_replaced_is_left_only_if_told(tmp_path):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.pool = bert()[0], nn.Linear(24, 24)

        def forward(self, input_ids, attention_mask):
            x = self.body(input_ids, attention_mask).last_hidden_state
            return torch.softmax(self.pool(x) @ x.mT, -1) @ x

    model, batches = Head().eval(), make_text()
    with pytest.raises(
        EcoformerError,
        match=r"^Head, the model itself: exact softmax computed by hand \(matmul, softmax\), not "
              "by a function that attends; skip '' to convert the rest$",
    ):
        convert(model, CONFIG, batches, QUICK)
    for chosen in ({"skip": [""]}, {"only": ["body"]}, {"only": ["body.*.0.*"]},
                   {"only": ["body"], "skip": ["*.layer.1"]}):
        converted = convert(model, CONFIG, batches, QUICK, **chosen)
        assert len(cores_of(converted)) == 2 - ("0" in str(chosen) or "1" in str(chosen))
        save_converted(converted, tmp_path / "model.pt")
        loaded = load_converted(tmp_path / "model.pt", model)
        assert torch.equal(answer(loaded, batches[0]), answer(converted, batches[0]))
        assert filled_sites(loaded) == filled_sites(converted)
    with pytest.raises(EcoformerError, match="^Head: 'tail' matches no attention; there is body."):
        convert(model, CONFIG, batches, QUICK, skip=["tail"])
    with pytest.raises(EcoformerError, match="^Head: no attention that can be replaced; body"):
        convert(model, CONFIG, batches, QUICK, skip=["*"])


def test_a_converted_network_is_not_converted_again():
    model, batches = bert()
    converted = convert(model, CONFIG, batches, QUICK, skip=["*.1.*"])
    with pytest.raises(EcoformerError, match="^BertModel: converted already; give the original$"):
        convert(converted, CONFIG, batches, QUICK)


def test_attention_that_is_not_understood_is_refused():
    class Tempered(nn.Module):
        def forward(self, x):
            o = nn.functional.scaled_dot_product_attention(x, x, x)
            return o if o.requires_grad else o * self.scale(o)

        def scale(self, o):
            self.calls += 1
            return self.calls  # another answer every time

    model = Tempered()
    model.calls = 0
    with pytest.raises(EcoformerError, match="^Tempered: with softmax in the places that were"):
        convert(model, CONFIG, [torch.randn(4, 10, 24) for _ in range(3)], QUICK)


def test_shapes_that_do_not_go_with_an_attention_are_refused_by_name():
    model, batches = gpt(), make_text()
    sequence = AttentionConfig(anchors=4, queries="separate", bandwidth="per-sequence")
    with pytest.raises(EcoformerError, match="bandwidth = 'per-sequence' sees tokens that a causa"):
        convert(model, sequence, batches, QUICK)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(24, 4, 32, batch_first=True), 1)
    data = [(torch.randn(2, 5, 24), torch.randn(2, 9, 24)) for _ in range(3)]
    own = AttentionConfig(hash="linear", queries="separate", value_term="own")
    with pytest.raises(EcoformerError, match="layers.0.multihead_attn: value_term = 'own' needs"):
        convert(decoder, own, data, QUICK)


def test_shared_queries_are_refused_where_queries_are_not_keys():
    model, batches = bert()
    shared = AttentionConfig(hash="linear")
    with pytest.raises(EcoformerError, match="queries must be the keys with queries = 'shared'$"):
        convert(model, shared, batches, QUICK)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_batches_are_refused_before_any_work(count):
    model, batches = bert()
    with pytest.raises(EcoformerError, match=f"^BertModel: calibration must be .*, not {count}$"):
        convert(model, CONFIG, batches[:count], QUICK)
    converted = convert(model, CONFIG, batches, QUICK)
    with pytest.raises(EcoformerError, match=f"^BertModel: calibration must be .*, not {count}$"):
        refine(converted, batches[:count], QUICK)


def test_useless_calibration_is_refused_by_the_name_of_the_layer():
    model, batches = bert()
    few = AttentionConfig(anchors=128, queries="separate")
    with pytest.raises(
        EcoformerError,
        match="^BertModel, encoder.layer.0.attention.self: calibration must have at least 128",
    ):
        convert(model, few, [{n: x[:2, :5] for n, x in batch.items()} for batch in batches], QUICK)


def test_damaged_files_are_refused(tmp_path):
    model, batches = encoder()
    path = tmp_path / "model.pt"
    with pytest.raises(EcoformerError, match="no such converted model; make one with 'convert'$"):
        load_converted(path, model)
    with pytest.raises(EcoformerError, match="^TransformerEncoder: not converted; nothing to save"):
        save_converted(model, path)
    save_converted(convert(model, CONFIG, batches, QUICK), path)
    content = torch.load(path)
    content["state"]["layers.0.norm1.weight"][0] += 1
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="damaged model file"):
        load_converted(path, model)
    content["config"] = json.dumps({"sites": []})
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="not a converted TransformerEncoder .'attention'."):
        load_converted(path, model)
