# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign
from tests.golden.integer.network.designs import DESIGNS


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_loads_as_it_was_written(tmp_path, name):
    path = tmp_path / "network.toml"
    path.write_text(DESIGNS[name].as_toml())
    assert NetworkDesign.load(path) == DESIGNS[name]
    assert Config.load(path) == DESIGNS[name].attention


def test_a_design_that_lacks_something_is_refused(tmp_path):
    path = tmp_path / "network.toml"
    text = DESIGNS["two blocks"].as_toml()
    path.write_text(text.replace("hidden = 12\n", "").replace("depth = 2\n", ""))
    with pytest.raises(EcoformerError) as caught:
        NetworkDesign.load(path)
    assert str(caught.value) == f"{path}: [chip] lacks depth, hidden; add what is missing"


def test_a_wrong_value_is_refused_with_its_name(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(DESIGNS["two blocks"].as_toml().replace("patch = 2", "patch = 4"))
    with pytest.raises(EcoformerError, match="patch must divide image_size = 6, not be 4"):
        NetworkDesign.load(path)
