# SPDX-License-Identifier: Apache-2.0
import signal
import subprocess
import sys

import pytest

FINALISER = """
import signal, sys, time
from ecoformer.cli.ending import Ended, signals_as_exceptions

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it

class Left:
    def __del__(self):
        print("in", flush=True)
        sys.stdin.read(1)

try:
    with signals_as_exceptions():
        Left()  # what is raised in its finaliser is dropped
        time.sleep(60)
        print("went on")
except Ended as end:
    print(f"ended by {int(end.number)}")
except KeyboardInterrupt:
    print("ended by 2")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_a_finaliser_swallows_ends_the_command_all_the_same(number):
    with subprocess.Popen(
        [sys.executable, "-c", FINALISER], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == "in\n"
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert said == f"ended by {int(number)}\n"


def test_other_errors_in_a_finaliser_are_told_as_ever():
    failing = FINALISER.replace('print("in", flush=True)', "1 / 0").replace("sleep(60)", "sleep(0)")
    reply = subprocess.run(
        [sys.executable, "-c", failing], capture_output=True, text=True, check=True, timeout=30
    )
    assert "ZeroDivisionError" in reply.stderr and reply.stdout == "went on\n"


def test_a_hook_that_was_there_before_still_hears_of_them():
    heard = FINALISER.replace('print("in", flush=True)', "1 / 0").replace("sleep(60)", "sleep(0)")
    heard = heard.replace("class Left", "sys.unraisablehook = lambda _: print('heard')\nclass Left")
    reply = subprocess.run(
        [sys.executable, "-c", heard], capture_output=True, text=True, check=True, timeout=30
    )
    assert reply.stdout == "heard\nwent on\n" and not reply.stderr
