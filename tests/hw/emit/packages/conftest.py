# SPDX-License-Identifier: Apache-2.0
"""Generated folders whose pins differ, each made once."""

from pathlib import Path
from typing import NamedTuple

import pytest

from ecoformer.cli.generate import generate
from ecoformer.spec.config import Config

SMALL = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=8, cycles_per_token=8,
    parameter_sets=2, bus_bytes=4,
)
CONFIGS = {
    "plain": Config(**SMALL),
    "cross": Config(**SMALL, queries="cross"),
    "causal": Config(**SMALL, mask="causal", contexts=3, error_low=True),
    "queue": Config(**SMALL, tuser_width=0, next_set_depth=2, tkeep=True),
}
NAME = "my_engine"


class Generated(NamedTuple):
    """A folder that ``generate`` wrote for ``config``; its top is `NAME`."""

    config: Config
    folder: Path


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """A function of the name of a configuration: what is generated for it."""
    made = {}

    def of(name):
        if name not in made:
            parent = tmp_path_factory.mktemp(name)
            (parent / "config.toml").write_text(CONFIGS[name].as_toml())
            generate(parent / "config.toml", None, parent / "engine", name=NAME)
            made[name] = Generated(CONFIGS[name], parent / "engine")
        return made[name]

    return of


@pytest.fixture(params=CONFIGS)
def design(request, generated):
    """The generated folder of every configuration."""
    return generated(request.param)
