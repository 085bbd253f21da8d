# SPDX-License-Identifier: Apache-2.0
"""Calls of every kind of attention as packets, in the integer model and on the RTL."""

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import start_hashes
from ecoformer.golden.quantize.calibration import calibrate, check_layers
from ecoformer.golden.quantize.evaluation import CheckedEngine
from ecoformer.golden.quantize.inference import EngineAttention, override_attention, packets
from ecoformer.golden.recording import Call
from ecoformer.sim.rtl import Rtl
from ecoformer.spec.config import Config
from tests.emitted import emitted

SHAPE = dict(hash="linear", weights="ternary", code_bits=10)
KINDS = {
    "self": dict(queries="separate"),
    "causal": dict(queries="separate", mask="causal", contexts=12, cycles_per_token=4),
    "cross": dict(queries="cross"),
}
KEYS = torch.arange(7) < torch.tensor([[7], [4]])
"""Two sequences of keys, the second one padded."""


def engine_for(kind, **changes):
    values = dict(head_dim=6, value_dim=6, max_tokens=12, parameter_sets=6, bus_bytes=18)
    return Config(**values | SHAPE | KINDS[kind] | changes)


def layers_of(kind, queries=7):
    """Two layers with hashes that are calibrated on a call each, and these calls."""
    generator = torch.Generator().manual_seed(0)
    attention = AttentionConfig(**SHAPE, queries="separate")
    mask, cross = ("causal" if kind == "causal" else "full"), kind == "cross"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [
            EcoFormerAttention(3, 6, attention, None, number, mask, cross) for number in range(2)
        ]
    tape = []
    for layer in layers:
        k, v = torch.randn(2, 2, 3, 7, 6, generator=generator)
        q = torch.randn(2, 3, queries, 6, generator=generator)
        call = Call(q, k, v, KEYS, cross)
        start_hashes(layer, [call], generator)
        tape.append([call])
    return layers, tape


def check_close(integer, want, error=0.05):
    assert ((integer - want).square().sum() / want.square().sum()) < error


@pytest.mark.parametrize("queries", [7, 5, 12])
def test_queries_of_another_sequence_travel_apart_however_many_they_are(queries):
    layers, tape = layers_of("cross", queries)
    config = engine_for("cross")
    image = calibrate(config, layers, tape)
    workload = packets(config, image, layers, tape)
    workload.check(config)
    assert workload.sets.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert workload.lengths.tolist() == 2 * [7, 7, 7, 4, 4, 4]
    assert workload.query_lengths.tolist() == 12 * [queries]
    host = EngineAttention(config, image, layers, IntegerEngine(config, image))
    for layer, (call,) in zip(layers, tape):
        with torch.inference_mode():
            want = layer(call.q, call.k, call.v, call.key_mask)
        got = host(layer.layer, call.q, call.k, call.v, call.key_mask)
        assert got[1, :, 4:].abs().sum() > 0  # padding of the keys is none of the queries
        check_close(got, want)


def test_as_many_queries_as_keys_of_another_sequence_are_all_hashed():
    layers, ((call,), _) = layers_of("cross")
    assert call.present(0, call.q).shape == (14, 6) and call.present(0, call.k).shape == (11, 6)
    own = Call(call.q, call.k, call.v, call.key_mask)
    assert own.present(0, own.q).shape == (11, 6)
    config = engine_for("self")
    with pytest.raises(EcoformerError, match=r"^\[engine\] queries must be .*'cross'.* not 'sep"):
        check_layers(config, layers)


@pytest.mark.parametrize(
    "kind, other, text",
    [
        ("self", "cross", r"layer 0 has 7 queries for 7 keys of another sequence; \[engine\] quer"),
        ("causal", "cross", r"layer 0 has 7 queries for 7 keys of another sequence; \[engine\] ma"),
        ("self", "causal", None),
    ],
)
def test_a_call_of_another_kind_is_refused(kind, other, text):
    layers, tape = layers_of(kind)
    config = engine_for(kind)
    image = calibrate(config, layers, tape)
    others, ((call,), _) = layers_of(other)
    if text is None:  # a mask is one of the layer's, not of the call's
        with pytest.raises(EcoformerError, match=r"^\[engine\] mask must be 'causal'"):
            check_layers(config, others)
        return
    host = EngineAttention(config, image, others, IntegerEngine(config, image))
    with pytest.raises(EcoformerError, match=text):
        host(0, call.q, call.k, call.v)


def test_queries_that_are_not_as_many_as_keys_are_refused_where_they_travel_with_them():
    layers, tape = layers_of("self")
    config = engine_for("self")
    image = calibrate(config, layers, tape)
    call = tape[0][0]
    host = EngineAttention(config, image, layers, IntegerEngine(config, image))
    with pytest.raises(EcoformerError, match=r"layer 0 has 5 queries for 7 keys; \[engine\] quer"):
        host(0, call.q[:, :, :5], call.k, call.v)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_that_is_too_long_is_refused(kind):
    layers, tape = layers_of(kind)
    config = engine_for(kind)
    image = calibrate(config, layers, tape)
    host = EngineAttention(config, image, layers, IntegerEngine(config, image))
    x = torch.randn(1, 3, 13, 6)
    with pytest.raises(EcoformerError, match="max_tokens must be at least 13, not 12$"):
        host(0, x, x, x)


def test_nothing_is_sent_for_a_sequence_of_padding():
    for kind in KINDS:
        layers, tape = layers_of(kind)
        config = engine_for(kind)
        image = calibrate(config, layers, tape)
        call = tape[0][0]
        host = EngineAttention(config, image, layers, IntegerEngine(config, image))
        padding = KEYS.clone()
        padding[0] = False
        got = host(0, call.q, call.k, call.v, padding)
        assert not got[0].any() and got[1].any()
        assert not host(0, call.q, call.k, call.v, torch.zeros_like(KEYS)).any()


class Counting:
    """An engine that notes the lengths of what it is sent."""

    def __init__(self, engine):
        self.engine, self.lengths = engine, []

    def attend(self, workload):
        self.lengths.append(workload.lengths.tolist())
        return self.engine.attend(workload)


def decode(host, call, begin=3, end=7, step=1):
    """Answers to a call token by token, as a decoder with a cache asks for them."""
    parts = [host(0, call.q[:, :, :begin], call.k[:, :, :begin], call.v[:, :, :begin])]
    for n in range(begin + step, end + 1, step):
        parts.append(host(0, call.q[:, :, n - step : n], call.k[:, :, :n], call.v[:, :, :n]))
    return torch.cat(parts, 2)


@pytest.mark.parametrize("contexts, sent", [(12, 1), (6, 1), (5, None), (1, None)])
def test_a_decoder_with_a_cache_sends_a_token_once_if_contexts_suffice(contexts, sent):
    layers, ((call,), _) = tape = layers_of("causal")
    layers, tape = tape
    config = engine_for("causal", contexts=contexts)
    image = calibrate(config, layers, tape)
    whole = EngineAttention(config, image, layers, IntegerEngine(config, image))
    want = whole(0, call.q, call.k, call.v)
    engine = Counting(IntegerEngine(config, image))
    got = decode(EngineAttention(config, image, layers, engine), call)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert engine.lengths[0] == 6 * [3]
    lengths = [6 * [sent or tokens] for tokens in range(4, 8)]
    assert engine.lengths[1:] == lengths


def test_a_context_that_holds_other_tokens_is_begun_anew():
    layers, tape = layers_of("causal")
    config = engine_for("causal")
    image = calibrate(config, layers, tape)
    call = tape[0][0]
    engine = Counting(IntegerEngine(config, image))
    host = EngineAttention(config, image, layers, engine)
    host(0, call.q[:, :, :5], call.k[:, :, :5], call.v[:, :, :5])
    q, k, v = (x.flip(0) for x in (call.q, call.k, call.v))  # hypotheses have changed places
    got = host(0, q[:, :, 5:6], k[:, :, :6], v[:, :, :6])
    whole = EngineAttention(config, image, layers, IntegerEngine(config, image))
    want = whole(0, q[:, :, :6], k[:, :, :6], v[:, :, :6])[:, :, 5:]
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert engine.lengths == [6 * [5], 6 * [6]]
    # What was answered already is answered again, from the beginning.
    host(0, q[:, :, 4:6], k[:, :, :6], v[:, :, :6])
    assert engine.lengths[-1] == 6 * [6]


def test_other_rounding_of_the_same_tokens_goes_on_with_the_context():
    layers, tape = layers_of("causal")
    config = engine_for("causal")
    image = calibrate(config, layers, tape)
    call = tape[0][0]
    engine = Counting(IntegerEngine(config, image))
    host = EngineAttention(config, image, layers, engine)
    host(0, call.q[:, :, :6], call.k[:, :, :6], call.v[:, :, :6])
    steps = float(image.token_scale.min())
    host(0, call.q[:, :, 6:], call.k + 0.9 * steps, call.v)  # most tokens are one step larger
    assert engine.lengths == [6 * [6], 6 * [1]]
    host(0, call.q[:, :, 6:], call.k + 5 * steps, call.v)
    assert engine.lengths[-1] == 6 * [7]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_attention_runs_on_the_rtl(kind, builds):
    layers, tape = layers_of(kind, queries=5 if kind == "cross" else 7)
    config = engine_for(kind)
    image = calibrate(config, layers, tape)
    rtl = Rtl(config, emitted(config, name="ecoformer_engine"), image, builds)
    checked = CheckedEngine(config, image, rtl)
    host = EngineAttention(config, image, layers, checked)
    model = EngineAttention(config, image, layers, IntegerEngine(config, image))
    for layer, (call,) in zip(layers, tape):
        with override_attention([layer], host):
            got = layer(call.q, call.k, call.v, call.key_mask)
        want = model(layer.layer, call.q, call.k, call.v, call.key_mask)
        assert torch.equal(got, want)
    words = checked.words
    assert words == sum(int(x.size) for x in expected_answers(config, image, layers, tape))
    if kind == "causal":  # contexts stay on the chip from one workload to the next
        assert torch.equal(decode(host, tape[0][0]), decode(model, tape[0][0]))
        assert checked.words == words + 6 * 7 * 6
    assert checked.mismatches == 0
    wrong = IntegerEngine(config, image)
    wrong.image.threshold[0] += 50
    faulty = CheckedEngine(config, calibrate(config, layers, tape), wrong)
    EngineAttention(config, image, layers, faulty)(0, *(tape[0][0].q, tape[0][0].k, tape[0][0].v))
    assert faulty.mismatches > 0  # the comparison can fail


def expected_answers(config, image, layers, tape):
    return IntegerEngine(config, image).attend(packets(config, image, layers, tape))
