# SPDX-License-Identifier: Apache-2.0
from itertools import product

import numpy as np
import pytest

from ecoformer.golden.integer.families import FAMILIES as INTEGER_FAMILIES
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.choices import Dataflow, Hash
from ecoformer.spec.config import Config
from ecoformer.spec.families import FAMILIES
from ecoformer.spec.memory_map import Region

SIZES = dict(head_dim=5, code_bits=11, anchors=7, value_dim=3, token_width=6, parameter_sets=3)


def config_of(hash, k=16):
    flow = Dataflow.ACCUMULATE if FAMILIES[hash].gives_codes else Dataflow.SOFTMAX
    return Config(**SIZES, hash=hash, dataflow=flow, cycles_per_token=k, bus_bytes=16)


def test_every_hash_has_a_family_and_an_integer_model():
    assert FAMILIES.keys() == INTEGER_FAMILIES.keys() == set(Hash)
    for hash, family in FAMILIES.items():
        assert type(config_of(hash).family) is family


@pytest.mark.parametrize("hash, k", list(product(Hash, (1, 4, 1_024))))
def test_the_parts_of_a_family_agree(hash, k):
    """Parameters, draws, scalars, regions and rows speak of the same arrays."""
    config = config_of(hash, k)
    family = config.family
    arrays = family.draw(np.random.default_rng(0), 3)
    assert arrays.keys() == family.parameters.keys()
    for name, bounds in family.parameters.items():
        assert arrays[name].shape == (3, *bounds.shape)
        assert bounds.low <= arrays[name].min() and arrays[name].max() <= bounds.high
    assert set(family.scalars) <= family.parameters.keys()
    image = random_image(config, np.random.default_rng(1))
    image.check(config)
    regions = {region.name: region for region in family.regions}
    assert regions.keys() == family.parameters.keys() - set(family.scalars)
    rows = family.rows(image, 2)
    assert {name: array.shape for name, array in rows.items()} == {
        name: (region.rows, region.lanes) for name, region in regions.items()
    }
    for name, region in regions.items():
        assert region == Region.of(name, region.rows, region.lanes, region.lane_bits)


@pytest.mark.parametrize("hash", Hash)
def test_tokens_travel_in_their_bytes(hash):
    family = config_of(hash).family
    low, high = family.token_range
    numbers = np.random.default_rng(2).integers(-32, 32, (50, family.key_elements))
    tokens = family.tokens_from(numbers)
    assert low <= tokens.min() and tokens.max() <= high
    family.check_tokens(tokens)
    packed = family.pack(tokens)
    assert packed.dtype == np.uint8 and packed.shape == (50, family.key_bytes)
    assert len(np.unique(packed, axis=0)) == len(np.unique(tokens, axis=0))


def test_traced_keys_are_codes_or_elements():
    bits = np.array([[0, 1] * 5 + [1]])
    for hash in (Hash.RBF, Hash.LINEAR, Hash.CODES):
        family = config_of(hash).family
        assert family.key_width == 11
        assert family.unpack_keys(bits).tolist() == [[-1, 1] * 5 + [1]]
    family = config_of(Hash.NONE).family
    assert family.key_width == 5 * 6
    tokens = np.array([[-32, 31, 0, -1, 5]])
    bits = (tokens[..., None] >> np.arange(6) & 1).reshape(1, -1)
    assert family.unpack_keys(bits).tolist() == tokens.tolist()


def test_zero_is_no_code():
    with pytest.raises(ValueError, match="^tokens must be the codes -1 and 1, not 0$"):
        config_of(Hash.CODES).family.check_tokens(np.array([[1, 0, -1]]))
