# SPDX-License-Identifier: Apache-2.0
"""The Tcl for Vivado in a Tcl interpreter, where each of Vivado's commands is a stub.

A stub checks that its options are Vivado's and that the files it names are there; whether Vivado
does with them what it should is not seen here.
"""

import shutil

import pytest

from tests.hw.emit.packages.conftest import NAME

tkinter = pytest.importorskip("tkinter")

COMMANDS = {
    "add_files": {"-norecurse", "-fileset"},
    "close_project": set(),
    "create_clock": {"-name", "-period"},
    "create_project": {"-in_memory", "-part"},
    "current_fileset": set(),
    "get_ports": set(),
    "get_property": set(),
    "get_runs": set(),
    "ipx::check_integrity": set(),
    "ipx::create_xgui_files": set(),
    "ipx::current_core": set(),
    "ipx::package_project": {"-root_dir", "-vendor", "-library", "-taxonomy", "-import_files"},
    "ipx::save_core": set(),
    "ipx::update_checksums": set(),
    "launch_runs": set(),
    "open_run": set(),
    "report_timing_summary": {"-file"},
    "report_utilization": {"-hierarchical", "-file"},
    "set_property": {"-name", "-value", "-objects"},
    "update_compile_order": {"-fileset"},
    "wait_on_runs": set(),
}
"""Commands and options by the Tcl command reference of Vivado (UG835, version 2023.2)."""


class Vivado:
    """A Tcl interpreter that knows Vivado's commands by name."""

    def __init__(self, pins=(), progress="100%"):
        self.tcl, self.calls, self.pins = tkinter.Tcl(), [], pins
        for name in COMMANDS:
            self.tcl.createcommand(name, lambda *words, name=name: self.call(name, *words))
        self.tcl.eval("proc exit status {set ::left $status; error left}")
        self.tcl.createcommand("puts", lambda *words: None)
        self.progress = progress

    def call(self, name, *words):
        # A part, a run or an option of an option may begin with a dash only within braces.
        options = {w for w in words if w.startswith("-") and not w.startswith("-mode ")}
        assert options <= COMMANDS[name], f"{name} has no {options - COMMANDS[name]}"
        for word in words:
            if word.endswith((".v", ".xdc")):
                assert open(word).read(), "the file is there"
        if name == "get_ports":
            assert {*words} <= {*self.pins}
        self.calls.append((name, *words))
        return {"get_property": self.progress}.get(name, f"<{name}>")

    def source(self, path, *arguments):
        self.tcl.setvar("argc", len(arguments))
        self.tcl.setvar("argv", " ".join(f"{{{a}}}" for a in arguments))
        try:
            self.tcl.eval(f"source {{{path}}}")
        except tkinter.TclError:
            if self.tcl.eval("info exists left") == "0":
                raise
            return int(self.tcl.getvar("left"))
        return None

    def called(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def folder(generated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return generated("plain").folder


def test_the_ip_is_packaged(folder, tmp_path):
    vivado = Vivado()
    assert vivado.source(folder / "vivado" / "package_ip.tcl") is None
    assert ("-norecurse", str(folder / "rtl" / f"{NAME}.v")) in vivado.called("add_files")
    (packaged,) = vivado.called("ipx::package_project")
    assert packaged[:2] == ("-root_dir", str(tmp_path / f"{NAME}_ip"))
    assert vivado.calls[-2:] == [("ipx::save_core", "<ipx::current_core>"), ("close_project",)]


def test_the_project_builds_out_of_context_for_the_part(folder, tmp_path):
    vivado = Vivado()
    script = folder / "vivado" / "project.tcl"
    assert vivado.source(script, "xcku5p-ffvb676-2-e", "there") is None
    assert vivado.called("create_project") == [
        (NAME, str(tmp_path / "there"), "-part", "xcku5p-ffvb676-2-e")
    ]
    added = [call[-1] for call in vivado.called("add_files")]
    assert added == [
        str(folder / "rtl" / f"{NAME}.v"), str(folder / "vivado" / f"{NAME}_ooc.xdc")
    ]
    assert vivado.called("report_timing_summary") == [("-file", str(tmp_path / "there/timing.rpt"))]


def test_a_failed_run_is_reported(folder):
    vivado = Vivado(progress="34%")
    assert vivado.source(folder / "vivado" / "project.tcl") == 1
    assert not vivado.called("open_run")


@pytest.mark.parametrize("script", ["package_ip.tcl", "project.tcl"])
def test_nothing_that_exists_is_touched(folder, tmp_path, script):
    for name in (f"{NAME}_ip", f"{NAME}_project"):
        (tmp_path / name).mkdir()
    vivado = Vivado()
    assert vivado.source(folder / "vivado" / script) == 2
    assert not vivado.calls


def test_the_clock_is_that_of_the_pin(folder):
    vivado = Vivado(pins=["aclk"])
    assert vivado.source(folder / "vivado" / f"{NAME}_ooc.xdc") is None
    assert vivado.called("create_clock") == [
        ("-name", "aclk", "-period", "10.000", "<get_ports>")
    ]


def test_a_command_that_vivado_has_not_is_found(folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "broken") / "vivado" / "project.tcl"
    broken.write_text(broken.read_text().replace("wait_on_runs", "wait_for_runs"))
    with pytest.raises(tkinter.TclError, match="wait_for_runs"):
        Vivado().source(broken)
