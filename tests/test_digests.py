# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from tests.digests import RECORD, engines, parts

ENGINES = engines()
SMALL = [
    name for name, config in ENGINES.items()
    if config.head_dim * config.code_bits <= 256 and config.max_tokens <= 64
]
"""What `make digests` does for all of them and for their Verilog, for those that are soon made."""


@pytest.mark.parametrize("name", SMALL)
def test_what_is_generated_is_as_recorded(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    for part, digest in parts(ENGINES[name], verilog=False).items():
        assert digest == recorded[part], f"{part} of {name}"
