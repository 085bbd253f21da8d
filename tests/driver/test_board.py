# SPDX-License-Identifier: Apache-2.0
"""The driver through the serial pins of simulated boards."""

import os
import random
import threading
import tty

import numpy as np
import pytest

from ecoformer.driver.device import Device
from ecoformer.driver.errors import DeviceError, EngineError, LinkError, RefusedError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.serial_port import open_serial
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.boards.top import TOP, board_verilog
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.sim.board import SimulatedBoard
from ecoformer.sim.mapped import simulation_text
from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.frames import Fault, LinkRegister
from tests.driver.conftest import BAUD, CLOCK_HZ


def check(made, x, v, sets, results):
    for tokens, values, index, result in zip(x, v, sets, results, strict=True):
        np.testing.assert_array_equal(result, made.expected(index, tokens, values))


def test_the_users_program_gets_what_the_integer_model_gives(made, builds, program, rng):
    board = made.board(builds)
    with made.device(board) as device:
        assert device.transport.frame_bytes == 64
        assert (device.transport.clock_hz, device.transport.baud) == (CLOCK_HZ, BAUD)
        check(made, *program(device, rng))
        counters = device.counters()
        assert (counters["SEQUENCES"], counters["TOKENS"]) == (6, 30)
        assert device.errors() == [] and not device.transport.faults


@pytest.mark.parametrize(
    "name, clock_hz",
    [
        ("tang-nano-9k", None),
        ("icebreaker", 24_000_000),
        pytest.param("tang-nano-9k", 40_500_000, marks=pytest.mark.full),
        pytest.param("icebreaker", None, marks=pytest.mark.full),
    ],
    ids=["gowin", "ice40-pll", "gowin-pll", "ice40"],
)
def test_boards_of_every_family_answer_at_their_own_rate(
    engine, builds, program, rng, name, clock_hz
):
    """With their oscillator and with a PLL, from power-on, with the rate of their USB bridge."""
    top = engine.top(name, clock_hz=clock_hz)
    with engine.device(engine.board(builds, top, seed=3)) as device:
        assert device.transport.clock_hz == clock_hz or clock_hz is None
        assert device.transport.baud == BOARDS[name].baud
        check(engine, *program(device, rng))
        assert device.counters()["SEQUENCES"] == 6 and device.errors() == []
        assert not device.transport.faults and not device.transport.repeats


@pytest.mark.synth
@pytest.mark.full
def test_the_cells_of_a_board_do_what_its_verilog_does(engine, builds, program, rng, tmp_path):
    """What synthesis makes of the whole board, with the pins of its serial port."""
    top = engine.top("icebreaker")
    synthesise(
        board_verilog(top), TOP, TARGETS["ice40"], tmp_path, device="up5k", units=False, pads=True
    )
    text = simulation_text(tmp_path / "netlist.v", "ice40")
    board = SimulatedBoard(text, builds, clock_hz=top.clock.hertz, baud=top.baud, seed=5)
    with engine.device(board) as device:
        check(engine, *program(device, rng))
        assert not device.transport.faults and not device.transport.repeats


def test_sequences_of_every_length_stream(engine, builds, rng):
    c = engine.config
    lengths = [1, c.max_tokens, 1, 2, c.max_tokens, 3, 1]
    sequences = [
        (i % 3, rng.integers(-128, 128, (n, c.head_dim)), rng.integers(-128, 128, (n, c.value_dim)))
        for i, n in enumerate(lengths)
    ]
    with engine.device(engine.board(builds)) as device:
        device.load()
        for sequence, result in zip(sequences, device.answer(iter(sequences)), strict=True):
            np.testing.assert_array_equal(result, engine.expected(*sequence))


def test_errors_have_names_and_cost_nothing_else(engine, builds, rng):
    c = engine.config
    x, v = rng.integers(-9, 9, (4, 2, c.head_dim)), rng.integers(-9, 9, (4, 2, c.value_dim))
    with engine.device(engine.board(builds)) as device:
        words = device.design.parameters()
        for index in (0, 2):
            device.load_set(index, words[index])
        with pytest.raises(EngineError, match="^sequence 1: UNKNOWN_SET$") as caught:
            device.attend(x, v, [0, 1, 2, 3])
        assert caught.value.names == ["UNKNOWN_SET"] and device.errors() == []
        assert device.counters()["UNKNOWN_SET"] == 2
        check(engine, x, v, [0, 2, 0, 2], device.attend(x, v, [0, 2, 0, 2]))
        with pytest.raises(RefusedError, match=r"^register 0x00: access refused"):
            device.write("ID", 1)
        with pytest.raises(ValueError, match=r"^tokens must be -128…127, not "):
            device.attend(x + 500, v)
        with pytest.raises(ValueError, match=r"^a sequence must have 1…16 tokens, not 17$"):
            device.attend(np.zeros((1, 17, 8), int), np.zeros((1, 17, 8), int))


def test_a_host_that_died_leaves_nothing_behind(engine, builds, program, rng):
    board = engine.board(builds)
    with engine.device(board) as device:
        device.load()
        packet = device.design.pack(np.ones((8, 8), int), np.ones((8, 8), int))
        from ecoformer.spec.frames import Chunk, Flag, Kind
        device.transport._ask(Kind.PACKET_IN, Chunk(0, Flag(0), packet[:8]).payload())
        board.write(b"\x7e\x03\x05")  # and in the middle of a frame
        again = engine.device(board)
        check(engine, *program(again, rng))
        device = Device(engine.folder, again.transport, reset=False)
        check(engine, x := np.ones((1, 2, 8), int), v := np.ones((1, 2, 8), int), [0],
              device.attend(x, v))


def test_a_soft_reset_aborts_the_packet_and_keeps_the_sets(engine, builds):
    from ecoformer.spec.frames import Chunk, Flag, Kind

    with engine.device(engine.board(builds)) as device:
        device.load()
        device.transport._ask(Kind.PACKET_IN, Chunk(0, Flag(0), bytes(8)).payload())
        device.soft_reset()
        assert device.errors() == ["ABORTED"]
        device.transport._ask(Kind.PACKET_IN, Chunk(0, Flag.LAST, bytes(4)).payload())
        assert device.transport._fetch(bytearray()).error
        x, v = np.ones((1, 2, 8), int), np.ones((1, 2, 8), int)
        check(engine, x, v, [0], device.attend(x, v))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.full)])
def test_noise_costs_time_and_nothing_else(engine, builds, rng, seed):
    """`benchmarks.line_noise` is the same with a thousand damages."""
    noisy = NoisyLink(engine.board(builds), random.Random(seed), 0.0)
    done = 0
    with engine.device(noisy) as device:
        device.load()
        noisy.rate = 0.004
        while sum(noisy.damages.values()) < 40:
            x, v = rng.integers(-128, 128, (2, 4, 8)), rng.integers(-128, 128, (2, 4, 8))
            check(engine, x, v, [0, 1], device.attend(x, v, [0, 1]))
            done += 2
        noisy.rate = 0.0
        assert device.counters()["SEQUENCES"] == done, "each exactly once"
        assert device.transport.repeats >= 20
        assert {Fault.CHECK, Fault.CUT, Fault.GARBAGE} <= device.transport.faults.keys()
        (bad,) = device.transport.read([LinkRegister.BAD])
        assert bad > 0


def test_a_dead_board_is_reported(engine, builds):
    class Dead:
        settle = 0.0

        def write(self, data):
            pass

        def read(self, most, timeout):
            return b""

        def time(self):
            return 0.0

    with pytest.raises(LinkError, match=r"^board: no answer to 20 requests; check cable, port"):
        FramedTransport(Dead())


def test_another_engine_is_refused(engine, builds, tmp_path):
    for name in ("manifest.json", "registers.json", "parameters.bin"):
        text = (engine.folder / name).read_bytes()
        if name == "registers.json":
            value = next(line for line in text.split(b"\n") if b'"reset"' in line and b"1" in line)
            text = text.replace(value, b'      "reset": 7,', 2)
        (tmp_path / name).write_bytes(text)
    with pytest.raises(DeviceError, match="^device: register ID is 0x45434f46, not 0x00000007"):
        Device(tmp_path, FramedTransport(engine.board(builds), timeout=300e-6))


@pytest.fixture
def port(engine, builds):
    """Name of a serial port, at whose other end a simulated board is."""
    board = engine.board(builds)
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    done = threading.Event()

    def pump():
        while not done.is_set():
            try:
                board.write(os.read(ours, 4096))
            except BlockingIOError:
                pass
            if data := board.read(4096, 50e-6):
                os.write(ours, data)

    thread = threading.Thread(target=pump)
    thread.start()
    yield os.ttyname(theirs)
    done.set()
    thread.join()
    for end in (ours, theirs):
        os.close(end)


def test_the_same_program_through_a_serial_port(engine, port, program, rng):
    with Device(engine.folder, open_serial(port, 115_200)) as device:
        check(engine, *program(device, rng))


def test_a_port_that_does_not_exist():
    with pytest.raises(LinkError, match=r"^/dev/nothing: cannot be opened \("):
        open_serial("/dev/nothing")
