# SPDX-License-Identifier: Apache-2.0
"""Images in and scores out through the serial pins of a simulated board that holds a network."""

import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ecoformer.cli.network.generate import generate_network
from ecoformer.driver.device import Device
from ecoformer.driver.errors import DeviceError, ImageError, RefusedError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.network import GeneratedNetwork, NetworkDevice
from ecoformer.driver.transport import Packet
from ecoformer.golden.integer.network.forward import run
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.boards.cores import NetworkCore
from ecoformer.hw.boards.top import BoardTop, board_verilog
from ecoformer.sim.board import SimulatedBoard
from ecoformer.sim.network.stimulus import random_pixels
from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.frames import Chunk, Flag, Kind, LinkRegister
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from tests.driver.conftest import BAUD, CLOCK_HZ
from tests.driver.test_files import PIPE
from tests.driver.test_files import run as run_host
from tests.sim.network.designs import TINY

PROGRAM = """
from driver.framed import FramedTransport
from driver.network import NetworkDevice

images = np.load("images.npy")
with NetworkDevice(".", FramedTransport(Pipe(), timeout=5)) as device:
    np.save("scores.npy", device.classify(images))
"""
FRAME_BYTES = 64
DESIGN = replace(TINY, image_size=4, channels=4, patch=2, classes=17, cycles_per_token=40)
"""An image is 64 bytes and its scores are 68: two chunks either way."""


@dataclass
class Made:
    """A generated network, and the Verilog of its board."""

    design: NetworkDesign
    image: NetworkImage
    folder: Path
    verilog: str

    def expected(self, pixels):
        """Scores of the integer network."""
        return run(self.design, self.image, pixels)

    def pixels(self, seed, count):
        """Random images."""
        return random_pixels(self.design, seed, count)

    def board(self, builds, **options):
        """Its board, simulated."""
        return SimulatedBoard(self.verilog, builds, clock_hz=CLOCK_HZ, baud=BAUD, **options)

    def device(self, link, **options):
        """The driver's device behind a link."""
        return NetworkDevice(self.folder, FramedTransport(link, timeout=300e-6), **options)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    folder = tmp_path_factory.mktemp("network")
    (folder / "network.toml").write_text(DESIGN.as_toml())
    generate_network(folder / "network.toml", None, folder / "chip", seed=4)
    folder = folder / "chip"
    image = NetworkImage.load(folder / "network.safetensors", DESIGN)
    top = BoardTop(BOARDS["ulx3s"], "85k", NetworkCore(DESIGN, image), clock_hz=CLOCK_HZ,
                   baud=BAUD, frame_bytes=FRAME_BYTES)
    return Made(DESIGN, image, folder, board_verilog(top))


def test_scores_are_those_of_the_integer_network(made, builds):
    pixels = made.pixels(5, 8)
    with made.device(made.board(builds)) as device:
        assert device.transport.frame_bytes == FRAME_BYTES
        scores = device.classify(pixels)
        assert scores.dtype == np.int64 and scores.shape == (8, DESIGN.classes)
        np.testing.assert_array_equal(scores, made.expected(pixels))
        assert len(np.unique(scores)) > DESIGN.classes, "images differ"
        assert device.classify(pixels[:0]).shape == (0, DESIGN.classes)
        assert not device.transport.faults and not device.transport.repeats


def test_the_board_holds_the_module_that_is_generated(made):
    (path,) = (made.folder / "rtl").glob("*.v")
    assert made.verilog.endswith(path.read_text())
    assert made.verilog.count("\nmodule ecoformer_network(") == 1


def test_the_folder_needs_nothing_of_ecoformer(made, builds):
    np.save(made.folder / "images.npy", pixels := made.pixels(9, 3))
    status, errors = run_host(
        [sys.executable, "-c", PIPE + PROGRAM], made.board(builds), cwd=made.folder
    )
    assert status == 0, errors.decode()
    np.testing.assert_array_equal(np.load(made.folder / "scores.npy"), made.expected(pixels))


def test_registers_say_what_the_board_holds_and_there_are_no_others(made, builds):
    with made.device(made.board(builds)) as device:
        registers = device.design.registers
        assert registers.keys() == {"ID", "VERSION", "FINGERPRINT"}
        found = device.transport.read([register.offset for register in registers.values()])
        assert found == [register.reset for register in registers.values()]
        assert found[0].to_bytes(4, "big") == b"ECON"
        for register in registers.values():
            with pytest.raises(RefusedError, match=f"^register 0x{register.offset:02x}: "):
                device.transport.write([(register.offset, 1)])
        for offset in (0x01, 0x0C, 0xFC, 0x100, 0x8888):
            with pytest.raises(RefusedError, match=f"^register 0x{offset:02x}: access refused"):
                device.transport.read([offset])
            with pytest.raises(RefusedError, match=f"^register 0x{offset:02x}: access refused"):
                device.transport.write([(offset, 1)])
        assert device.transport.read([LinkRegister.BAD]) == [0]
        pixels = made.pixels(6, 1)
        np.testing.assert_array_equal(device.classify(pixels), made.expected(pixels))


def test_noise_costs_time_and_nothing_else(made, builds):
    noisy = NoisyLink(made.board(builds), random.Random(3), 0.0)
    with made.device(noisy) as device:
        noisy.rate, done = 0.004, 0
        while sum(noisy.damages.values()) < 20:
            pixels = made.pixels(done, 4)
            np.testing.assert_array_equal(device.classify(pixels), made.expected(pixels))
            done += 4
        noisy.rate = 0.0
        assert device.transport.repeats >= 8 and device.transport.faults
        assert device.transport.read([LinkRegister.BAD])[0] > 0


def test_a_bad_image_is_an_error_and_costs_nothing_else(made, builds):
    pixels = made.pixels(7, 4)
    with made.device(made.board(builds)) as device:
        good = [device.design.pack(image) for image in pixels]
        pixel = device.design.bus_bytes
        pieces = [good[0], good[1][:-pixel], good[2], good[3] + good[0][:pixel], good[3]]
        answers = list(device.transport.exchange(Packet(0, data, 0) for data in pieces))
        assert [answer.error for answer in answers] == [False, True, False, True, False]
        assert answers[1].data == answers[3].data == bytes(DESIGN.score_bytes)
        scores = [device.design.unpack(answers[place].data) for place in (0, 2, 4)]
        np.testing.assert_array_equal(scores, made.expected(pixels[[0, 2, 3]]))
        leave_part_of(device)
        with pytest.raises(ImageError, match="^image 0: the network finds its size wrong; ") as bad:
            device.classify(pixels)
        assert bad.value.image == 0
        np.testing.assert_array_equal(device.classify(pixels), made.expected(pixels))


def test_a_reset_drops_what_a_host_left_behind(made, builds):
    pixels, board = made.pixels(8, 3), made.board(builds)
    device = made.device(board)
    leave_part_of(device)
    device.reset()
    np.testing.assert_array_equal(device.classify(pixels), made.expected(pixels))
    leave_unanswered(device, pixels[1])
    leave_part_of(device)
    board.write(b"\x7e\x03\x05")  # and in the middle of a frame
    again = made.device(board)
    np.testing.assert_array_equal(again.classify(pixels), made.expected(pixels))
    leave_part_of(again)
    with pytest.raises(ImageError):
        made.device(board, reset=False).classify(pixels)


def leave_part_of(device):
    """A pixel of an image that never ends."""
    pixel = bytes(device.design.bus_bytes)
    device.transport._ask(Kind.PACKET_IN, Chunk(0, Flag(0), pixel).payload())


def leave_unanswered(device, image):
    """An image whose scores nobody fetches."""
    for chunk in device.transport._chunks(Packet(0, device.design.pack(image), 0)):
        while device.transport._is_refused(chunk):
            pass


def test_other_arrays_are_refused(made, builds):
    with made.device(made.board(builds)) as device:
        for images in (
            made.pixels(1, 2)[0], made.pixels(1, 2).astype(np.int64), made.pixels(1, 2)[..., 1:],
        ):
            with pytest.raises(ValueError, match=r"^images must be uint8 \[B, 4, 4, 4\], not "):
                device.classify(images)


def test_engines_and_networks_are_told_apart(made, engine, builds):
    with pytest.raises(DeviceError, match=f"^{engine.folder}: holds an engine, not a network"):
        GeneratedNetwork(engine.folder)
    with pytest.raises(DeviceError, match=f"^{made.folder}: holds a network, not an engine"):
        Device(made.folder, FramedTransport(made.board(builds), timeout=300e-6))
    found = r"^device: register ID is 0x{}, not 0x{}; load the bitstream of {}$"
    with pytest.raises(DeviceError, match=found.format("45434f46", "45434f4e", made.folder)):
        made.device(engine.board(builds))
    with pytest.raises(DeviceError, match=found.format("45434f4e", "45434f46", engine.folder)):
        engine.device(made.board(builds))


def test_a_network_with_other_parameters_is_another_one(made, builds, tmp_path):
    generate_network(made.folder / "network.toml", None, tmp_path / "chip", seed=5)
    with pytest.raises(DeviceError, match="^device: register FINGERPRINT is 0x"):
        NetworkDevice(tmp_path / "chip", FramedTransport(made.board(builds), timeout=300e-6))
