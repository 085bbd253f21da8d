import json
from dataclasses import asdict, dataclass, fields, replace

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.choices import CHOICES
from ecoformer.spec.config import BIT_DEFINING, GOALS, RANGES, Config
from ecoformer.spec.config_file import read_table

SMALL = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    parameter_sets=1, bus_bytes=1,
)
PRIMES = {
    "head_dim": 113, "value_dim": 127, "code_bits": 61, "anchors": 31, "token_width": 5,
    "value_width": 7, "output_width": 23, "output_fraction": 11, "offset_fraction": 7,
    "max_tokens": 65_521, "cycles_per_token": 2, "engines": 13, "state_banks": 5,
    "parameter_sets": 251, "bus_bytes": 509, "tuser_width": 13,
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
        "dataflow": "accumulate", "max_tokens": 1_024, "cycles_per_token": 16, "engines": 1,
        "state_banks": 2, "parameter_sets": 8, "bus_bytes": 8, "tuser_width": 8,
        "target_tokens_per_second": 0, "clock_mhz": 100,
    }


def test_every_field_has_a_rule():
    assert {f.name for f in fields(Config)} == RANGES.keys() | CHOICES.keys()


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
        assert getattr(Config(**{**rest, name: value}), name) == value


@pytest.mark.parametrize("name", RANGES)
def test_values_beyond_the_range_are_refused(name):
    low, high = RANGES[name]
    for value in (low - 1, high + 1, -(2**70), 2**70):
        with pytest.raises(ValueError, match=rf"^{name} must be {low}…{high}, not {value}$"):
            Config(**{**SMALL, name: value})


@pytest.mark.parametrize("value", [True, 2.0, "2", None, [2], float("nan")])
@pytest.mark.parametrize("name", RANGES)
def test_an_integer_is_asked_for(name, value):
    if name == "cycles_per_token" and value is None:
        return  # it is left out, then
    with pytest.raises(TypeError) as caught:
        Config(**{name: value})
    assert str(caught.value) == f"{name} must be an integer, not {value!r}"


@pytest.mark.parametrize("value", [1, None, True, ["rbf"], {}])
@pytest.mark.parametrize("name", CHOICES)
def test_a_string_is_asked_for(name, value):
    with pytest.raises(TypeError) as caught:
        Config(**{name: value})
    allowed = " or ".join(map(repr, CHOICES[name].built()))
    assert str(caught.value) == f"{name} must be {allowed}, not {value!r}"


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("mask", "causal", "'full'"),
    ],
)
def test_choices_of_a_later_version_are_refused_as_such(name, value, allowed):
    with pytest.raises(ValueError) as caught:
        Config(**{name: value})
    assert str(caught.value) == (
        f"{name} must be {allowed}, not {value!r}, which this version does not build"
    )


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


@pytest.mark.parametrize(
    "what, changes, beats",
    [
        # 7 + 2 bytes on 2 need 5 beats; 5 elements of 3 bytes on 3 need 5.
        ("input", dict(head_dim=7, value_dim=2, bus_bytes=2), 5),
        ("output", dict(head_dim=1, value_dim=5, output_width=17, bus_bytes=3), 5),
    ],
)
def test_a_tokens_beats_must_fit_its_cycles(what, changes, beats):
    config = Config(**{**SMALL, "cycles_per_token": 8, **changes})
    assert getattr(config, f"{what}_beats") == beats
    with pytest.raises(ValueError) as caught:
        replace(config, cycles_per_token=4)
    assert str(caught.value) == (
        f"bus_bytes must carry a token's {what} in cycles_per_token = 4 beats, "
        f"not in {beats} beats of {changes['bus_bytes']} bytes"
    )


@pytest.mark.parametrize(
    "what, changes, lanes",
    [
        ("accumulate lanes", dict(code_bits=128, value_dim=128), 4_096),
        ("dot products", dict(head_dim=128, anchors=128), 4_096),
        ("projection products", dict(anchors=128, code_bits=128), 4_096),
        ("projection products", dict(hash="linear", head_dim=128, code_bits=128), 4_096),
    ],
)
def test_lanes_are_limited(what, changes, lanes):
    Config(**{**SMALL, "bus_bytes": 512, **changes, "cycles_per_token": 8})  # 2,048 lanes
    with pytest.raises(ValueError) as caught:
        Config(**{**SMALL, "bus_bytes": 512, **changes, "cycles_per_token": 4})
    assert str(caught.value) == (
        f"cycles_per_token must leave at most 2048 {what} per cycle, "
        f"not {lanes} at 4; double it"
    )


def test_the_code_ring_must_fit_the_block_ram():
    shape = {**SMALL, "max_tokens": 65_536}
    assert Config(**{**shape, "code_bits": 58}).buffer_bits == 3_801_088
    with pytest.raises(ValueError) as caught:
        Config(**{**shape, "code_bits": 59})
    assert str(caught.value) == (
        "max_tokens must keep the token buffers within 3833856 bits, not 3866624 at 65536 tokens"
    )


def test_the_xnor_buffers_hold_codes_and_values_of_every_bank():
    config = Config(
        **{**SMALL, "dataflow": "xnor", "max_tokens": 64, "code_bits": 5, "value_dim": 3,
           "value_width": 4, "state_banks": 3}
    )
    assert config.buffer_bits == 3 * 64 * (5 + 3 * 4)
    assert replace(config, max_tokens=33).buffer_bits == config.buffer_bits  # whole address bits


def test_the_tables_and_what_waits_for_them_must_fit_the_block_ram():
    config = Config(
        **{**SMALL, "dataflow": "bucketed", "max_tokens": 33, "code_bits": 6, "value_dim": 3,
           "value_width": 4, "state_banks": 3, "cycles_per_token": 8, "bus_bytes": 64}
    )
    entries = 2 * 3 * 16  # two groups, three elements; half of them for queries
    tables = 2 * entries * 10 + 3 * entries // 2 * 12
    transform = entries + 8 + 2 + 3 + 2
    assert config.transform_cycles == transform
    assert config.ring_tokens == 33 + -(-transform // 8) + 2
    assert config.buffer_bits == config.ring_tokens * 6 + tables
    assert replace(config, max_tokens=5).ring_tokens == 10
    with pytest.raises(ValueError, match="^max_tokens must keep the token buffers within "):
        Config(dataflow="bucketed", code_bits=128, value_dim=128, cycles_per_token=1_024,
               bus_bytes=128)


def test_the_softmax_buffers_hold_tokens_values_and_two_rows_of_scores():
    config = Config(
        **{**SMALL, "hash": "none", "dataflow": "softmax", "max_tokens": 33, "head_dim": 5,
           "token_width": 6, "value_dim": 3, "value_width": 4, "state_banks": 3}
    )
    score = 1 + (5 * 32 * 32).bit_length()
    assert config.buffer_bits == 3 * 33 * (5 * 6 + 3 * 4) + 2 * 64 * score
    assert config.key_width == 30 and config.hash_folds == {}


def test_the_ring_holds_the_values_that_their_own_tokens_need():
    config = Config(
        **{**SMALL, "value_term": "own", "max_tokens": 10, "code_bits": 5, "value_dim": 3,
           "value_width": 4}
    )
    assert config.buffer_bits == 10 * (5 + 3 * 4)


def test_several_engines_have_buffers_of_their_own_and_for_a_packet_each_way():
    shape = {**SMALL, "max_tokens": 10, "code_bits": 5, "head_dim": 2, "token_width": 6,
             "value_dim": 3, "value_width": 4, "output_width": 9, "output_fraction": 0}
    one = Config(**shape)
    assert (one.waiting_tokens, one.buffer_bits) == (0, 10 * 5)
    tokens, results = 10 * (2 * 6 + 3 * 4), 10 * 3 * 9
    assert replace(one, engines=4).buffer_bits == 4 * (10 * 5 + tokens + results)
    sent = replace(one, engines=4, hash="codes")
    assert sent.buffer_bits == 4 * (10 * 5 + 10 * (5 + 3 * 4) + results)


def test_the_ports_must_carry_what_all_engines_ask_for():
    shape = {**SMALL, "head_dim": 3, "value_dim": 2, "cycles_per_token": 16, "output_width": 8}
    config = Config(**shape, engines=3)
    assert (config.input_beats, config.output_beats) == (5, 2)
    with pytest.raises(ValueError) as caught:
        replace(config, engines=4)
    assert str(caught.value) == (
        "engines must be at most 3, because each asks for a token's input, 5 beats of 1 bytes, "
        "every cycles_per_token = 16 cycles, not 4"
    )
    with pytest.raises(ValueError, match=r"^engines must be at most 2, .* output, 6 beats of "):
        replace(config, engines=3, output_width=24)


def test_lanes_of_all_engines_are_limited():
    shape = {**SMALL, "bus_bytes": 512, "code_bits": 128, "value_dim": 128, "cycles_per_token": 16}
    assert Config(**shape, engines=2).state_fold.lanes == 1_024
    with pytest.raises(ValueError, match="at most 2048 accumulate lanes per cycle, not 3072 at 16"):
        Config(**shape, engines=3)


def test_engines_reach_a_target_together():
    config = Config(
        engines=4, bus_bytes=16, target_tokens_per_second=25_000_000, clock_mhz=100, max_tokens=8
    )
    assert (config.cycles_per_token, config.steady_cycles) == (16, 4)


def test_units_that_a_family_does_not_have_do_not_limit_it():
    wide = {**SMALL, "bus_bytes": 512, "anchors": 128, "cycles_per_token": 4}
    assert set(Config(**SMALL).hash_folds) == {"dot products", "projection products"}
    assert set(Config(**{**wide, "hash": "linear", "head_dim": 128}).hash_folds) == {
        "projection products"
    }
    assert not Config(**{**wide, "hash": "codes", "head_dim": 128, "code_bits": 64}).hash_folds


@pytest.mark.parametrize("code_bits, size", [(1, 1), (8, 1), (9, 2), (128, 16)])
def test_codes_travel_packed(code_bits, size):
    config = Config(hash="codes", code_bits=code_bits, value_dim=3)
    assert config.key_bytes == size and config.token_bytes == size + 3


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


@pytest.mark.parametrize("width, size", [(4, 1), (8, 1), (9, 2), (16, 2), (17, 3), (24, 3)])
def test_output_elements_are_whole_bytes(width, size):
    assert Config(output_width=width).output_element_bytes == size


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
    ):
        config = Config(**changes)
        assert Config.load(write(tmp_path / "c.toml", config.as_toml())) == config


def test_absent_keys_and_tables_mean_defaults(tmp_path):
    assert Config.load(write(tmp_path / "empty.toml", "")) == Config()
    text = "[training]\nanything = 1\n[engine]\nhead_dim = 16\n"
    assert Config.load(write(tmp_path / "some.toml", text)) == Config(head_dim=16)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[engine]\nheads = 3", "unknown key in [engine]: heads; known: head_dim, "),
        ("[engine]\nb = 1\na = 2", "unknown key in [engine]: a, b; known: head_dim, "),
        ("[motor]\nhead_dim = 3", "unknown table: motor; known: engine, network, training, "),
        ("head_dim = 3", "unknown table: head_dim; known: engine, network, training, "),
        ("engine = 3", "engine must be a table [engine], not 3"),
        ("[[engine]]\nhead_dim = 3", "engine must be a table [engine], not "),
        ("[engine]\nhead_dim = 3.0", "[engine] head_dim must be an integer, not 3.0"),
        ("[engine]\nhead_dim = true", "[engine] head_dim must be an integer, not True"),
        ("[engine]\nhead_dim = [3]", "[engine] head_dim must be an integer, not (3,)"),
        ("[engine]\nhead_dim = 0", "[engine] head_dim must be 1…128, not 0"),
        ("[engine]\nhash = 1", "[engine] hash must be 'rbf' or 'linear' or 'codes' or "),
        ("[engine]\nmask = 'causal'", "[engine] mask must be 'full', not 'causal', which this"),
        ("[engine]\nhead_dim = 1\nhead_dim = 2", "not a TOML file ("),
        ("[engine\n", "not a TOML file ("),
    ],
)
def test_bad_files_are_refused_with_file_and_reason(tmp_path, text, message):
    path = write(tmp_path / "bad.toml", text)
    with pytest.raises(EcoformerError) as caught:
        Config.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(EcoformerError, match=r"cannot read the configuration \(No such file"):
        Config.load(tmp_path / "absent.toml")
    with pytest.raises(EcoformerError, match=r"cannot read the configuration"):
        Config.load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EcoformerError, match=r"not a TOML file"):
        Config.load(tmp_path / "binary.toml")


def test_other_tables_are_read_into_their_own_classes(tmp_path):
    @dataclass(frozen=True)
    class Network:
        stages: tuple = ()
        heads: int = 1

    path = write(tmp_path / "c.toml", "[network]\nstages = [2, 3]\n[engine]\nhead_dim = 8\n")
    assert read_table(path, "network", Network) == Network(stages=(2, 3))
    assert Config.load(path).head_dim == 8


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
    base = Config(**{**SMALL, "bus_bytes": 8})
    if name in GOALS:
        return base, []
    if name in CHOICES:
        values = [value for value in CHOICES[name].built() if value != getattr(base, name)]
    else:
        values = [value for value in RANGES[name] if value != getattr(base, name)]
    return base, [replace(base, **{name: values[0]})] if values else []


@pytest.mark.parametrize("name", [f.name for f in fields(Config)])
def test_which_fields_change_which_fingerprint(name):
    rate_only = {
        "dataflow", "max_tokens", "cycles_per_token", "engines", "state_banks", "parameter_sets",
        "bus_bytes", "tuser_width", *GOALS,
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
