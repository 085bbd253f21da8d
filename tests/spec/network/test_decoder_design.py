# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import network_arrays
from ecoformer.spec.network.load import load_design
from tests.golden.integer.network.decoders import DECODERS, make_decoder
from tests.golden.integer.network.designs import DESIGNS


@pytest.mark.parametrize("name", DECODERS)
def test_a_design_loads_as_it_was_written(tmp_path, name):
    path = tmp_path / "network.toml"
    path.write_text(DECODERS[name].as_toml())
    assert load_design(path) == DecoderDesign.load(path) == DECODERS[name]


def test_a_file_says_which_kind_of_network_it_is(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(DESIGNS["two blocks"].as_toml())
    assert isinstance(load_design(path), NetworkDesign)
    path.write_text(DECODERS["a block"].as_toml() + "[chip]\ndepth = 1\n")
    with pytest.raises(EcoformerError, match=r"\[chip\] is for images and \[decoder\] for text"):
        load_design(path)
    path.write_text(DECODERS["a block"].as_toml().replace("hidden = 16\n", ""))
    with pytest.raises(EcoformerError, match=r"\[decoder\] lacks hidden"):
        load_design(path)


@pytest.mark.parametrize("table", ["", "[chip]\nweights = 'ternary'\n", "[decoder]\n"])
def test_a_network_to_be_trained_is_no_network_on_the_chip_yet(tmp_path, table):
    path = tmp_path / "config.toml"
    path.write_text("[network]\nimage_size = 28\n" + table)
    with pytest.raises(EcoformerError, match="config.toml: .* 'ecoformer export --network' writes"):
        load_design(path)


@pytest.mark.parametrize("changes, rule", [
    ({"vocabulary": 1}, "vocabulary must be 2…65536, not 1"),
    ({"heads": 3}, "heads must divide width = 8, not be 3"),
    ({"answer": "all"}, "answer must be 'scores' or 'best', not 'all'"),
    ({"hidden": 65}, "cycles_per_token must be at least 17 for this network, whose longest vector "
     "has 65 elements, of which at most head_dim = 4 move in a cycle, not 16"),
    ({"width": 1024, "heads": 32, "depth": 64, "hidden": 4096, "cycles_per_token": 4096},
     "vocabulary, positions, width, hidden and depth must leave at most 4,194,304 weights"),
])
def test_an_impossible_size_is_refused(changes, rule):
    dim = changes.get("width", 8) // changes.get("heads", 2)
    if changes.get("heads") == 3:
        dim = 4
    with pytest.raises(ValueError, match=rule):
        replace(
            make_decoder(), **changes,
            attention=replace(
                make_decoder().attention, head_dim=dim, value_dim=dim, bus_bytes=64
            ),
        )


@pytest.mark.parametrize("engine, rule", [
    ({"mask": "full", "contexts": 1}, "mask must be 'causal' within a network, not 'full'"),
    ({"dataflow": "xnor"}, "dataflow must be 'accumulate' within a decoder"),
    ({"hash": "codes"}, "hash must not be 'codes' within a network"),
    ({"head_dim": 8}, "head_dim must be 4 within a network, not 8"),
])
def test_impossible_attention_is_refused(engine, rule):
    with pytest.raises(ValueError, match=rule):
        make_decoder(engine)


def test_lanes_are_the_fewest_that_the_rate_allows():
    gpt = dict(vocabulary=27, positions=16, width=16, heads=4, hidden=64)
    for cycles, lanes in ((64, 1), (63, 2), (32, 2), (31, 4), (16, 4)):
        design = make_decoder(cycles_per_token=cycles, **gpt)
        assert design.lanes == lanes
        assert design.steady_cycles <= cycles
    assert make_decoder(vocabulary=300, cycles_per_token=75).lanes == 4  # scores are a vector, too


def test_rate_and_answer_change_no_bit():
    design = make_decoder()
    other = replace(design, cycles_per_token=32, answer="best")
    assert other.fingerprint != design.fingerprint
    assert other.bits_fingerprint == design.bits_fingerprint
    assert replace(design, vocabulary=12).bits_fingerprint != design.bits_fingerprint


def test_every_random_decoder_is_refused_at_once_or_keeps_its_rate():
    rng, kept = random.Random(0), 0
    sizes = {
        "vocabulary": (2, 27, 1000, 65_536), "positions": (1, 5, 16, 1024), "depth": (1, 2, 64),
        "hidden": (1, 7, 64, 4096), "cycles_per_token": (16, 17, 24, 64, 1000, 65_536),
        "residual_width": (8, 16, 18), "heads": (1, 2, 3, 8, 32),
    }
    for _ in range(2000):
        values = {name: rng.choice(choices) for name, choices in sizes.items()}
        head_dim = rng.choice((1, 2, 3, 4, 6, 16, 32, 128))
        try:
            attention = Config(
                head_dim=head_dim, value_dim=head_dim, code_bits=rng.choice((1, 5, 64)),
                hash=rng.choice(("rbf", "linear")), queries=rng.choice(("shared", "separate")),
                mask="causal", contexts=rng.choice((1, 3, 64)), output_width=rng.choice((8, 24)),
                cycles_per_token=rng.choice((4, 16, 64)), bus_bytes=64, max_tokens=16,
            )
            design = DecoderDesign(
                attention=attention, width=values["heads"] * head_dim, **values
            )
        except ValueError:
            continue
        kept += 1
        assert design.head_dim % design.lanes == 0
        assert design.steady_cycles <= design.cycles_per_token
        assert design.engine.cycles_per_token <= design.cycles_per_token
        assert design.engine.input_beats == design.engine.output_beats == 1
        assert network_arrays(design)["embedding"].shape == (design.vocabulary, design.width)
        for name in design.linears:
            fold = design.fold(name)
            for lanes, extent in (
                (fold.input_lanes, fold.inputs), (fold.output_lanes, fold.outputs)
            ):
                assert lanes % design.lanes == 0 or lanes == extent
            assert -(-fold.output_lanes // design.lanes) <= max(fold.input_steps, design.lanes == 1
                                                                and fold.output_lanes)
    assert kept > 50


def test_what_only_a_host_needs_is_written_where_it_says_something(tmp_path):
    path, plain = tmp_path / "network.toml", make_decoder()
    assert "alphabet" not in plain.as_toml() and "score_scale" not in plain.as_toml()
    design = replace(plain, alphabet="01\"\\é€😀\n\t ", score_scale=2.5e-4)
    path.write_text(design.as_toml(), encoding="utf-8")
    assert DecoderDesign.load(path) == design
    assert design.bits_fingerprint == plain.bits_fingerprint != design.fingerprint
    with pytest.raises(ValueError, match="vocabulary must be 3, a token for each of 2 characters"):
        replace(plain, alphabet="ab")
    with pytest.raises(ValueError, match=r"score_scale must be 0…1000000.0, not -1"):
        replace(plain, score_scale=-1)
