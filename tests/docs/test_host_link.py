# SPDX-License-Identifier: Apache-2.0
"""The host that docs/host-link.md describes, against a simulated board."""

import json
import random
import re
from pathlib import Path

import numpy as np

from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.frames import Fault, Kind, LinkRegister
from ecoformer.spec.registers import REGISTERS
from tests.docs import driver, link
from tests.docs.test_integration import arrays, described
from tests.driver.conftest import engine  # noqa: F401 (a fixture)
from tests.driver.test_image_board import made  # noqa: F401 (a fixture)

PAGE = (Path(__file__).parents[2] / "docs" / "host-link.md").read_text()


class Line:
    def __init__(self, board):
        self.board = board

    def send(self, raw):
        self.board.write(raw)

    def receive(self):
        return self.board.read(1000, 100e-6)


def test_a_host_written_from_the_page_uses_an_engine(engine, builds):  # noqa: F811
    c, rng = described(engine.config), np.random.default_rng(8)
    noisy = NoisyLink(engine.board(builds), random.Random(8), 0.0)
    host = link.Host(Line(noisy))
    host.write(link.RESET, 1)
    assert host.read(driver.ID) == int.from_bytes(b"ECOF", "big")
    assert host.read(0x104) == link.REFUSED
    noisy.rate = 0.003
    for index in range(2):
        driver.load_set(host, c, index, arrays(engine.image, index))
    for number in range(12):
        index, length = number % 3, int(rng.integers(1, 9))
        x, v = rng.integers(-128, 128, (length, 8)), rng.integers(-128, 128, (length, 8))
        beats = b"".join(
            beat.to_bytes(c["bus_bytes"], "little")
            for beat in driver.pack(c, x.tolist(), v.tolist())
        )
        error, raw = host.attend(index, beats, c["bus_bytes"])
        if index == 2:  # it was not loaded
            assert error and host.read(driver.ERRORS) == 1 << 2
        else:
            beats = [int.from_bytes(raw[i : i + c["bus_bytes"]], "little")
                     for i in range(0, len(raw), c["bus_bytes"])]
            assert not error
            assert driver.unpack(c, beats) == engine.expected(index, x, v).tolist()
    noisy.rate = 0.0
    assert host.read(REGISTERS["SEQUENCES"].offset) == 8 and sum(noisy.damages.values()) > 5


def test_a_host_written_from_the_page_classifies_images(made, builds):  # noqa: F811
    d, noisy = made.design, NoisyLink(made.board(builds), random.Random(9), 0.0)
    host = link.Host(Line(noisy))
    host.write(link.RESET, 1)
    assert host.read(0x00) == int.from_bytes(b"ECON", "big")
    facts = json.loads((made.folder / "manifest.json").read_text())["board_registers"]
    assert [host.read(entry["offset"]) for entry in facts] == [entry["value"] for entry in facts]
    assert host.read(0x0C) == host.read(0x104) == link.REFUSED
    noisy.rate = 0.008
    pixels = made.pixels(3, 4)
    for image, scores in zip(pixels, made.expected(pixels), strict=True):
        raw = bytes(
            image[channel, row, column]
            for row in range(d.image_size) for column in range(d.image_size)
            for channel in range(d.channels)
        )
        assert host.attend(0, raw[: -d.channels], d.channels) == (1, bytes(d.score_bytes))
        error, answer = host.attend(0, raw, d.channels)
        assert not error and len(answer) == d.classes * d.score_bytes
        assert [
            int.from_bytes(answer[i : i + d.score_bytes], "little", signed=True)
            for i in range(0, len(answer), d.score_bytes)
        ] == scores.tolist()
    assert sum(noisy.damages.values()) > 3


def test_the_page_has_every_number_of_the_definition():
    rows = dict((name, int(code)) for code, name in re.findall(r"^\| (\d+) (\w+) \|", PAGE, re.M))
    assert rows == {member.name: member.value for member in (*Kind, *Fault)}
    registers = re.findall(r"^\| (80[0-9A-F]{2}) \| (\w+) \|", PAGE, re.M)
    assert {name: int(code, 16) for code, name in registers} == {
        member.name: member.value for member in LinkRegister
    }
