# SPDX-License-Identifier: Apache-2.0
"""Calls that attend, however they are made, and what they ask."""

import io
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert, replace_attention
from ecoformer.golden.convert.saved import load_converted, save_converted
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.multihead import multi_head_attention
from ecoformer.golden.sites.reading import Unconvertible, read
from ecoformer.golden.sites.routing import softmax

CONFIG = AttentionConfig(hash="linear", code_bits=16, queries="separate")
QUICK = DistillConfig(steps=2)
LENGTHS = torch.tensor([[10], [6], [8], [3]])
PADDED = torch.arange(10) >= LENGTHS
CAUSAL = nn.Transformer.generate_square_subsequent_mask(10)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Own(nn.Module):
    """Attention of a module of one's own; keyword arguments go into the call."""

    def __init__(self, key_heads=4, **arguments):
        super().__init__()
        self.sizes = [24, 6 * key_heads, 6 * key_heads]
        self.qkv, self.out = nn.Linear(24, sum(self.sizes)), nn.Linear(24, 24)
        self.arguments = arguments

    def forward(self, x):
        parts = self.qkv(x).split(self.sizes, -1)
        q, k, v = (part.unflatten(-1, (-1, 6)).transpose(-3, -2) for part in parts)
        o = F.scaled_dot_product_attention(q, k, v, **self.arguments)
        return x + self.out(o.transpose(-3, -2).flatten(-2))


class Pool(nn.Module):
    """A module that uses the weights of its attention."""

    def __init__(self, **arguments):
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)
        self.arguments = arguments

    def forward(self, x):
        o, weights = self.attention(x, x, x, **self.arguments)
        return weights @ (o if weights.ndim == o.ndim else o[:, None])


def batches(*shape):
    return [torch.randn(*shape or (4, 10, 24)) for _ in range(3)]


def answer(model, batch):
    with torch.no_grad():
        return run_model(model, batch)


def sites_of(model, batch):
    return find_sites(model.eval(), lambda: run_model(model, batch))


def encoder(**options):
    layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, **options).eval()


def check(model, data, config=CONFIG):
    """Softmax in the places found gives the model's answer, and EcoFormer attention another."""
    exact = replace_attention(model, config, data[0])
    want = answer(exact, data[0])
    converted = convert(model, config, data, QUICK)
    found = answer(converted, data[0])
    assert found.isfinite().all() and found.dtype == want.dtype
    assert not torch.allclose(found, want, atol=1e-3)
    return converted


@pytest.mark.parametrize("shape", [(10, 24), (4, 10, 24), (2, 3, 10, 24)])
def test_attention_of_any_rank(shape):
    data = batches(*shape)
    converted = check(Own().eval(), data)
    rank = len(shape) + 1
    assert cores_of(converted)[0].heads == (1 if rank == 3 else 4)


def test_multihead_attention_without_a_batch():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(24, 4, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    converted = check(Model().eval(), batches(10, 24))
    x = torch.randn(10, 24)
    torch.testing.assert_close(answer(converted, x), answer(converted, x[None])[0])


@pytest.mark.parametrize("average", [True, False])
def test_weights_are_those_of_the_linear_form(average):
    converted = check(Pool(average_attn_weights=average).eval(), batches())
    x = torch.randn(4, 10, 24)
    with torch.no_grad():
        o, weights = converted.attention(x, x, x, average_attn_weights=False)
    assert weights.shape == (4, 4, 10, 10)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 4, 10))
    v = F.linear(x, *(p.chunk(3)[2] for p in (
        converted.attention.in_proj_weight, converted.attention.in_proj_bias
    ))).unflatten(-1, (4, 6)).transpose(1, 2)
    want = converted.attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(o, want)


@pytest.mark.parametrize("how", ["mask", "hint", "both"])
def test_causal_encoders(how):
    arguments = {"mask": {"mask": CAUSAL}, "hint": {"mask": CAUSAL, "is_causal": True},
                 "both": {"mask": CAUSAL, "src_key_padding_mask": PADDED.float() * -1e9}}[how]
    data = [{"src": x, **arguments} for x in batches()]
    converted = check(encoder(enable_nested_tensor=False), data)
    assert {core.mask for core in cores_of(converted)} == {"causal"}
    later = data[0] | {"src": data[0]["src"].clone()}
    later["src"][:, 7:] += 1
    before, after = answer(converted, data[0]), answer(converted, later)
    there = slice(None) if how != "both" else ~PADDED[:, :7]
    torch.testing.assert_close(before[:, :7][there], after[:, :7][there])
    with pytest.raises(EcoformerError, match="a full mask in place of a causal one; it attended"):
        answer(converted, {"src": data[0]["src"]})


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_encoder_with_nested_tensors():
    data = [{"src": x, "src_key_padding_mask": PADDED} for x in batches()]
    model = encoder()
    assert answer(model, data[0])[1, 6:].abs().sum() == 0  # nested tensors, in fact
    converted = check(model, data)
    longer = {name: torch.cat([x, x[:, :3]], 1) for name, x in data[0].items()}
    longer["src_key_padding_mask"] = torch.arange(13) >= LENGTHS
    torch.testing.assert_close(
        answer(converted, longer)[:, :10][~PADDED], answer(converted, data[0])[~PADDED]
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_precision(dtype, tmp_path):
    data = batches()
    converted = convert(nn.Sequential(Own(), Own()), CONFIG, data, QUICK)
    moved = deepcopy(converted).to(dtype)
    found, want = answer(moved, data[0].to(dtype)), answer(converted, data[0])
    assert found.dtype == dtype
    assert (found.float() - want).norm() < 0.1 * want.norm()
    model = nn.Sequential(Own(), Own()).to(dtype)
    there = [x.to(dtype) for x in data]
    converted = check(model, there)
    assert cores_of(converted)[0].hash.projection.dtype == torch.float32
    save_converted(converted, tmp_path / "model.pt")
    loaded = load_converted(tmp_path / "model.pt", model)
    assert torch.equal(answer(loaded, there[1]), answer(converted, there[1]))


def test_autocast():
    data = batches()
    converted = convert(nn.Sequential(Own(), Own()), CONFIG, data, QUICK)
    want = answer(converted, data[0])
    with torch.autocast("cpu", torch.bfloat16):
        found = answer(converted, data[0])
        assert answer(convert(nn.Sequential(Own()), CONFIG, data, QUICK), data[0]).isfinite().all()
    assert (found - want).norm() < 0.1 * want.norm()


def test_grouped_queries():
    model = Own(key_heads=2, enable_gqa=True).eval()
    (site,) = sites_of(model, batches()[0])
    assert (site.heads, site.key_heads) == (4, 2)
    check(model, batches())


@pytest.mark.parametrize(
    "mask, kind",
    [
        (torch.ones(10, 10).tril().bool(), "causal"),
        (CAUSAL, "causal"),
        (~PADDED[:, None, None], "full"),
        ((PADDED.float() * -1e9)[:, None, None], "full"),
        (torch.zeros(10, 10), "full"),
        (torch.ones(10, 10).tril().bool() & ~PADDED[:, None, None], "causal"),
        (~PADDED[:, None, None] & ~PADDED[:, None, :, None], "full"),
    ],
    ids=["causal", "causal-float", "padding", "padding-float", "zeros", "both", "outer"],
)
def test_masks_that_are_understood(mask, kind):
    model = Own(attn_mask=mask).eval()
    (site,) = sites_of(model, batches()[0])
    assert (site.mask, site.reason) == (kind, None)
    q, k, v = torch.randn(3, 4, 4, 10, 6)
    asked = read(q, k, v, attn_mask=mask)
    if mask.shape[:1] == (4,):
        assert torch.equal(asked.key_mask, ~PADDED)
    convert(model, CONFIG, batches(), QUICK)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"attn_mask": torch.randn(10, 10)}, "a bias is added to the scores"),
        ({"attn_mask": torch.full((10, 10), -100.0).triu(1)}, "a bias is added to the scores"),
        ({"attn_mask": nn.Parameter(torch.zeros(10, 10))}, "a learned bias is added to"),
        ({"attn_mask": torch.ones(10, 10).tril().triu(-3).bool()}, "neither padding nor causal"),
        ({"attn_mask": torch.rand(1, 4, 1, 10) > 0.3}, "a mask that differs from head to head"),
        ({"dropout_p": 0.1}, "dropout of 0.1 in evaluation mode"),
    ],
    ids=["bias", "small-switch", "learned", "window", "heads", "dropout"],
)
def test_calls_that_are_refused_with_the_reason(arguments, reason):
    model = Own()
    model.arguments = arguments
    if isinstance(arguments.get("attn_mask"), nn.Parameter):
        model.bias = arguments["attn_mask"]
    why = f"^Own: no attention that can be replaced; the model itself: .*{reason}"
    with pytest.raises(EcoformerError, match=why):
        convert(model.eval(), CONFIG, batches(), QUICK)


def test_a_module_whose_forward_was_replaced_is_refused():
    model = Own().eval()
    model.forward = lambda x: Own.forward(model, x)
    with pytest.raises(EcoformerError, match="its forward was replaced, as by accelerate; undo"):
        convert(nn.Sequential(model), CONFIG, batches(), QUICK)


def test_nested_calls_are_refused_with_the_reason():
    x = torch.nested.nested_tensor([torch.randn(4, 3, 6), torch.randn(4, 5, 6)],
                                   layout=torch.jagged)
    with pytest.raises(Unconvertible, match="^nested tensors; give padded ones and a mask$"):
        read(x, x, x)


def test_masks_that_change_are_refused():
    model = Own(is_causal=True).eval()
    converted = convert(model, CONFIG, batches(), QUICK)
    converted.arguments = {}
    with pytest.raises(EcoformerError, match="^Own: a full mask in place of a causal one; it"):
        answer(converted, batches()[0])
    converted.arguments = {"attn_mask": torch.randn(10, 10)}
    with pytest.raises(EcoformerError, match="^Own: a bias is added to the scores of"):
        answer(converted, batches()[0])


@pytest.mark.parametrize("kind", ["separate", "bias", "zero", "plain"])
@pytest.mark.parametrize("mask", [None, "padding", "causal", "both", "heads"])
def test_multihead_attention_is_what_torch_computes(kind, mask):
    options = {"separate": dict(kdim=5, vdim=7), "bias": dict(add_bias_kv=True),
               "zero": dict(add_zero_attn=True), "plain": dict(bias=False)}[kind]
    module = nn.MultiheadAttention(24, 4, **options).eval()
    for p in module.parameters():
        nn.init.normal_(p, std=0.3)
    x = torch.randn(10, 4, 24), torch.randn(10, 4, module.kdim), torch.randn(10, 4, module.vdim)
    masks = {
        None: {}, "padding": {"key_padding_mask": PADDED}, "causal": {"attn_mask": CAUSAL},
        "both": {"key_padding_mask": PADDED, "attn_mask": CAUSAL < 0},
        "heads": {"attn_mask": torch.randn(16, 10, 10)},
    }[mask]
    seen = []

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is F.multi_head_attention_forward:
                seen.append(func)
                return multi_head_attention(softmax, *args, **kwargs)
            return func(*args, **(kwargs or {}))

    want = module(*x, **masks)
    with Watching():
        found = module(*x, **masks)
    assert seen
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-4)


def test_wrappers_of_any_depth(tmp_path):
    model = nn.Sequential(Own(), Own())
    data = batches()
    plain = convert(model, CONFIG, data, QUICK)
    want = answer(plain, data[0])
    compiled = torch.compile(deepcopy(model), backend="eager")
    inside = nn.Sequential(nn.DataParallel(deepcopy(model)))
    for number, wrapped in enumerate((nn.DataParallel(deepcopy(model)), compiled)):
        path = tmp_path / f"{number}.pt"
        converted = convert(wrapped, CONFIG, data, QUICK)
        assert torch.equal(answer(converted, data[0]), want)
        save_converted(converted, path)
        for target in (model, wrapped):
            assert torch.equal(answer(load_converted(path, target), data[0]), want)
    assert [site.path for site in sites_of(inside, data[0])] == ["0.0", "0.1"]


@pytest.mark.filterwarnings("ignore")  # of the compiler about itself
@pytest.mark.slow
@pytest.mark.parametrize("hash", ["linear", "rbf", "hadamard"])
@pytest.mark.parametrize("kind", ["own", "causal", "encoder", "weights"])
def test_compiled_and_exported(kind, hash):
    """Also where torch would attend in a fused kernel, past the hashes."""
    model, data = {
        "own": lambda: (nn.Sequential(Own(), Own()), batches()),
        "causal": lambda: (Own(is_causal=True), batches(2, 70, 24)),
        "encoder": lambda: (encoder(), [(x, None, PADDED) for x in batches()]),
        "weights": lambda: (Pool(), batches()),
    }[kind]()
    config = AttentionConfig(hash=hash, anchors=8, code_bits=16, queries="separate")
    converted = convert(model, config, data, QUICK)
    want = answer(converted, data[0])
    arguments = data[0] if isinstance(data[0], tuple) else (data[0],)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(converted, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(*arguments), want)
        exported = torch.export.export(converted, arguments)
    torch.testing.assert_close(exported.module()(*arguments), want)
    names = [str(node.target) for node in exported.graph.nodes]
    assert not any("scaled_dot" in name or "softmax" in name for name in names)


def test_copies_and_pickles_attend_alike():
    data = batches()
    converted = convert(nn.Sequential(Own(), Pool()), CONFIG, data, QUICK)
    file = io.BytesIO()
    torch.save(converted, file)
    file.seek(0)
    for copied in (deepcopy(converted), torch.load(file, weights_only=False)):
        assert torch.equal(answer(copied, data[0]), answer(converted, data[0]))


class Traceable(nn.Module):
    def forward(self, x):
        q = x.unflatten(-1, (4, 6)).transpose(1, 2)
        return F.scaled_dot_product_attention(q, q + 1, q).transpose(1, 2).flatten(2)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "how, reason",
    [(torch.fx.symbolic_trace, "a torch.fx.GraphModule; convert before tracing"),
     (lambda model: torch.jit.trace(model, batches()[0]), "TorchScript, which hides what it")],
    ids=["graph", "script"],
)
def test_what_was_traced_is_refused_with_the_reason(how, reason):
    traced = how(nn.Sequential(Traceable(), nn.Linear(24, 24)).eval())
    with pytest.raises(EcoformerError, match=f"^Sequential: .*{reason}"):
        convert(nn.Sequential(traced), CONFIG, batches(), QUICK)
    with pytest.raises(EcoformerError, match=f"^Sequential, 0.*: {reason}.*; skip '0"):
        convert(nn.Sequential(traced, Own()), CONFIG, batches(), QUICK)
    converted = convert(nn.Sequential(traced, Own()), CONFIG, batches(), QUICK, skip=["0"])
    assert len(cores_of(converted)) == 1


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_functions_that_are_not_known_are_refused_by_name():
    class Flexible(nn.Module):
        def forward(self, x):
            q = x.unflatten(-1, (4, 16)).transpose(1, 2)
            return flex_attention(q, q, q).transpose(1, 2).flatten(2)

    class Operator(nn.Module):
        def forward(self, x):
            q = x.unflatten(-1, (4, 16)).transpose(1, 2)
            o = torch.ops.aten.scaled_dot_product_attention(q, q + 1, q)
            return o.transpose(1, 2).flatten(2)

    data = batches(2, 128, 64)
    with pytest.raises(EcoformerError, match="^Sequential, 0: flex_attention, a function that"):
        convert(nn.Sequential(Flexible(), Operator()), CONFIG, data, QUICK)
    converted = convert(nn.Sequential(Flexible(), Operator()), CONFIG, data, QUICK, only=["1"])
    assert len(cores_of(converted)) == 1


class Two(nn.Module):
    """One attention inside the module of another."""

    def __init__(self):
        super().__init__()
        self.inner, self.qkv = Own(), nn.Linear(24, 72)

    def forward(self, x):
        q, k, v = self.qkv(self.inner(x)).unflatten(-1, (3, 4, 6)).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v)
        o = F.scaled_dot_product_attention(o, k, v)
        return o.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("skip, count", [((), 3), (("inner",), 2), (("",), 1)])
def test_a_module_inside_another_keeps_its_own_attention(skip, count):
    data = batches()
    names = [(site.path, site.turn) for site in sites_of(Two(), data[0])]
    assert names == [("inner", 0), ("", 0), ("", 1)]
    model = Two().eval()
    converted = convert(model, CONFIG, data, QUICK, skip=skip)
    cores = cores_of(converted)
    assert len(cores) == count
    counted = []
    for core in cores:
        core.register_forward_hook(lambda *_: counted.append(1))
    answer(converted, data[0])
    assert len(counted) == count
    for core in cores:
        core.exact = True
    torch.testing.assert_close(answer(converted, data[0]), answer(model, data[0]))


def test_shared_queries_of_a_call():
    class Shared(nn.Module):
        def forward(self, x):
            q = x.unflatten(-1, (4, 6)).transpose(-3, -2)
            return F.scaled_dot_product_attention(q, q, q).transpose(-3, -2).flatten(-2)

    for shape in ((4, 10, 24), (10, 24)):
        check(Shared(), batches(*shape), AttentionConfig(hash="linear", code_bits=8))
