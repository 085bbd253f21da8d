# SPDX-License-Identifier: Apache-2.0
"""What describes an engine never changes once it is made: it is compared, hashed and shared."""

import importlib
import pkgutil
from dataclasses import is_dataclass

import pytest

import ecoformer.spec
from ecoformer.spec.config import Config

MADE_STEP_BY_STEP: set[str] = set()


def test_every_dataclass_of_the_contract_is_frozen():
    seen = set()
    for module in pkgutil.walk_packages(ecoformer.spec.__path__, "ecoformer.spec."):
        for name, found in vars(importlib.import_module(module.name)).items():
            if isinstance(found, type) and is_dataclass(found):
                seen.add(name)
                assert found.__dataclass_params__.frozen or name in MADE_STEP_BY_STEP, name
    assert {"Config", "Fold", "Region"} <= seen


def test_fields_of_a_configuration_are_given_by_name():
    with pytest.raises(TypeError):
        Config(8)
