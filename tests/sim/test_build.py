# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.build import build
from tests.recorded_progress import RecordedProgress
from tests.sim import dummy


def test_the_same_text_is_built_once(tmp_path):
    progress = RecordedProgress()
    first = build(dummy.engine(), tmp_path, simulator="icarus", progress=progress)
    program = first.folder / "sim.vvp"
    made = program.stat().st_mtime_ns
    (tmp_path / "engine.v").write_text(dummy.engine())
    second = build(tmp_path / "engine.v", tmp_path, simulator="icarus", progress=progress)
    assert second.folder == first.folder and program.stat().st_mtime_ns == made
    assert progress.updates == [("build", 0, 1), ("build", 1, 1)]
    assert first.top == "dummy_engine"


def test_another_text_is_another_build(tmp_path):
    first = build(dummy.engine(), tmp_path, simulator="icarus")
    second = build(dummy.engine(CODE="5'h1e"), tmp_path, simulator="icarus")
    assert first.folder != second.folder


def _build(folder):
    return str(build(dummy.engine(), folder, simulator="icarus").folder)


def test_processes_share_a_build(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        folders = pool.map(_build, [tmp_path] * 3)
    assert len(set(folders)) == 1
    assert [str(path) for path in tmp_path.iterdir() if path.is_dir()] == folders[:1]


@pytest.mark.icarus
def test_a_design_that_does_not_compile_is_one_line(tmp_path):
    text = dummy.engine().replace("assign irq = |", "assign irq = nonsense + |")
    with pytest.raises(EcoformerError, match=r"build the design: .*:\d+: error: .*nonsense") as e:
        build(text, tmp_path, simulator="icarus")
    assert "\n" not in str(e.value)
    assert not list(tmp_path.glob("icarus-*[0-9a-f]/sim.vvp"))


def test_text_without_the_pins_is_refused(tmp_path):
    with pytest.raises(EcoformerError, match="no module with the engine's pins"):
        build("module other (input aclk); endmodule", tmp_path, simulator="icarus")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EcoformerError, match=r"none\.v: cannot read Verilog"):
        build(tmp_path / "none.v", tmp_path, simulator="icarus")


def test_an_unknown_wave_format_is_refused(tmp_path):
    with pytest.raises(EcoformerError, match="no such format; choose fst or vcd"):
        build(dummy.engine(), tmp_path, simulator="icarus", waves="lxt")


@pytest.mark.icarus
def test_only_builds_are_dropped_after_a_month(tmp_path):
    """The folder may be one in which other programs keep locks, too."""
    old = f"icarus-{'0' * 20}"
    for name in ("poetry", old, "icarus-0000"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
        os.utime(tmp_path / f"{name}.lock", (0, 0))
    build(dummy.engine(), tmp_path, simulator="icarus")
    assert (tmp_path / "poetry").is_dir() and (tmp_path / "icarus-0000").is_dir()
    assert not (tmp_path / old).exists()
