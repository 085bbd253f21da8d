# SPDX-License-Identifier: Apache-2.0
import json
import re
from dataclasses import asdict, fields, replace
from inspect import cleandoc

import pytest

from ecoformer.spec.choices import CHOICES
from ecoformer.spec.config import BIT_DEFINING, GOALS, RANGES, SWITCHES, Config

SMALL = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    parameter_sets=1, bus_bytes=1,
)
PRIMES = {
    "head_dim": 113, "value_dim": 127, "code_bits": 61, "anchors": 31, "token_width": 5,
    "value_width": 7, "output_width": 23, "output_fraction": 11, "offset_fraction": 7,
    "max_tokens": 65_521, "cycles_per_token": 2, "engines": 13, "state_banks": 5, "contexts": 67,
    "parameter_sets": 251, "bus_bytes": 509, "tuser_width": 13, "next_set_depth": 113,
    "target_tokens_per_second": 97_001, "clock_mhz": 251,
}


def write(path, text):
    path.write_text(text)
    return path


def test_defaults_are_the_documented_ones():
    assert asdict(Config()) == {
        "head_dim": 32, "value_dim": 32, "code_bits": 16, "hash": "rbf", "weights": "int8",
        "anchors": 25, "token_width": 8, "value_width": 8, "output_width": 16,
        "output_fraction": 8, "offset_fraction": 0, "value_term": "sum", "mask": "full",
        "queries": "shared",
        "dataflow": "accumulate", "max_tokens": 1_024, "cycles_per_token": 16, "engines": 1,
        "state_banks": 2, "contexts": 1, "parameter_sets": 8, "bus_bytes": 8, "tuser_width": 8,
        "next_set_depth": 0, "tkeep": False, "error_low": False,
        "target_tokens_per_second": 0, "clock_mhz": 100,
    }


def test_every_field_has_a_rule():
    assert {f.name for f in fields(Config)} == RANGES.keys() | CHOICES.keys() | {*SWITCHES}


def test_ranges_are_the_documented_ones():
    entries = re.findall(r"^([a-z_, ]+) : .*\n((?: {4}.*\n)+)", cleandoc(Config.__doc__), re.M)
    documented = {name: text for names, text in entries for name in names.split(", ")}
    for name, (low, high) in RANGES.items():
        assert f" {low:,}…{high:,}" in documented[name], name


def test_a_config_is_frozen():
    with pytest.raises(AttributeError):
        Config().head_dim = 3


@pytest.mark.parametrize("name", RANGES)
def test_range_ends_and_a_prime_are_accepted(name):
    values = [*RANGES[name], PRIMES[name]]
    for value in values:
        rest = SMALL
        if name in ("cycles_per_token", *GOALS):
            rest = {**SMALL, "bus_bytes": 512, "clock_mhz": 1_000}
        if name == "target_tokens_per_second":
            rest = {n: v for n, v in rest.items() if n != "cycles_per_token"}
        if name == "contexts":
            rest = {**SMALL, "mask": "causal"}
        if name == "next_set_depth":
            rest = {**SMALL, "tuser_width": 0}
        assert getattr(Config(**{**rest, name: value}), name) == value


@pytest.mark.parametrize("name", RANGES)
def test_values_beyond_the_range_are_refused(name):
    low, high = RANGES[name]
    for value in (low - 1, high + 1, -(2**70), 2**70):
        with pytest.raises(ValueError, match=rf"^{name} must be {low}…{high}, not {value}$"):
            Config(**{**SMALL, name: value})


@pytest.mark.parametrize("value", [True, 2.0, "2", None, [2], float("nan")])
@pytest.mark.parametrize("name", RANGES)
def test_other_types_than_integers_are_refused(name, value):
    if name == "cycles_per_token" and value is None:
        return  # means that it is left out
    with pytest.raises(TypeError) as caught:
        Config(**{name: value})
    assert str(caught.value) == f"{name} must be an integer, not {value!r}"


@pytest.mark.parametrize("value", [0, 1, None, "true", "yes", [True]])
@pytest.mark.parametrize("name", SWITCHES)
def test_switches_are_true_or_false(name, value):
    assert getattr(Config(**{name: True}), name) is True
    with pytest.raises(TypeError) as caught:
        Config(**{name: value})
    assert str(caught.value) == f"{name} must be true or false, not {value!r}"


@pytest.mark.parametrize("value", [1, None, True, ["rbf"], {}])
@pytest.mark.parametrize("name", CHOICES)
def test_other_types_than_strings_are_refused(name, value):
    with pytest.raises(TypeError) as caught:
        Config(**{name: value})
    allowed = " or ".join(map(repr, CHOICES[name].built()))
    assert str(caught.value) == f"{name} must be {allowed}, not {value!r}"


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["", "RBF", "other", " sum"])
def test_unknown_choices_are_refused(name, value):
    with pytest.raises(ValueError) as caught:
        Config(**{name: value})
    allowed = " or ".join(map(repr, CHOICES[name].built()))
    assert str(caught.value) == f"{name} must be {allowed}, not {value!r}"


@pytest.mark.parametrize("name", CHOICES)
def test_every_buildable_choice_is_accepted(name):
    paired = {"none": {"dataflow": "softmax"}, "softmax": {"hash": "none"}}
    for value in CHOICES[name].built():
        config = Config(**{**SMALL, name: value, **paired.get(value, {})})
        assert getattr(config, name) == value


@pytest.mark.parametrize("hash, dataflow", [("none", "xnor"), ("rbf", "softmax")])
def test_softmax_goes_with_no_hash_and_no_hash_with_softmax(hash, dataflow):
    with pytest.raises(ValueError) as caught:
        Config(hash=hash, dataflow=dataflow)
    assert str(caught.value) == (
        "dataflow must be 'softmax' with hash = 'none' and with no other, "
        f"not {dataflow!r} with {hash!r}"
    )


@pytest.mark.parametrize("k", [3, 6, 100, 1_023])
def test_cycles_per_token_must_be_a_power_of_two(k):
    with pytest.raises(ValueError, match=rf"^cycles_per_token must be a power of two, not {k}$"):
        Config(cycles_per_token=k)


def test_engines_reach_a_target_together():
    config = Config(
        engines=4, bus_bytes=16, target_tokens_per_second=25_000_000, clock_mhz=100, max_tokens=8
    )
    assert (config.cycles_per_token, config.steady_cycles) == (16, 4)


# -- rate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, clock, k",
    [
        (6_250_000, 100, 16),
        (6_250_001, 100, 8),
        (100_000_000, 100, 1),
        (50_000_001, 100, 1),
        (97_657, 100, 512),
        (97_656, 100, 1_024),
        (1, 1_000, 1_024),
    ],
)
def test_the_folding_follows_from_the_target(target, clock, k):
    config = Config(
        head_dim=4, value_dim=4, bus_bytes=64, code_bits=4, anchors=4,
        target_tokens_per_second=target, clock_mhz=clock,
    )
    assert config.cycles_per_token == k
    assert clock * 1_000_000 / k >= target
    assert k == 1_024 or clock * 1_000_000 / (2 * k) < target


def test_an_unreachable_target_is_refused():
    with pytest.raises(ValueError) as caught:
        Config(target_tokens_per_second=100_000_001)
    assert str(caught.value) == (
        "target_tokens_per_second must be at most one per cycle of clock_mhz = 100, not 100000001"
    )


def test_folding_and_target_must_agree():
    config = Config(target_tokens_per_second=6_000_000, cycles_per_token=16)
    assert config == Config(target_tokens_per_second=6_000_000)
    with pytest.raises(ValueError) as caught:
        Config(target_tokens_per_second=6_000_000, cycles_per_token=8)
    assert str(caught.value) == (
        "cycles_per_token must be 16 with target_tokens_per_second = 6000000 and clock_mhz = 100, "
        "not 8; leave one of them out"
    )


@pytest.mark.parametrize("sets, width", [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_tuser_names_every_set_or_does_not_exist(sets, width):
    for enough in (0, width, 16):
        assert Config(parameter_sets=sets, tuser_width=enough).tuser_width == enough
    if width > 1:
        with pytest.raises(
            ValueError,
            match=rf"^tuser_width must be 0 or name each of {sets} parameter sets, which takes "
            rf"{width} bits, not {width - 1}$",
        ):
            Config(parameter_sets=sets, tuser_width=width - 1)


# -- files -------------------------------------------------------------------------------------


def test_toml_round_trip(tmp_path):
    for changes in (
        {},
        SMALL,
        dict(dataflow="xnor", max_tokens=7, head_dim=5, offset_fraction=3),
        dict(output_width=24, output_fraction=12, token_width=4, value_width=5, state_banks=8),
        dict(hash="linear", weights="ternary", value_term="own"),
        dict(hash="none", dataflow="softmax"),
        dict(dataflow="bucketed", code_bits=3),
        dict(target_tokens_per_second=3_000_000, clock_mhz=90),
        dict(tkeep=True, error_low=True),
        dict(tuser_width=0, next_set_depth=6),
    ):
        config = Config(**changes)
        assert Config.load(write(tmp_path / "c.toml", config.as_toml())) == config


# -- identity ----------------------------------------------------------------------------------


def test_fingerprints_of_the_defaults_never_change():
    # Images and engines in the field carry these; a change must be meant.
    assert Config().fingerprint == (
        "232d9f30eab6f21a1f1aa59357bd980a67bd91fcda6f6f25f81e2b59321de800"
    )
    assert Config().bits_fingerprint == (
        "5d1a837010d143368e32370662e173adf917c109f0766b5c6b5b9985e2ff0245"
    )


def changed(name):
    needed = {"contexts": {"mask": "causal"}, "next_set_depth": {"tuser_width": 0}}.get(name, {})
    base = Config(**{**SMALL, "bus_bytes": 8, **needed})
    if name in GOALS:
        return base, []
    if name in SWITCHES:
        values = [not getattr(base, name)]
    elif name in CHOICES:
        values = [value for value in CHOICES[name].built() if value != getattr(base, name)]
    else:
        values = [value for value in RANGES[name] if value != getattr(base, name)]
    return base, [replace(base, **{name: values[0]})] if values else []


@pytest.mark.parametrize("name", [f.name for f in fields(Config)])
def test_which_fields_change_which_fingerprint(name):
    rate_only = {
        "dataflow", "max_tokens", "cycles_per_token", "engines", "state_banks", "contexts",
        "parameter_sets", "bus_bytes", "tuser_width", "next_set_depth",
        *SWITCHES, *GOALS,
    }
    assert (name in BIT_DEFINING) == (name not in rate_only)
    base, others = changed(name)
    for other in others:
        assert other.fingerprint != base.fingerprint
        assert (other.bits_fingerprint != base.bits_fingerprint) == (name not in rate_only)


def test_goals_do_not_make_another_engine():
    config = Config(target_tokens_per_second=6_000_000, clock_mhz=100)
    assert config.fingerprint == Config(cycles_per_token=16).fingerprint


def test_fingerprints_do_not_depend_on_the_way_a_config_is_made(tmp_path):
    config = Config(head_dim=8, code_bits=4)
    keys = reversed(asdict(config).items())
    text = "[engine]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in keys)
    again = Config.load(write(tmp_path / "c.toml", text))
    assert again.fingerprint == config.fingerprint
    assert again.bits_fingerprint == config.bits_fingerprint


CAUSAL = dict(mask="causal", hash="linear", bus_bytes=16)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(queries="cross"), "mask must be 'full' with queries = 'cross', because queries of "
         "another sequence come neither before nor after a key, not 'causal'"),
        (dict(dataflow="bucketed"), "dataflow must be 'accumulate' or 'xnor' with mask = 'causal', "
         "not 'bucketed', whose tables are made once from a whole sequence"),
        (dict(dataflow="softmax", hash="none"), "dataflow must be 'accumulate' or 'xnor' with mask "
         "= 'causal', not 'softmax', which reads a whole sequence before its first answer"),
        (dict(engines=2), "engines must be 1 with mask = 'causal', because the state of a context "
         "is in one of them, not 2"),
        (dict(cycles_per_token=2, bus_bytes=64), "cycles_per_token must be at least 4 with mask = "
         "'causal', because a row of a state is updated and back before the next token needs it, "
         "not 2"),
        (dict(cycles_per_token=4), "bus_bytes must carry a token's input in 2 beats with mask = "
         "'causal' and cycles_per_token = 4, because a packet's first beat waits 2 cycles for its "
         "context, not in 4 beats of 16 bytes"),
        (dict(contexts=4_096), "contexts must keep the memory of contexts within 3833856 bits, not "
         "42991616 at 4096 contexts"),
        (dict(contexts=64, dataflow="xnor"), "contexts must keep the memory of contexts within "
         "3833856 bits, not 17825792 at 64 contexts"),
        (dict(contexts=2, mask="full"), "contexts must be 1 with mask = 'full', under which a "
         "packet is a whole sequence, not 2"),
    ],
)
def test_what_does_not_go_with_a_causal_mask_is_refused_by_its_rule(changes, message):
    with pytest.raises(ValueError) as caught:
        Config(**{**CAUSAL, **changes})
    assert str(caught.value).startswith(message)


def test_a_queue_of_sets_needs_an_engine_without_tuser():
    assert Config(tuser_width=0, next_set_depth=4).next_set_depth == 4
    with pytest.raises(ValueError) as caught:
        Config(next_set_depth=4)
    assert str(caught.value) == (
        "next_set_depth must be 0 with tuser_width = 8, whose pin names the set of every packet, "
        "not 4"
    )


def test_pins_of_contexts():
    for contexts, bits in ((1, 0), (2, 1), (5, 3), (64, 6)):
        wire = Config(**CAUSAL, contexts=contexts).wire
        assert (wire.tid_width, wire.s_tuser_width, wire.m_tuser_width) == (bits, 9, 9)
    full, none = Config().wire, Config(**CAUSAL, tuser_width=0).wire
    assert (full.tid_width, full.s_tuser_width, full.m_tuser_width, full.set_bits) == (0, 8, 9, 8)
    assert (none.s_tuser_width, none.m_tuser_width, none.set_bits) == (0, 1, 31)
    assert Config(tuser_width=0).wire.set_bits == 32


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(value_term="own"), "value_term must be 'sum' with queries = 'cross', because a query "
         "brings no value of its own, not 'own'"),
        (dict(engines=2), "engines must be 1 with queries = 'cross', because packets of two "
         "streams meet in one of them, not 2"),
        (dict(tuser_width=0, parameter_sets=1), "tuser_width must be at least 1 with queries = "
         "'cross', because one register NEXT_SET cannot name the sets of two streams, not 0"),
        (dict(tkeep=True), "tkeep must be false with queries = 'cross', because null bytes are "
         "looked for on one stream, not True"),
        (dict(dataflow="softmax", hash="none"), "dataflow must be 'accumulate' or 'xnor' or "
         "'bucketed' with queries = 'cross', not 'softmax', which this version builds for queries "
         "that come with their keys only"),
        (dict(mask="causal"), "mask must be 'full' with queries = 'cross', because "),
        (dict(contexts=2), "contexts must be 1 with mask = 'full', under which a packet is a "),
        (dict(cycles_per_token=4, bus_bytes=8), "bus_bytes must carry a token's input in "
         "cycles_per_token = 4 beats, not in 8 beats of 8 bytes"),
        (dict(max_tokens=65_536, code_bits=64), "max_tokens must keep the token buffers within "),
    ],
)
def test_what_does_not_go_with_queries_of_their_own_is_refused_by_its_rule(changes, message):
    with pytest.raises(ValueError) as caught:
        Config(**{"queries": "cross", "hash": "linear", **changes})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("width, low, bit, number", [(8, False, 8, 0x125), (8, True, 0, 0x4B),
                                                     (0, False, 0, 1), (0, True, 0, 1)])
def test_the_error_bit_is_on_top_or_at_the_bottom(width, low, bit, number):
    wire = Config(tuser_width=width, error_low=low).wire
    index = 0x25 if width else 0
    assert (wire.error_bit, wire.m_tuser(index, True)) == (bit, number)
    assert wire.m_tuser(index, False) == number ^ 1 << bit
    assert wire.answered_set(number) == wire.answered_set(number ^ 1 << bit) == index
