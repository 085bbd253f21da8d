# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest

from ecoformer.cli import main
from ecoformer.golden.energy.named import NETWORKS


def ecoformer(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def test_one_network_as_table_and_json(tmp_path, capsys):
    path = tmp_path / "e.json"
    assert ecoformer("energy", "pvtv2-b0", "--json", path) == 0
    out = capsys.readouterr().out
    for words in ("9.25", "2.49", "73%", "attention alone", "whole network", "DRAM", "Horowitz"):
        assert words in out
    (figures,) = json.loads(path.read_text())["networks"]
    assert figures["image_size"] == 224 and figures["code_bits"] == 16
    paper = figures["accountings"]["paper"]["ecoformer"]
    assert f"{paper['network']['energy_pj'] / 1e9:.1f}" == "2.5"
    attention = [layer for layer in paper["layers"] if layer["kind"] == "ecoformer"]
    assert len(attention) == 6
    for layer in attention:
        for kind in ("multiplication", "addition"):
            counted = sum(o["count"] for o in layer["operations"] if o["kind"] == kind)
            assert counted == layer[f"{kind}s"]


@pytest.mark.slow
def test_all_networks(capsys):
    assert ecoformer("energy", "all", "--accounting", "paper") == 0
    out = capsys.readouterr().out
    for name in NETWORKS:
        assert name in out
    assert "honest accounting" not in out and "44.25" in out


def test_list(capsys):
    assert ecoformer("energy", "--list") == 0
    assert capsys.readouterr().out.split() == list(NETWORKS)


def test_options_change_the_counts(tmp_path):
    def energy(*options):
        path = tmp_path / "e.json"
        assert ecoformer("energy", "PVTv2-B0", "--json", path, *options) == 0
        results = json.loads(path.read_text())["networks"][0]["accountings"]
        return {n: r["ecoformer"]["network"]["energy_pj"] for n, r in results.items()}

    base = energy()
    for options, changed in (
        (("--code-bits", 32), {"paper", "honest"}),
        (("--anchors", 50), {"paper", "honest"}),
        (("--image-size", 256), {"paper", "honest"}),
        (("--reuse", 1), {"honest"}),
    ):
        other = energy(*options)
        assert {name for name in base if other[name] > base[name]} == changed, options
    assert set(energy("--accounting", "honest")) == {"honest"}


def test_a_shape_file_of_sequences(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(
        "tokens = 128\n[[stages]]\nwidth = 384\ndepth = 6\nheads = 12\n"
    )
    assert ecoformer("energy", tmp_path / "mine.toml") == 0
    assert "mine, 128 tokens, b = 16, m = 25; per sequence" in capsys.readouterr().out
    assert ecoformer("energy", tmp_path / "mine.toml", "--image-size", 64) == 2
    assert "mine, which has no images" in capsys.readouterr().err


@pytest.mark.parametrize("network, suffix", [("PVTv2-B0", ".svg"), ("all", ".png")])
def test_the_same_plot_has_the_same_bytes(tmp_path, network, suffix):
    pytest.importorskip("matplotlib", reason="pip install 'ecoformer[plot]'")
    first, second = (tmp_path / f"{name}{suffix}" for name in "ab")
    for path in (first, second):
        assert ecoformer("energy", network, "--plot", path) == 0
    assert first.read_bytes() == second.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {first.name, second.name}
    if suffix == ".svg":
        text = first.read_text()
        for words in ("73%", "48%", "attention", "softmax", "EcoFormer"):
            assert words in text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["resnet"], "resnet: unknown network; known: PVTv2-B0, "),
        ([], "no network given"),
        (["PVTv2-B0", "--accounting", "mine"], "'paper' or 'honest' or 'both', not 'mine'"),
        (["PVTv2-B0", "--anchors", "0"], "--anchors must be 1…1000000, not 0"),
        (["PVTv2-B0", "--code-bits", "129"], "code_bits must be 1…128, not 129"),
        (["PVTv2-B0", "--image-size", "9000"], "with --accounting paper"),
        (["PVTv2-B0", "--plot", "e.gif"], "e.gif: must end in .png or .svg or .pdf"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert ecoformer("energy", *arguments, "--json", "e.json") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ecoformer: ") and err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_paper_accounting_knows_no_limits_of_an_engine():
    assert ecoformer("energy", "PVTv2-B0", "--image-size", 9000, "--accounting", "paper") == 0


def test_shape_files_need_no_torch_and_no_matplotlib():
    program = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['matplotlib'] = None\n"
        "from ecoformer.cli import main\n"
        "main(sys.argv[1:])\n"
    )

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", program, "energy", *arguments],
                              capture_output=True, text=True, check=False)

    assert run("examples/deit-small.toml").returncode == 0
    for arguments, words in (
        (("demo",), "pip install 'ecoformer[learn]'"),
        (("PVTv2-B0",), "pip install 'ecoformer[learn]'"),
        (("PVTv2-B0", "--plot", "e.png"), "pip install 'ecoformer[plot]'"),
    ):
        reply = run(*arguments)
        assert reply.returncode == 2 and words in reply.stderr
