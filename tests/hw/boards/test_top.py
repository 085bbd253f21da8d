# SPDX-License-Identifier: Apache-2.0
"""The pins of every board, and the Verilog of one."""

import re

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.board import SerialCore
from ecoformer.hw.boards.catalogue import BOARDS, find_board
from ecoformer.hw.boards.cores import EngineCore
from ecoformer.hw.boards.top import BoardTop, board_verilog, constraints
from ecoformer.hw.emit.verilog import emit
from ecoformer.spec.config import Config

PADS = {
    # clk, rx, tx, light and the oscillator in MHz, from the constraints of the boards' makers
    "ulx3s": ("G2", "M1", "L4", "B2", 25),
    "icepi-zero": ("M1", "K16", "K15", "E13", 50),
    "orangecrab": ("A9", "N17", "M18", "M3", 48),
    "tang-nano-9k": ("52", "18", "17", "10", 27),
    "icebreaker": ("35", "6", "9", "11", 12),
}
SITES = {
    "ecp5": r'LOCATE COMP "(\w+)" SITE "(\w+)";',
    "gowin": r'IO_LOC "(\w+)" (\w+);',
    "ice40": r"set_io(?: -pullup yes)? (\w+) (\w+)\n",
}
REST = {
    # what else the constraints hold
    "ulx3s": ['FREQUENCY PORT "clk" 25 MHZ;', 'IOBUF PORT "light" IO_TYPE=LVCMOS33 DRIVE=4;'],
    "icepi-zero": ['FREQUENCY PORT "clk" 50 MHZ;'],
    "orangecrab": ['FREQUENCY PORT "clk" 48 MHZ;'],
    "tang-nano-9k": [
        'IO_PORT "rx" PULL_MODE=UP IO_TYPE=LVCMOS33;', 'IO_PORT "light" IO_TYPE=LVCMOS18;',
    ],
    "icebreaker": ["set_frequency clk 12", "set_io -pullup yes rx 6"],
}
CONFIG = Config(
    head_dim=5, value_dim=3, code_bits=6, anchors=7, max_tokens=8, parameter_sets=3,
    cycles_per_token=8, bus_bytes=4,
)
CLOCK_HZ = 100_000_000


def top(board, **options):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    return BoardTop(
        board, board.devices[0], EngineCore(CONFIG),
        **{"clock_hz": CLOCK_HZ, "baud": 3_000_000} | options,
    )


def test_every_board_is_in_the_table():
    assert BOARDS.keys() == PADS.keys()
    with pytest.raises(EcoformerError, match="^board 'abacus': not known; choose ulx3s, "):
        find_board("abacus")


@pytest.mark.parametrize("name", PADS)
def test_pins_and_oscillator_are_those_of_the_board(name):
    board = BOARDS[name]
    text = constraints(top(board))
    *pads, frequency = PADS[name]
    assert dict(re.findall(SITES[board.target], text)) == dict(
        zip(("clk", "rx", "tx", "light"), pads)
    )
    assert board.oscillator(board.devices[0]) == frequency * 1_000_000
    assert set(REST[name]) <= set(text.splitlines())
    assert text.count("IO_TYPE=") in (0, 4)


@pytest.mark.parametrize("name", PADS)
def test_defaults_are_those_of_the_board(name):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    board = BOARDS[name]
    made = BoardTop(board, board.devices[0], EngineCore(CONFIG))
    assert made.clock.hertz == (board.clock_hz or PADS[name][-1] * 1_000_000)
    assert (made.baud, made.frame_bytes) == (board.baud, board.frame_bytes)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_device_has_pins(board):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    for device in board.devices:
        assert board.pads(device).keys() == {"clk", "rx", "tx", "light"}


@pytest.mark.slow
def test_a_board_holds_the_engine_that_is_generated():
    text = board_verilog(top(BOARDS["ulx3s"]))
    assert text.endswith(emit(CONFIG)) and text.count("\nmodule ecoformer_engine(") == 1
    instance = re.search(r"ecoformer_engine \S+ \((.*?)\);", text, re.DOTALL)[1]
    header = re.search(r"\nmodule ecoformer_engine\((.*?)\);", text, re.DOTALL)[1]
    assert set(re.findall(r"\.(\w+)\(", instance)) == set(re.findall(r"\w+", header))
    assert re.search(r"EHXPLLL #\(", text)
    assert "initial" not in text.split("module ecoformer_engine")[0], "reset alone brings it up"


def test_what_cannot_be_built_is_refused():
    for options, why in (
        ({"baud": 30_000_000}, "^board: baud must be 1…25000000, a quarter of the clock, not 3"),
        ({"frame_bytes": 8}, "^board: frame_bytes must be a multiple of 4 in 12…32768, not 8; ch"),
        ({"clock_hz": 1}, "^clock 1e-06 MHz: the PLL cannot make it"),
    ):
        with pytest.raises(EcoformerError, match=why):
            top(BOARDS["ulx3s"], **options)


@pytest.mark.parametrize(
    "changes, pin",
    [({"mask": "causal"}, "s_axis_tuser"), ({"tkeep": True}, "s_axis_tkeep"),
     ({"mask": "causal", "contexts": 2, "tuser_width": 0}, "s_axis_tid")],
)
def test_pins_that_the_host_link_does_not_drive_are_refused_by_name(changes, pin):
    board = SerialCore(
        EngineCore(Config(**changes)), clock_hz=100_000_000, baud=1_000_000, frame_bytes=64
    )
    with pytest.raises(EcoformerError, match=f"^board: the host link .* the engine's pin {pin} is"):
        board.elaborate(None)


@pytest.mark.parametrize("low", [False, True])
def test_the_error_bit_is_where_the_engine_has_it(low):
    board = SerialCore(
        EngineCore(Config(tuser_width=3, error_low=low)), clock_hz=100_000_000, baud=1_000_000,
        frame_bytes=64,
    )
    m = board.elaborate(None)
    user, _ = m.submodules.engine.ports["m_axis_tuser"]
    widths = [len(part) for part in user.parts]
    assert widths == ([1, 3] if low else [3, 1])
