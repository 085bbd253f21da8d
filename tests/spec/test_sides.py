# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.parameters import SIDE_ARRAYS, ParameterImage
from ecoformer.spec.registers import REGISTERS, constants
from ecoformer.spec.sides import SIDES
from ecoformer.spec.units import hash_units
from ecoformer.spec.wire import pack_packet, pack_sequence

SHARED = Config(
    head_dim=3, value_dim=2, code_bits=9, anchors=2, max_tokens=6, cycles_per_token=8,
    parameter_sets=3, bus_bytes=4,
)
SEPARATE = replace(SHARED, queries="separate")


@pytest.fixture
def image():
    return random_image(SEPARATE, np.random.default_rng(5))


def test_a_token_is_q_then_k_then_v():
    q, k, v = [[1, -2, 3]], [[4, 5, -6]], [[7, -8]]
    beats = pack_sequence(SEPARATE, np.array([[*q[0], *k[0]]]), np.array(v))
    assert SEPARATE.token_bytes == 8
    assert beats.tolist() == [[1, 254, 3, 4], [5, 250, 7, 248]]


def test_each_code_of_the_host_has_bytes_of_its_own():
    config = replace(SEPARATE, hash="codes")
    query, key = [-1] * 8 + [1], [-1] + [1] * 8
    beats = pack_sequence(config, np.array([query + key]), np.array([[1, 2]]))
    assert beats.tolist() == [[0, 1, 254, 1], [1, 2, 0, 0]]


def test_both_tokens_must_fit_their_cycles():
    shape = dict(head_dim=8, value_dim=8, bus_bytes=4, cycles_per_token=4)
    Config(**shape)
    with pytest.raises(ValueError, match="^bus_bytes must carry a token's input .* not in 6 beats"):
        Config(**shape, queries="separate")


def test_an_engine_for_shared_queries_is_the_one_it_was():
    assert SHARED.fingerprint == Config(**{
        name: getattr(SHARED, name)
        for name in ("head_dim", "value_dim", "code_bits", "anchors", "max_tokens", "bus_bytes",
                     "cycles_per_token", "parameter_sets")
    }).fingerprint
    assert SHARED.fingerprint != SEPARATE.fingerprint
    assert SHARED.bits_fingerprint != SEPARATE.bits_fingerprint
    assert constants(SHARED)["METHOD"] == 0
    assert REGISTERS["METHOD"]["QUERIES"].get(constants(SEPARATE)["METHOD"]) == 1


def test_queries_of_their_own_have_the_parameters_of_separate_ones(tmp_path):
    config = replace(SEPARATE, queries="cross")
    random_image(SEPARATE, np.random.default_rng(5)).save(tmp_path / "p.safetensors", SEPARATE)
    image = ParameterImage.load(tmp_path / "p.safetensors", config)
    assert MemoryMap(config).load_words(image, 1) == MemoryMap(SEPARATE).load_words(image, 1)
    assert config.bits_fingerprint == SEPARATE.bits_fingerprint
    assert config.fingerprint != SEPARATE.fingerprint
    assert hash_units(config) == hash_units(SEPARATE)
    assert REGISTERS["METHOD"]["QUERIES"].get(constants(config)["METHOD"]) == 2


def test_keys_and_queries_of_their_own_are_tokens_of_two_streams():
    config = replace(SEPARATE, queries="cross")
    keys, queries = config.wire.inlets
    assert (keys.bus, queries.bus) == ("s_axis", "s_axis_q")
    assert (keys.beats, queries.beats, config.input_beats) == (2, 1, 2)
    k, q, v = np.array([[4, 5, -6]]), np.array([[1, -2, 3]]), np.array([[7, -8]])
    assert pack_sequence(config, k, v).tolist() == [[4, 5, 250, 7], [248, 0, 0, 0]]
    assert pack_packet(queries, q, v[:, :0]).tolist() == [[1, 254, 3, 0]]


@pytest.mark.parametrize("hash", ["rbf", "linear", "codes"])
def test_every_side_has_parameters_of_its_own(hash, tmp_path):
    config = replace(SEPARATE, hash=hash)
    image = random_image(config, np.random.default_rng(1))
    single = random_image(replace(config, queries="shared"), np.random.default_rng(1))
    names = {name for name in single.arrays() if name in SIDE_ARRAYS}
    assert image.arrays().keys() == single.arrays().keys() | {f"query_{name}" for name in names}
    image.save(tmp_path / "p.safetensors", config)
    again = ParameterImage.load(tmp_path / "p.safetensors", config)
    for name, array in image.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
    with pytest.raises(EcoformerError, match="made for another configuration"):
        ParameterImage.load(tmp_path / "p.safetensors", replace(config, queries="shared"))


def test_parameters_of_queries_are_checked_like_those_of_keys(image):
    image.check(SEPARATE)
    for name, rule in (
        ("query_anchors", "be there with hash = 'rbf' and queries = 'separate'"),
        ("query_token_scale", "be there with hash = 'rbf' and queries = 'separate'"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must {rule}$"):
            replace(image, **{name: None}).check(SEPARATE)
    with pytest.raises(ValueError, match="^query_bias must have shape "):
        replace(image, query_bias=image.query_bias[:, 1:]).check(SEPARATE)
    with pytest.raises(ValueError, match="^query_token_scale must be at least 0"):
        replace(image, query_token_scale=-np.ones(3, np.float32)).check(SEPARATE)
    with pytest.raises(ValueError, match="^query_unit_tokens must be 0 or 1"):
        replace(image, query_unit_tokens=np.full(3, 2)).check(SEPARATE)
    with pytest.raises(ValueError, match="^query_anchors, .* must be absent with .*'shared'$"):
        image.check(SHARED)


def test_each_side_is_loaded_as_a_shared_one(image):
    """The memories of one side have the rows that its arrays give an engine of shared queries."""
    memories = MemoryMap(SEPARATE)
    assert memories.scalars == ("query_shift", "shift", "offset")
    for index in range(image.sets):
        rows = memories.rows(image, index)
        for side in SIDES["separate"]:
            alone = image.side(side)
            alone.check(SHARED)
            want = MemoryMap(SHARED).rows(alone, index)
            for name in ("anchors", "bias", "projection", "threshold"):
                np.testing.assert_array_equal(rows[side.prefix + name], want[name])
        scalars = [image.query_shift, image.shift, image.offset]
        assert rows["scalars"].tolist() == [[array[index] for array in scalars]]
    regions = {(r.index & 7, r.rows, r.lanes) for r in memories.regions.values() if r.index > 7}
    others = {(r.index, r.rows, r.lanes) for r in memories.regions.values() if r.index < 4}
    assert regions == others
    addresses = [address for address, _ in memories.load_words(image, 0)]
    assert len(set(addresses)) == len(addresses)


def test_every_side_has_units_of_its_own():
    shared, separate = hash_units(SHARED), hash_units(SEPARATE)
    assert separate == {f"query_{name}": unit for name, unit in shared.items()} | shared


def test_a_workload_holds_both_vectors():
    workload = random_workload(SEPARATE, np.random.default_rng(0), 3)
    workload.check(SEPARATE)
    assert workload.tokens.shape[1] == 6
    with pytest.raises(ValueError, match=r"^tokens must have shape \(\d+, 3\), not "):
        workload.check(SHARED)
