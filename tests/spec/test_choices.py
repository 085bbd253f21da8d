# SPDX-License-Identifier: Apache-2.0
import json
import pickle
from copy import deepcopy

import pytest

from ecoformer.spec.choices import CHOICES, Choice, Dataflow, Hash, RegionCode
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS

CODES = {
    "hash": {"rbf": 0, "linear": 1, "codes": 2, "none": 3, "hadamard": 4},
    "weights": {"int8": 0, "pow2": 1, "ternary": 2},
    "value_term": {"sum": 0, "own": 1},
    "mask": {"full": 0, "causal": 1},
    "dataflow": {"accumulate": 0, "xnor": 1, "bucketed": 2, "softmax": 3},
    "queries": {"shared": 0, "separate": 1, "cross": 2},
}
"""Released numbers: none of them may ever change, others may join."""
REGIONS = {
    "anchors": 0, "bias": 1, "projection": 2, "threshold": 3, "scalars": 4,
    "query_anchors": 8, "query_bias": 9, "query_projection": 10, "query_threshold": 11,
}


def test_register_codes_are_frozen():
    assert {name: choices.codes() for name, choices in CHOICES.items()} == CODES
    assert {code.name.lower(): int(code) for code in RegionCode} == REGIONS
    for field in REGISTERS["METHOD"].fields:
        assert field.values == CODES[field.name.lower()]
        assert max(field.values.values()) <= field.mask >> field.low


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_codes_are_different(choices):
    codes = choices.codes()
    assert len(set(codes.values())) == len(codes)


def test_a_value_is_its_string():
    assert Hash.RBF == "rbf" and {"rbf": 1}[Hash.RBF] == 1 and Hash("rbf") is Hash.RBF
    assert f"{Hash.RBF}" == str(Hash.RBF) == "rbf" and repr(Hash.RBF) == "'rbf'"
    assert json.dumps({Hash.RBF: Hash.LINEAR}) == '{"rbf": "linear"}'
    assert pickle.loads(pickle.dumps(Dataflow.XNOR)) is deepcopy(Dataflow.XNOR) is Dataflow.XNOR


@pytest.mark.parametrize("hash", ["linear", Hash.LINEAR])
def test_a_configuration_holds_members(hash):
    config = Config(hash=hash)
    assert config.hash is Hash.LINEAR
    assert config == Config(hash="linear") and "hash='linear'" in repr(config)
    assert 'hash = "linear"' in config.as_toml()


def test_a_refused_value_has_a_code_and_a_reason():
    class Size(Choice):
        SMALL = "small", 0
        LARGE = "large", 1
        HUGE = "huge", 2, "which this version does not build"

    assert Size.HUGE not in Size.built() and Size.HUGE.code == 2
    with pytest.raises(ValueError) as caught:
        Size.parse("size", "huge")
    assert str(caught.value) == (
        "size must be 'small' or 'large', not 'huge', which this version does not build"
    )


def test_a_reason_is_given_for_no_other_value():
    class Size(Choice):
        SMALL = "small", 4
        LARGE = "large", 2, "which does not fit"

    assert Size.built() == (Size.SMALL,) and Size.codes() == {"small": 4, "large": 2}
    assert Size.parse("size", "small") is Size.SMALL
    for value, kind, rest in (
        ("large", ValueError, ", which does not fit"), ("huge", ValueError, ""), (4, TypeError, ""),
    ):
        with pytest.raises(kind) as caught:
            Size.parse("size", value)
        assert str(caught.value) == f"size must be 'small', not {value!r}{rest}"
