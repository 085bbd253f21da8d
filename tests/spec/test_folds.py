# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.spec.config import Config

SMALL = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    parameter_sets=1, bus_bytes=1,
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


def test_lanes_of_all_engines_are_limited():
    shape = {**SMALL, "bus_bytes": 512, "code_bits": 128, "value_dim": 128, "cycles_per_token": 16}
    assert Config(**shape, engines=2).state_fold.lanes == 1_024
    with pytest.raises(ValueError, match="at most 2048 accumulate lanes per cycle, not 3072 at 16"):
        Config(**shape, engines=3)


def test_units_that_a_family_does_not_have_do_not_limit_it():
    wide = {**SMALL, "bus_bytes": 512, "anchors": 128, "cycles_per_token": 4}
    assert set(Config(**SMALL).hash_folds) == {"dot products", "projection products"}
    assert set(Config(**{**wide, "hash": "linear", "head_dim": 128}).hash_folds) == {
        "projection products"
    }
    assert not Config(**{**wide, "hash": "codes", "head_dim": 128, "code_bits": 64}).hash_folds
