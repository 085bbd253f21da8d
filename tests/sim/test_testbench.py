import subprocess

import numpy as np
import pytest

from sim.testbench import write_testbench
from sim.verify import expected_outputs
from tests import needs
from tests.sim import dummy

pytestmark = needs.icarus


def run(folder, text, *arguments):
    (folder / "rtl").mkdir()
    (folder / "rtl" / "dummy_engine.v").write_text(text)
    write_testbench(folder, dummy.CONFIG, dummy.image(), dummy.workload(9), name="dummy_engine")
    subprocess.run(
        ["iverilog", "-g2005", "-o", "tb.vvp", "tb/tb_dummy_engine.v", "rtl/dummy_engine.v"],
        cwd=folder, check=True,
    )  # fmt: skip
    reply = subprocess.run(
        ["vvp", "-n", "tb.vvp", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return reply.stdout.splitlines()


@pytest.mark.parametrize("arguments", [(), ("+gaps",)], ids=["full-rate", "gaps"])
def test_a_good_engine_passes(tmp_path, arguments):
    lines = run(tmp_path, dummy.engine(), *arguments)
    beats = dummy.workload(9).lengths.sum()
    assert len(lines) == 1 and lines[0].startswith(f"PASS: {beats} of {beats} beats as expected in")


@pytest.mark.parametrize(
    "old, new, why",
    [
        ("{o1, o0}", "{o1, o0 ^ (sequences == 3 && sent == 1)}", "FAIL: 1 differences"),
        ("m_axis_tuser = {bad, set}", "m_axis_tuser = {bad, ~set}", "FAIL"),
        ("(sent + 8'd1 == count)", "1'b0", "FAIL"),
        ("answering <= 1;", "answering <= sequences != 3;", "nothing has moved for"),
        ("answering <= 0; count", "answering <= sequences == 8; count", "nobody asked for it"),
        ("s_axil_bresp = 2'd0", "s_axil_bresp = 2'd2", "is answered 10"),
        ("assign s_axil_awready = ", "assign s_axil_awready = 1'b0 & ", "nothing has moved for"),
    ],
)
def test_a_broken_engine_fails(tmp_path, old, new, why):
    assert old in dummy.engine()
    lines = run(tmp_path, dummy.engine().replace(old, new))
    assert lines[-1].startswith("FAIL: ")
    assert any(why in line for line in lines)


def test_the_expected_outputs_are_kept(tmp_path):
    run(tmp_path, dummy.engine())
    want = [out for out, _ in expected_outputs(dummy.CONFIG, dummy.image(), dummy.workload(9))]
    with np.load(tmp_path / "vectors" / "expected.npz") as file:
        np.testing.assert_array_equal(file["outputs"], np.concatenate(want))


def test_the_text_is_ascii_and_names_no_folder(tmp_path):
    run(tmp_path, dummy.engine())
    text = (tmp_path / "tb" / "tb_dummy_engine.v").read_text()
    assert text.isascii() and str(tmp_path) not in text and "@" not in text.replace("@(", "")
