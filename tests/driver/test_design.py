# SPDX-License-Identifier: Apache-2.0
"""Bytes and words are those of the contract, for every configuration at the edges."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from ecoformer.driver.design import Design
from ecoformer.driver.errors import DeviceError
from ecoformer.spec.config import Config
from ecoformer.spec.parameter_export import as_binary, load_words
from ecoformer.spec.register_export import as_json
from ecoformer.spec.registers import packet_errors, register_map
from ecoformer.spec.wire import pack_outputs, pack_sequence
from tests.matrix import edge_configs, trial

CONFIGS = {name: c for name, c in edge_configs().items() if c.queries != "cross"}


def write(folder, config, image=None):
    """What the driver reads of a generated design."""
    (folder / "manifest.json").write_text(json.dumps({"config": asdict(config)}))
    (folder / "registers.json").write_text(as_json(config, "engine"))
    if image:
        (folder / "parameters.bin").write_bytes(as_binary(config, image))
    return Design(folder)


def test_bytes_and_words_of_the_tested_matrix(tmp_path):
    rng = np.random.default_rng(2)
    for name, config in CONFIGS.items():
        image, workload = trial(config, rng, 2)
        design = write(tmp_path, config, image)
        np.testing.assert_array_equal(design.parameters(), load_words(config, image), name)
        for _, tokens, values in workload.sequences():
            assert design.pack(tokens, values) == pack_sequence(config, tokens, values).tobytes()
        low, high = -(1 << config.output_width - 1), (1 << config.output_width - 1) - 1
        outputs = rng.integers(low, high + 1, (3, config.value_dim))
        outputs[0, 0], outputs[-1, -1] = low, high
        beats = pack_outputs(config, outputs)
        assert design.answer_bytes(3) == beats.size
        np.testing.assert_array_equal(design.unpack(beats.tobytes()), outputs)


def test_an_engine_with_a_stream_of_queries_is_refused_by_name(tmp_path):
    with pytest.raises(DeviceError, match="queries come on a stream of their own, which this driv"):
        write(tmp_path, Config(queries="cross"))


@pytest.mark.parametrize("depth", [0, 3])
def test_registers_and_fields_are_those_of_the_map(tmp_path, depth):
    config = Config(tuser_width=0, engines=2, next_set_depth=depth)
    design, registers = write(tmp_path, config), register_map(config)
    assert [*design.registers] == [*registers]
    for name, register in design.registers.items():
        assert register.offset == registers[name].offset
        assert [f.name for f in register.fields] == [f.name for f in registers[name].fields]
    assert design.packet_errors == sum(1 << error for error in packet_errors(config))


def test_what_does_not_fit_is_refused(tmp_path):
    config = Config(head_dim=4, value_dim=2, code_bits=4, anchors=2, hash="codes", value_width=5,
                    max_tokens=3)
    design = write(tmp_path, config)
    ones = np.ones((2, 4), int)
    for tokens, values, why in (
        (ones * 0, np.ones((2, 2), int), r"^codes must be -1 or 1$"),
        (ones, np.full((2, 2), 16), r"^values must be -16…15, not 16…16$"),
        (ones, np.ones((3, 2), int), r"^a sequence must be \[N, 4\] tokens and \[N, 2\] values"),
        (np.ones((4, 4), int), np.ones((4, 2), int), r"^a sequence must have 1…3 tokens, not 4$"),
    ):
        with pytest.raises(ValueError, match=why):
            design.pack(tokens, values)


def test_a_folder_without_a_design(tmp_path):
    with pytest.raises(DeviceError, match="manifest.json: cannot be read .*'ecoformer generate'"):
        Design(tmp_path)
    design = write(tmp_path, Config())
    with pytest.raises(DeviceError, match="parameters.bin: cannot be read"):
        design.parameters()
    (tmp_path / "parameters.bin").write_bytes(b"")
    with pytest.raises(DeviceError, match="parameters.bin: damaged"):
        design.parameters()
