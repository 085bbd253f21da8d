# SPDX-License-Identifier: Apache-2.0
import subprocess

import numpy as np
import pytest

from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.parameter_export import as_binary, as_c, load_words
from ecoformer.spec.programming import register_writes
from ecoformer.spec.register_export import c_header
from ecoformer.spec.registers import REGISTERS
from tests.spec.test_register_export import COMPILERS, STRICT

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=6, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4,
)
PROGRAM = """
#include "my_engine_parameters.h"
#include <stdio.h>
static uint32_t memory[MY_ENGINE_SIZE / 4];
int main(void) {
    size_t set, i;
    for (set = 0; set < MY_ENGINE_PARAMETER_IMAGE_SETS; ++set)
        for (i = 0; i < MY_ENGINE_PARAMETER_WORDS; ++i)
            printf("%u %u\\n", (unsigned)my_engine_parameters[set][i].address,
                   (unsigned)my_engine_parameters[set][i].data);
    memory[MY_ENGINE_STATUS_OFFSET / 4] = MY_ENGINE_STATUS_SHADOW_FREE_MASK;
    return my_engine_load_set(memory, 1, my_engine_parameters[1], MY_ENGINE_PARAMETER_WORDS, 1);
}
"""


@pytest.fixture
def image():
    return random_image(CONFIG, np.random.default_rng(3), sets=2)


def test_words_are_those_that_benches_write(image):
    data = REGISTERS["PARAM_DATA"].offset
    written = [w & 0xFFFFFFFF for w in register_writes(CONFIG, image) if w >> 32 & 0xFF == data]
    words = load_words(CONFIG, image)
    assert words[..., 1].ravel().tolist() == written
    assert words.shape[0] == 2 and (words[0, :, 0] == words[1, :, 0]).all()


def test_the_binary_is_the_words_in_little_endian(image):
    content = as_binary(CONFIG, image)
    np.testing.assert_array_equal(
        np.frombuffer(content, "<u4").reshape(2, -1, 2), load_words(CONFIG, image)
    )


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_is_the_words(compiler, image, tmp_path):
    (tmp_path / "my_engine.h").write_text(c_header(CONFIG, "my_engine"))
    (tmp_path / "my_engine_parameters.h").write_text(as_c(CONFIG, image, "my_engine"))
    (tmp_path / "main.c").write_text(PROGRAM)
    built = subprocess.run(
        [*COMPILERS[compiler], *STRICT, "-o", tmp_path / "main", tmp_path / "main.c"],
        capture_output=True, text=True,
    )
    assert not built.returncode and not built.stderr, built.stderr
    text = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    printed = np.array([line.split() for line in text.splitlines()], np.uint32)
    np.testing.assert_array_equal(printed, load_words(CONFIG, image).reshape(-1, 2))
