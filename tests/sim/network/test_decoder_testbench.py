# SPDX-License-Identifier: Apache-2.0
"""The testbench that a decoder comes with."""

from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.hw.emit.lint import network_waivers, waivers
from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.subjects import random_stimuli
from ecoformer.sim.network.testbench import write_testbench
from tests.sim.network.broken import NETWORK
from tests.sim.network.decoders import DECODERS, TINY_DECODER
from tests.sim.network.test_network_testbench import SIMULATORS, prepare, verdict

pytestmark = pytest.mark.slow
DESIGNS = {
    "tiny": TINY_DECODER, **DECODERS, "loadable": replace(TINY_DECODER, loadable=True),
}


def write(folder, design, text=None):
    image = random_image(design, 5)
    for name, content in (
        (f"rtl/{NETWORK}.v", text or emit_network(design, image)),
        (f"lint/{NETWORK}.vlt", waivers(NETWORK, network_waivers(design))),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    tape = random_stimuli(design, 6, 24)
    write_testbench(folder, design, image, tape, name=NETWORK)
    return image, tape


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_it_passes_and_finds_a_wrong_beat(simulator, tmp_path):
    write(tmp_path, TINY_DECODER)
    play = prepare(tmp_path, simulator, tmp_path)
    vectors = tmp_path / "vectors" / "expected.hex"
    lines = vectors.read_text().splitlines()
    for arguments in ((), ("+gaps",)):
        status, reply = play(*arguments)
        assert status == 0
        assert verdict(reply).startswith(f"PASS: {len(lines)} of {len(lines)} beats as expected")
    # Of the context, which is above the flags and the data.
    width = 8 * TINY_DECODER.answer_bytes + 2
    lines[-1] = f"{int(lines[-1], 16) ^ 1 << width:0{len(lines[-1])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    status, reply = play()
    assert status and verdict(reply).startswith("FAIL: 1 differences")


@pytest.mark.icarus
@pytest.mark.parametrize("name", DESIGNS)
def test_a_decoder_comes_up_from_x_by_reset_alone(name, tmp_path):
    design = DESIGNS[name]
    image, tape = write(tmp_path, design)
    status, reply = prepare(tmp_path, "icarus", tmp_path)("+gaps")
    assert status == 0 and verdict(reply).startswith("PASS")
    # The vectors are the answers of the integer network, and some are errors.
    width, size = 8 * design.answer_bytes, 8 * design.score_bytes
    words = [int(line, 16) for line in (tmp_path / "vectors/expected.hex").read_text().split()]
    assert any(word >> width + 1 & 1 for word in words)
    contexts, place = Contexts(design, image), 0
    for row in zip(tape.tokens.tolist(), tape.contexts.tolist(), tape.begins.tolist()):
        error, tensors = contexts.take(*row)
        assert error is None
        answer = words[place : place + design.answer_beats]
        place += design.answer_beats
        assert [word >> width & 1 for word in answer] == [0] * (len(answer) - 1) + [1]
        assert {word >> width + 2 for word in answer} == {row[1]}
        scores = tensors["scores"]
        if design.answer == "best":
            assert answer[0] & (1 << width) - 1 == int(np.argmax(scores))
            continue
        got = [
            word >> size * lane & (1 << size) - 1
            for word in answer for lane in range(design.answer_scores)
        ]
        assert got[: len(scores)] == [score & (1 << size) - 1 for score in scores.tolist()]
        assert not any(got[len(scores) :])
