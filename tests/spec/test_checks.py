# SPDX-License-Identifier: Apache-2.0
"""Every number of every table of a configuration has a range, enumerated."""

import math
from dataclasses import fields, is_dataclass, replace

import pytest

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.recipe import ConvertConfig
from ecoformer.golden.energy.shapes import Network, Stage
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import NetworkConfig
from ecoformer.spec.checks import SEEDS, check_choice, check_number
from ecoformer.spec.config import Config

STAGE = Stage(width=8, depth=1, heads=2)
EXAMPLES = (
    Config(), NetworkConfig(), TrainingConfig(), AttentionConfig(), ConvertConfig(), STAGE,
    Network(name="n", stages=(STAGE,), tokens=4), KshConfig(), DistillConfig(),
)
NUMBERS = [
    (example, field.name)
    for example in EXAMPLES
    for field in fields(example)
    if type(getattr(example, field.name)) in (int, float)
]


@pytest.mark.parametrize(
    "example, name", NUMBERS, ids=[f"{type(e).__name__}.{name}" for e, name in NUMBERS]
)
def test_every_number_has_a_range(example, name):
    assert is_dataclass(example)
    for value in (math.nan, math.inf, -math.inf, 1e300, -1e300, 10**400, -(10**400), 10**5000,
                  -1, True, "1", None, [1]):
        if value is None and name == "cycles_per_token":
            continue  # follows from others
        with pytest.raises((TypeError, ValueError)) as error:
            replace(example, **{name: value})
        assert len(str(error.value)) < 300


def test_a_tuple_of_numbers_has_one_too():
    for rates in ((math.nan,), (1e300,), (10**400,), (), tuple(x / 100 for x in range(99))):
        with pytest.raises((TypeError, ValueError)):
            TrainingConfig(tune_lrs=rates)


def test_seeds_are_words_of_32_bits():
    assert SEEDS == (0, 0xFFFF_FFFF)


def test_what_is_within_is_taken():
    for value in (0, 0.5, 1):
        check_number("x", value, float, 0, 1)
    with pytest.raises(TypeError, match="^x must be an integer, not 0.5$"):
        check_number("x", 0.5, int, 0, 1)
    with pytest.raises(ValueError, match=r"^x must be 0…1, not 10{59}…$"):
        check_number("x", 10**400, int, 0, 1)
    with pytest.raises(ValueError, match=r"^x must be 0…1, not a number of thousands of digits$"):
        check_number("x", 10**5000, int, 0, 1)
    with pytest.raises(TypeError, match="^x must be 'a' or 'b', not 1$"):
        check_choice("x", 1, ("a", "b"))
