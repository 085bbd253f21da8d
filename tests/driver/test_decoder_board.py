# SPDX-License-Identifier: Apache-2.0
"""Tokens in and scores out through the serial pins of a simulated board that holds a decoder."""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ecoformer.cli.network.generate import generate_network
from ecoformer.driver.errors import DeviceError, TokenError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.network import DecoderDevice, GeneratedDecoder, GeneratedNetwork
from ecoformer.driver.transport import Packet
from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.golden.quantize.writing import Writer, integer_answers
from ecoformer.sim.board import SimulatedBoard
from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.frames import Chunk, Flag, Kind
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.decoder import TokenError as Cause
from ecoformer.spec.network.image import NetworkImage
from tests.driver.conftest import BAUD, CLOCK_HZ
from tests.driver.networks import generated
from tests.driver.test_files import PIPE
from tests.driver.test_files import run as run_host
from tests.golden.integer.network.decoders import DECODERS, make_decoder
from tests.sim.network.designs import TINY

SCORES = DECODERS["two lanes"]
OTHERS = {
    "one context": make_decoder(
        {"contexts": 1, "code_bits": 2}, vocabulary=3, positions=4, width=4, heads=1, hidden=8,
        cycles_per_token=20,
    ),
    "best token, two bytes": make_decoder(
        {"contexts": 3, "code_bits": 2}, vocabulary=300, positions=3, width=4, heads=1, hidden=8,
        cycles_per_token=80, answer="best",
    ),
}
PROGRAM = """
from driver.framed import FramedTransport
from driver.network import DecoderDevice

with DecoderDevice(".", FramedTransport(Pipe(), timeout=5)) as device:
    np.save("scores.npy", device.answers([(1, 0, True), (0, 1, True), (2, 0, False)]))
"""


@dataclass
class Made:
    """A generated decoder, and the Verilog of its board."""

    design: DecoderDesign
    image: NetworkImage
    folder: Path
    verilog: str

    def expected(self, rows):
        """What the integer network answers to rows that begin their contexts, or their errors."""
        contexts = Contexts(self.design, self.image)
        found = [contexts.take(*row) for row in rows]
        scores = [error or tensors["scores"] for error, tensors in found]
        return scores if self.design.answer == "scores" else [one.argmax() for one in scores]

    def rows(self, seed, count):
        """Random tokens of all contexts in any order, each begun before it is full."""
        rng, used, rows = np.random.default_rng(seed), {}, []
        for token in rng.integers(0, self.design.vocabulary, count).tolist():
            context = int(rng.integers(self.design.contexts))
            begins = used.get(context, self.design.positions) == self.design.positions
            used[context] = 1 if begins else used[context] + 1
            rows.append((token, context, begins))
        return rows

    def board(self, builds):
        """Its board, simulated."""
        return SimulatedBoard(self.verilog, builds, clock_hz=CLOCK_HZ, baud=BAUD)

    def device(self, link, **options):
        """The driver's device behind a link."""
        return DecoderDevice(self.folder, FramedTransport(link, timeout=300e-6), **options)


def make(design, folder):
    """Generate a decoder and its board."""
    chip, image, verilog = generated(design, folder)
    return Made(design, image, chip, verilog)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make(SCORES, tmp_path_factory.mktemp("decoder"))


def test_answers_are_those_of_the_integer_network(made, builds):
    rows = made.rows(5, 40)
    with made.device(made.board(builds)) as device:
        scores = np.concatenate([device.answers(rows[:25]), device.answers(rows[25:])])
        assert scores.dtype == np.int64
        np.testing.assert_array_equal(scores, made.expected(rows))
        assert len(np.unique(scores, axis=0)) > 20, "answers differ"
        assert device.answers([]).shape == (0, SCORES.vocabulary)
        assert not device.transport.faults and not device.transport.repeats


@pytest.mark.parametrize("name", OTHERS)
def test_answers_of_other_kinds(name, builds, tmp_path):
    made = make(OTHERS[name], tmp_path)
    rows = made.rows(6, 12)
    with made.device(made.board(builds)) as device:
        np.testing.assert_array_equal(device.answers(rows), made.expected(rows))


def test_what_a_board_writes_is_what_the_integer_network_writes(made, builds):
    with made.device(made.board(builds)) as device:
        written = Writer(SCORES, device.answers, 1e-3, seed=4).write(4)
    assert written == Writer(SCORES, integer_answers(SCORES, made.image), 1e-3, seed=4).write(4)


def test_a_run_of_tokens_begins_its_context_once(made, builds):
    tokens = [3, 1, 20, 7]
    rows = [(token, 2, place == 0) for place, token in enumerate(tokens)]
    packet = Chunk(2 << 1 | 1, Flag.LAST, bytes(tokens)).payload()
    with made.device(made.board(builds)) as device:
        device.transport._ask(Kind.PACKET_IN, packet)
        gathered, answers, users = bytearray(), [], set()
        while len(answers) < len(tokens):
            if payload := device.transport._ask(Kind.PACKET_OUT).payload:
                chunk = Chunk.of(payload)
                users.add(chunk.user)
                gathered += chunk.data
                if chunk.flags & Flag.LAST:
                    answers.append(device.design.unpack(bytes(gathered)))
                    gathered.clear()
        assert users == {2 << 1}
        np.testing.assert_array_equal(answers, made.expected(rows))
        more = [(5, 2, False), (6, 0, True)]  # after a run, a packet begins as ever
        np.testing.assert_array_equal(device.answers(more), made.expected(rows + more)[-2:])


def test_errors_are_named_and_a_context_can_begin_again(made, builds):
    rows = [(1, 1, True), *((2, 1, False),) * SCORES.positions]
    with made.device(made.board(builds)) as device:
        with pytest.raises(TokenError, match="^token 5: TOO_LONG; begin its context again$") as bad:
            device.answers(rows)
        assert (bad.value.token, bad.value.name) == (5, Cause.TOO_LONG.name)
        with pytest.raises(TokenError, match="^token 1: CONTEXT_LOST; begin its context again$"):
            device.answers([(1, 0, True), (1, 1, False), (1, 0, False)])
        unknown = list(device.transport.exchange([Packet(1 << 1 | 1, bytes([27]), 0)]))
        assert [(one.error, one.data[0]) for one in unknown] == [(True, Cause.NO_TOKEN)]
        again = [(4, 1, True), (3, 0, True)]
        np.testing.assert_array_equal(device.answers(again), made.expected(again))


def test_tokens_and_contexts_that_there_are_not_are_refused_before_any_is_sent(made, builds):
    with made.device(made.board(builds)) as device:
        for row, what in (
            ((27, 0, True), "token must be 0…26, not 27"), ((-1, 0, True), "token must be"),
            ((0, 3, True), "context must be 0…2, not 3"),
        ):
            with pytest.raises(ValueError, match=what):
                device.answers([(1, 0, True), row])
        with pytest.raises(TokenError, match="^token 0: CONTEXT_LOST"):
            device.answers([(1, 0, False)])


def test_contexts_stay_unless_the_board_is_reset(made, builds):
    rows, board = [(1, 0, True), (2, 0, False), (3, 0, False)], made.board(builds)
    want = made.expected(rows)
    np.testing.assert_array_equal(made.device(board).answers(rows[:2]), want[:2])
    np.testing.assert_array_equal(made.device(board, reset=False).answers(rows[2:]), want[2:])
    with pytest.raises(TokenError):
        made.device(board).answers(rows[2:])
    np.testing.assert_array_equal(made.device(board).answers(rows), want)


def test_noise_costs_time_and_nothing_else(made, builds):
    noisy = NoisyLink(made.board(builds), random.Random(3), 0.0)
    with made.device(noisy) as device:
        noisy.rate, done = 0.004, 0
        while sum(noisy.damages.values()) < 10:
            rows = made.rows(done, 9)
            np.testing.assert_array_equal(device.answers(rows), made.expected(rows))
            done += 1
        noisy.rate = 0.0
        assert device.transport.repeats >= 4


def test_the_folder_needs_nothing_of_ecoformer(made, builds):
    status, errors = run_host(
        [sys.executable, "-c", PIPE + PROGRAM], made.board(builds), cwd=made.folder
    )
    assert status == 0, errors.decode()
    rows = [(1, 0, True), (0, 1, True), (2, 0, False)]
    np.testing.assert_array_equal(np.load(made.folder / "scores.npy"), made.expected(rows))


def test_networks_of_either_kind_are_told_apart(made, tmp_path):
    with pytest.raises(DeviceError, match=f"^{made.folder}: holds a decoder, which takes no image"):
        GeneratedNetwork(made.folder)
    (tmp_path / "network.toml").write_text(TINY.as_toml())
    generate_network(tmp_path / "network.toml", None, tmp_path / "chip", seed=4)
    with pytest.raises(DeviceError, match="chip: holds a network for images, which takes no toke"):
        GeneratedDecoder(tmp_path / "chip")
