# SPDX-License-Identifier: Apache-2.0
"""Verbs as processes: signals, pipes, full disks, locales, paths and variables of other set-ups."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecoformer.cli import main
from ecoformer.spec.workload import Workload
from tests.cli.test_cli import generate, hardware, inputs  # noqa: F401  fixtures
from tests.sim import dummy

COMMAND = [sys.executable, "-m", "ecoformer"]


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8",
        **options,
    )


def one_line(process, *parts):
    """Exit code 2 and a single line on stderr that holds ``parts``."""
    lines = process.stderr.strip().splitlines()
    assert process.returncode == 2 and len(lines) == 1, process.stderr
    assert lines[0].startswith("ecoformer: ") and all(part in lines[0] for part in parts), lines


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["generate"], "Missing option '-c'"),
        (["nope"], "No such command 'nope'"),
        (["energy", "PVTv2-B0", "--reuse", "x"], "--reuse"),
        (["energy", "[red]x"], "[red]x: unknown network"),
    ],
)
def test_a_usage_error_is_one_line(arguments, part):
    one_line(run(*arguments), part)


@pytest.mark.slow
def test_a_closed_pipe_and_a_full_disk_are_one_line():
    command = " ".join([*COMMAND, "energy", "PVTv2-B0"])
    closed = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True,
    )
    one_line(closed, "closed by its reader")
    full = subprocess.run(
        ["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True
    )
    one_line(full, "No space left on device")
    one_line(run("estimate", "-c", "smallest", "--json", "/dev/full"), "/dev/full: No space left")


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_reason_to_stop(tmp_path, closed):
    """Nor does a file that is opened later take their place, and what is printed."""
    command = " ".join([*COMMAND, "estimate -c smallest --json figures.json"])
    done = subprocess.run(["bash", "-c", f"{command} {closed}"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "figures.json"]
    json.loads((tmp_path / "figures.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("into", ["| cat >", ">"])
def test_json_goes_where_standard_output_goes(tmp_path, into):
    """And nothing that was printed before or is printed after it is lost."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    command = " ".join([*COMMAND, "estimate -c smallest"])
    printed = {}
    for name in ("figures.json", "/dev/stdout", "/proc/self/fd/1", "link"):
        script = f"set -o pipefail; {command} --json {name} {into} printed.txt"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
        assert not done.stderr
        printed[name] = (tmp_path / "printed.txt").read_text()
    alone, table = (tmp_path / "figures.json").read_text(), printed.pop("figures.json")
    for both in printed.values():
        assert alone in both and both.replace(alone, "") == table


@pytest.mark.slow
def test_json_writes_to_a_device_and_leaves_it_one(tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    assert run("energy", "PVTv2-B0", "--json", tmp_path / "null").returncode == 0
    assert Path("/dev/null").is_char_device() and (tmp_path / "null").is_symlink()


@pytest.mark.parametrize(
    "text, part",
    [
        ("head_dim = 1" + "0" * 5000, "not a TOML file"),
        ("head_dim = " + "[" * 5000, "not a TOML file"),
        ("[network]\nwidth = 1" + "0" * 400, "width must be 1…8192, not 1000"),
        ("[network]\nwidth = nan", "width must be an integer, not nan"),
        ("a." * 10_000 + "b = 1", "nested too deeply"),
        ("#" * 100_000, "100,009 bytes, more than 65,536"),
        ("[network]\ndepth = 99999999999", "depth must be"),
        ("[network]\nwidth = 8192\ndepth = 1000", "at most 100,000,000 weights"),
    ],
    ids=["digits", "nesting", "hundreds", "nan", "dots", "length", "depth", "weights"],
)
def test_numbers_and_nesting_beyond_a_parser(tmp_path, text, part):
    (tmp_path / "c.toml").write_text(text if "network" in text else f"[engine]\n{text}")
    one_line(run("energy", tmp_path / "c.toml"), part)


def test_memory_that_runs_out_is_one_line(monkeypatch, capsys):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("ecoformer.golden.energy.sources.find", exhausted)
    with pytest.raises(SystemExit) as end:
        main(["energy", "PVTv2-B0"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("ecoformer: this machine: not enough memory")


def test_random_sequences_are_bounded_by_memory(design, capsys):
    with pytest.raises(SystemExit) as end:
        main(["verify", str(design), "--random", "1000000"])
    assert end.value.code == 2
    assert "--random must be at most" in capsys.readouterr().err


@pytest.mark.slow
def test_files_are_utf_8_whatever_the_locale(tmp_path):
    (tmp_path / "größe.toml").write_text("\ufeff# Größe ≥ 5\n[network]\nwidth = 64\n", "utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = run("energy", tmp_path / "größe.toml", env=environment)
    assert process.returncode == 0, process.stderr
    environment["PYTHONIOENCODING"] = "ascii"
    assert run("energy", tmp_path / "größe.toml", env=environment).returncode == 0


@pytest.fixture
def design(hardware, inputs):  # noqa: F811
    """A stand-in engine with a long workload, in a folder whose name needs care."""
    dummy.workload(6).save(inputs / "workload.npz")
    assert generate(inputs) == 0
    folder = inputs / "my $design's"
    (inputs / "engine").rename(folder)
    return folder


@pytest.fixture
def cache(builds):
    """Builds of processes go where all builds of tests go, in folders of their own."""
    return builds / "processes"


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["COCOTB_USER_COVERAGE=1", "GPI_EXTRA=libother.so", ""])
def test_simulate_in_any_folder_and_beside_other_set_ups(design, cache, variable):
    name, _, value = variable.partition("=")
    environment = {**os.environ, **({name: value} if name else {})}
    process = run("simulate", design, "--build-dir", cache, env=environment)
    assert process.returncode == 0, process.stderr
    assert not (design / "build").exists()


def test_a_build_folder_that_make_cannot_use_is_refused(design, tmp_path):
    one_line(run("simulate", design, "--build-dir", tmp_path / "a b"), "make does not build")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_the_simulation_too(design, cache, number):
    assert run("simulate", design, "--build-dir", cache).returncode == 0  # built
    long = Workload.from_sequences([*dummy.workload(6).sequences()] * 4_000)
    long.save(design / "long.npz")
    process = subprocess.Popen(
        [*COMMAND, "simulate", str(design), "-w", str(design / "long.npz"), "--build-dir", cache],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    started = wait_for(lambda: [  # by this process: others use the same builds
        folder for folder in cache.glob("ecoformer-run-*")
        if any(descends(number, process.pid) for number in processes_in(folder))
    ])
    process.send_signal(number)
    assert process.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not any(map(processes_in, started)))
    assert run("simulate", design, "--build-dir", cache).returncode == 0
    assert not any(folder.exists() for folder in started)


def descends(number, ancestor):
    """Whether a process is another one's child, or a child of that."""
    while number > 1 and number != ancestor:
        try:
            status = Path(f"/proc/{number}/stat").read_text()
        except OSError:
            return False
        number = int(status.rpartition(")")[2].split()[1])
    return number == ancestor


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("never came true")


def processes_in(folder):
    """Numbers of the processes whose working folder is ``folder``."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(path / "cwd")) == folder:
                numbers.append(int(path.name))
        except OSError:
            continue
    return numbers
