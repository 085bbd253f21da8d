# SPDX-License-Identifier: Apache-2.0
from itertools import product

import pytest

from ecoformer.spec.choices import ValueTerm
from ecoformer.spec.config import Config
from ecoformer.spec.units import Unit, core_units, hash_units, units

SIZES = dict(head_dim=32, value_dim=24, code_bits=16, anchors=25, bus_bytes=128, output_width=13)
FOLDINGS = (1, 2, 8, 16, 1_024)
LINEAR = ("rbf", "linear", "codes")


@pytest.mark.parametrize("k", FOLDINGS)
def test_the_work_of_a_token_is_that_of_the_formulas(k):
    kernelized = Config(**SIZES, cycles_per_token=k)
    work = {name: unit.work for name, unit in units(kernelized).items()}
    assert work == {
        "squared_norm": 32, "dot_products": 25 * 32, "kernel_values": 25,
        "projection_products": 16 * 25, "accumulate_lanes": 16 * 24, "code_sums": 16,
        "value_sums": 24, "query_lanes": 16 * 24, "similarity_lanes": 16,
        "offset_products": 24 + 1, "quotient_digits": 24 * 13,
    }
    assert sum(unit.work for unit in hash_units(kernelized).values()) == 1_257

    linear = Config(**SIZES, cycles_per_token=k, hash="linear", value_term="own")
    assert {name: unit.work for name, unit in hash_units(linear).items()} == {
        "projection_products": 16 * 32
    }
    assert "value_sums" not in units(linear)
    assert not hash_units(Config(**SIZES, cycles_per_token=k, hash="codes"))


def test_quadratic_cores_work_on_a_pair_in_a_cycle():
    pairs = {
        "xnor": core_units(Config(**SIZES, dataflow="xnor")),
        "softmax": core_units(Config(**SIZES, dataflow="softmax", hash="none")),
    }
    assert {name: {n: u.lanes for n, u in found.items()} for name, found in pairs.items()} == {
        "xnor": {"similarities": 16, "weighted_sums": 24},
        "softmax": {"score_products": 32, "scale_product": 1, "weighted_sums": 24},
    }
    for unit in (unit for found in pairs.values() for unit in found.values()):
        assert unit.steps == 1 and unit.fill == 1


@pytest.mark.parametrize("hash, k", list(product(LINEAR, FOLDINGS)))
def test_every_unit_has_the_lanes_for_its_work_in_k_cycles(hash, k):
    for term in ValueTerm:
        config = Config(**SIZES, hash=hash, value_term=term, cycles_per_token=k)
        for name, unit in units(config).items():
            assert 0 < unit.steps <= k, name
            assert 0 < unit.fill <= 1, name


def test_lanes_beyond_the_edge_do_no_work():
    config = Config(**SIZES, cycles_per_token=16)
    dot = units(config)["dot_products"]
    assert dot == Unit(lanes=50, steps=16, work=800, multiplies=True) and dot.fill == 1
    # Four anchors at a time: the last block has one.
    assert units(Config(**SIZES | {"anchors": 29}, cycles_per_token=8))["kernel_values"].fill < 1
    uneven = units(Config(**SIZES | {"code_bits": 5}, cycles_per_token=2))["code_sums"]
    assert (uneven.lanes, uneven.steps, uneven.fill) == (3, 2, 5 / 6)


def test_weights_without_multiplier_leave_those_of_the_scalars():
    config = Config(**SIZES, weights="pow2")
    multiply = {name for name, unit in units(config).items() if unit.multiplies}
    assert multiply == {"squared_norm", "kernel_values", "offset_products"}
