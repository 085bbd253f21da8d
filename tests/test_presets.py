# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from ecoformer.presets import PRESETS, find_config
from ecoformer.spec.config import Config


def test_every_preset_is_a_configuration():
    assert {"demo", "k16", "smallest"} < PRESETS.keys()
    for name in PRESETS:
        assert Config.load(name) == Config.load(PRESETS[name])


def test_a_name_is_a_file_or_else_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("demo") == PRESETS["demo"]
    Path("demo").mkdir()  # what 'ecoformer demo -o demo' writes
    assert find_config("demo") == PRESETS["demo"]
    Path("k16").write_text("")
    assert find_config("k16") == Path("k16")
    assert find_config("k16.toml") == Path("k16.toml")
