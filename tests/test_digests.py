# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from tests.digests import (
    RECORD,
    engines,
    example_networks,
    network_parts,
    parts,
    verilog_digest,
)

ENGINES = engines()
SMALL = [
    name for name, config in ENGINES.items()
    if config.head_dim * config.code_bits <= 256 and config.max_tokens <= 64
]
"""What `make digests` does for all of them and for their Verilog, for those that are soon made."""


def _size(config):
    return (
        (config.head_dim + config.value_dim) * config.code_bits * config.max_tokens
        * config.engines * config.parameter_sets
    )


SMALLEST = {
    kind: name
    for name, c in sorted(ENGINES.items(), key=lambda item: -_size(item[1]))
    for kind in ((c.dataflow, c.queries, c.mask), c.hash)
}
"""The smallest engine of every kind."""


@pytest.mark.parametrize("name", SMALL)
def test_what_is_generated_is_as_recorded(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    for part, digest in parts(ENGINES[name], verilog=False).items():
        assert digest == recorded[part], f"{part} of {name}"


@pytest.mark.parametrize("name", sorted({*SMALLEST.values()}))
def test_verilog_is_as_recorded(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    assert verilog_digest(ENGINES[name]) == recorded["verilog"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    name if name in ("network characters", "network chip") else
    pytest.param(name, marks=pytest.mark.full) for name in example_networks()
])
def test_verilog_of_networks_is_as_recorded(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    assert network_parts(example_networks()[name]) == recorded
