# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time

import pytest

from ecoformer.processes import child, scratch

FAMILY = "sleep 300 & echo $! > child; sleep 300 & echo $! > other; wait"
"""A command with children of its own, which say their numbers."""
OWNER = """
import sys
from ecoformer.processes import child, scratch
with scratch(".", "run-") as folder, child(["sh", "-c", sys.argv[1]]) as process:
    process.wait()
"""


def pids(folder, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        texts = [p.read_text() for name in ("child", "other") if (p := folder / name).exists()]
        if len(texts) == 2 and all(texts):
            return [int(text) for text in texts]
        time.sleep(0.02)
    raise AssertionError("the command did not start")


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except OSError:
        return False


def test_leaving_the_block_ends_the_command_and_its_children(tmp_path):
    with child(["sh", "-c", FAMILY], cwd=tmp_path) as process:
        family = pids(tmp_path)
        assert all(map(lives, family)) and process.poll() is None
    assert not any(map(lives, family)) and process.poll() is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_owner_ends_the_children(tmp_path, number):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, FAMILY], cwd=tmp_path)
    family = pids(tmp_path)
    owner.send_signal(number)
    owner.wait()
    end = time.monotonic() + 30  # two seconds, on a machine with nothing else to do
    while any(map(lives, family)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(lives, family))


def test_the_status_is_the_commands(tmp_path):
    for command, status in (("exit 3", 3), ("kill -9 $$", 137), ("true", 0)):
        with child(["sh", "-c", command]) as process:
            assert process.wait() == status
    with child(["no-such-program"], stderr=subprocess.PIPE, text=True) as process:
        assert "no-such-program" in process.stderr.read() and process.wait() == 127


def test_a_command_that_ends_takes_what_it_left_in_the_background(tmp_path):
    many = "for i in $(seq 50); do sleep 300 & echo $!; done > children"
    with child(["sh", "-c", many], cwd=tmp_path) as process:
        process.wait()
        left = [int(pid) for pid in (tmp_path / "children").read_text().split()]
        assert len(left) == 50 and not any(map(lives, left))


def test_scratch_folders_of_killed_owners_go_and_all_others_stay(tmp_path):
    with scratch(tmp_path, "run-") as mine:
        for name in ("ecoformer-run-01234567", "run-mine", "ecoformer-run-of-mine"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text("")
        with scratch(tmp_path, "run-") as second:
            assert {*os.listdir(tmp_path)} == {
                mine.name, second.name, "run-mine", "ecoformer-run-of-mine",
            }
    assert sorted(os.listdir(tmp_path)) == ["ecoformer-run-of-mine", "run-mine"]


def test_processes_that_name_the_same_folder_enter_one_by_one(tmp_path):
    program = (
        "import os, sys, time; from ecoformer.processes import alone\n"
        "with alone(sys.argv[1]):\n"
        "    print('in', flush=True); time.sleep(0.2); print('out', flush=True)"
    )
    with (tmp_path / "log").open("w") as log:
        runs = [
            subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=log)
            for _ in range(3)
        ]
        assert [run.wait() for run in runs] == [0, 0, 0]
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 3
