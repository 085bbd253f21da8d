# SPDX-License-Identifier: Apache-2.0
import math
import random
from dataclasses import replace

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import MAX_NUMBERS, NetworkDesign
from ecoformer.spec.network.image import network_arrays
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


@pytest.mark.parametrize("changes, rule", [
    ({"image_size": 512, "patch": 1}, "make an impossible .engine. of 262144 tokens: max_tokens"),
    ({"width": 1024, "heads": 32, "depth": 64, "hidden": 4096, "cycles_per_token": 65_536},
     "must leave at most 4,194,304 weights and positions, not "),
])
def test_a_network_that_is_too_large_is_refused(changes, rule):
    heads = changes.get("heads", 2)
    head_dim = changes.get("width", 4) // heads
    attention = Config(head_dim=head_dim, value_dim=head_dim, code_bits=4, bus_bytes=32)
    with pytest.raises(ValueError, match=rule):
        replace(DESIGNS["two blocks"], **{"width": 4, "heads": heads} | changes,
                attention=attention)


def test_every_random_network_is_refused_at_once_or_has_parameters():
    rng, kept = random.Random(0), 0
    sizes = {
        "image_size": (1, 2, 8, 28, 256, 512), "channels": (1, 3, 4), "patch": (1, 2, 4, 16, 64),
        "depth": (1, 2, 64), "hidden": (1, 7, 64, 4096), "classes": (1, 10, 4096),
        "cycles_per_token": (16, 64, 1000, 4096, 65_536), "residual_width": (8, 16, 18),
        "heads": (1, 2, 3, 8, 32),
    }
    for _ in range(2000):
        values = {name: rng.choice(choices) for name, choices in sizes.items()}
        head_dim = rng.choice((1, 2, 3, 4, 16, 32, 128))
        attention = Config(
            head_dim=head_dim, value_dim=head_dim, code_bits=rng.choice((1, 5, 64)),
            hash=rng.choice(("rbf", "linear")), queries=rng.choice(("shared", "separate")),
            dataflow=rng.choice(("accumulate", "xnor")), bus_bytes=32,
            output_width=rng.choice((8, 24)),
        )
        try:
            design = NetworkDesign(
                attention=attention, width=values["heads"] * head_dim, **values
            )
        except ValueError:
            continue
        kept += 1
        arrays = network_arrays(design)
        weights = [b for name, b in arrays.items() if ".attention." not in name]
        assert sum(math.prod(b.shape) for b in weights) < 1.5 * MAX_NUMBERS
        assert design.engine.max_tokens == design.tokens
    assert kept > 50
