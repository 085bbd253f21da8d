# SPDX-License-Identifier: Apache-2.0
"""Parameters that are loaded through the serial pins of simulated boards."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.cli.network.generate import generate_network
from ecoformer.driver.errors import DeviceError, ImageError, LoadError, TokenError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.network import DecoderDevice, GeneratedNetwork, NetworkDevice
from ecoformer.driver.transport import Packet
from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.golden.integer.network.forward import run
from ecoformer.sim.board import SimulatedBoard
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.packet import parameter_packet
from tests.driver.conftest import BAUD, CLOCK_HZ
from tests.driver.networks import generated
from tests.sim.network.decoders import TINY_DECODER
from tests.sim.network.designs import TINY

COLOURS = replace(TINY, channels=3, loadable=True)
"""Three bytes a beat, of which a load uses one."""
TOKENS = replace(TINY_DECODER, loadable=True)
OTHER_SEED = 9


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generated(COLOURS, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return generated(TOKENS, tmp_path_factory.mktemp("tokens"))


def link_of(made, builds):
    return SimulatedBoard(made[2], builds, clock_hz=CLOCK_HZ, baud=BAUD)


def test_images_are_answered_by_what_was_loaded(images, builds, tmp_path):
    folder, image, _ = images
    pixels, other = random_pixels(COLOURS, 5, 3), random_image(COLOURS, OTHER_SEED)
    (tmp_path / "other.bin").write_bytes(packet := parameter_packet(COLOURS, other))
    with NetworkDevice(folder, FramedTransport(link_of(images, builds), timeout=300e-6)) as device:
        first = run(COLOURS, image, pixels)
        np.testing.assert_array_equal(device.classify(pixels), first)
        device.load(tmp_path / "other.bin")
        second = run(COLOURS, other, pixels)
        np.testing.assert_array_equal(device.classify(pixels), second)
        assert (first != second).any()
        with pytest.raises(LoadError, match="^parameters: OTHER_DESIGN; load those that 'ecof"):
            device.load(b"\xff" + packet[1:])
        np.testing.assert_array_equal(device.classify(pixels), second)
        for bad, name in ((packet[:-1], "LENGTH"), (packet[:-1] + b"\0", "CHECKSUM")):
            with pytest.raises(LoadError, match=name) as caught:
                device.load(bad)
            assert caught.value.name == name
            with pytest.raises(ImageError, match="parameters of the network are spoilt") as caught:
                device.classify(pixels)
            assert caught.value.spoilt and caught.value.image == 0
        device.reset()  # which does not mend them
        with pytest.raises(ImageError, match="spoilt"):
            device.classify(pixels)
        device.load()  # those of the folder
        np.testing.assert_array_equal(device.classify(pixels), first)
        with pytest.raises(ValueError, match="at least one byte"):
            device.load(b"")
        assert not device.transport.faults


def test_packets_of_either_kind_are_answered_in_their_order(images, builds):
    """Sent as fast as the board takes them."""
    folder, image, _ = images
    other = random_image(COLOURS, OTHER_SEED)
    good = parameter_packet(COLOURS, other)
    pixels = random_pixels(COLOURS, 5, 5)
    with NetworkDevice(folder, FramedTransport(link_of(images, builds), timeout=300e-6)) as device:
        design = device.design
        sent = [Packet(0, design.pack(one), design.answer_bytes) for one in pixels]
        sent[2:2] = [design.pack_load(good)]
        sent[5:5] = [design.pack_load(good[:-1] + b"\0")]
        answers = [*device.transport.exchange(sent)]
        assert [answer.error for answer in answers] == [False] * 5 + [True] * 2
        scores = [design.unpack(answers[place].data) for place in (0, 1, 3, 4)]
        np.testing.assert_array_equal(scores[:2], run(COLOURS, image, pixels)[:2])
        np.testing.assert_array_equal(scores[2:], run(COLOURS, other, pixels)[2:4])
        assert [int.from_bytes(answers[place].data, "little") for place in (2, 5, 6)] == [0, 1, 1]


def test_tokens_are_answered_by_what_was_loaded(tokens, builds):
    folder, image, _ = tokens
    other = random_image(TOKENS, OTHER_SEED)
    rows = [(1, 0, True), (2, 0, False), (4, 2, True), (0, 2, False)]

    def expected(image):
        contexts = Contexts(TOKENS, image)
        return [contexts.take(*row)[1]["scores"] for row in rows]

    with DecoderDevice(folder, FramedTransport(link_of(tokens, builds), timeout=300e-6)) as device:
        np.testing.assert_array_equal(device.answers(rows), expected(image))
        packet = parameter_packet(TOKENS, other)
        device.load(packet)
        with pytest.raises(TokenError, match="token 0: CONTEXT_LOST; begin its context again"):
            device.answers([(3, 0, False)])
        np.testing.assert_array_equal(device.answers(rows), expected(other))
        with pytest.raises(LoadError, match="CHECKSUM"):
            device.load(packet[:-1] + bytes([packet[-1] ^ 1]))
        with pytest.raises(TokenError, match="token 0: NO_PARAMETERS; load them"):
            device.answers(rows)
        device.load()
        np.testing.assert_array_equal(device.answers(rows), expected(image))


def test_noise_costs_a_load_time_and_nothing_else(tokens, builds):
    folder, _, _ = tokens
    other = random_image(TOKENS, OTHER_SEED)
    noisy = NoisyLink(link_of(tokens, builds), random.Random(3), 0.0)
    with DecoderDevice(folder, FramedTransport(noisy, timeout=300e-6)) as device:
        noisy.rate = 0.003
        device.load(parameter_packet(TOKENS, other))
        assert sum(noisy.damages.values()) > 3
        noisy.rate = 0.0
        scores = Contexts(TOKENS, other).take(1, 0, True)[1]["scores"]
        np.testing.assert_array_equal(device.answers([(1, 0, True)])[0], scores)


def test_a_board_is_recognised_whatever_it_has_loaded(images, builds, tmp_path):
    """The folder of other parameters of the same design."""
    folder, _, _ = images
    (tmp_path / "network.toml").write_text(COLOURS.as_toml())
    generate_network(tmp_path / "network.toml", None, tmp_path / "other", seed=5)
    transport = FramedTransport(link_of(images, builds), timeout=300e-6)
    with NetworkDevice(tmp_path / "other", transport) as device:
        device.load()
        pixels = random_pixels(COLOURS, 5, 2)
        image = NetworkImage.load(tmp_path / "other" / "network.safetensors", COLOURS)
        np.testing.assert_array_equal(device.classify(pixels), run(COLOURS, image, pixels))


def test_a_network_that_loads_nothing_says_so(images, tmp_path):
    shutil.copytree(images[0], tmp_path / "chip")
    facts = json.loads((tmp_path / "chip" / "manifest.json").read_text())
    del facts["streams"]["s_axis_load"]
    (tmp_path / "chip" / "manifest.json").write_text(json.dumps(facts))
    assert not GeneratedNetwork(tmp_path / "chip").loadable
    device = NetworkDevice.__new__(NetworkDevice)
    device.design = GeneratedNetwork(tmp_path / "chip")
    with pytest.raises(DeviceError, match="parameters cannot be loaded; generate it with 'loadab"):
        device.load()
