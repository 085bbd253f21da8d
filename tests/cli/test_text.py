# SPDX-License-Identifier: Apache-2.0
"""Decoders on the command line, from a text to what their Verilog writes."""

import json

import numpy as np
import pytest

from ecoformer.cli import main
from ecoformer.golden.integer.network.decoder import run as run_integers
from ecoformer.golden.learn import recipe
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage

WORDS = [a + b + c for a in "bdglmt" for b in "aeiou" for c in ("n", "ra", "", "no", "lar")]
CAUSAL = 'mask = "causal"\ncontexts = 3'
CONFIG = """
[decoder]
vocabulary = 14
positions = 6
width = 8
heads = 2
depth = 1
hidden = 16
cycles_per_token = 16

[engine]
head_dim = 4
value_dim = 4
code_bits = 6
hash = "linear"
weights = "ternary"
queries = "separate"
offset_fraction = 4
max_tokens = 16
mask = "causal"
contexts = 3
cycles_per_token = 4
parameter_sets = 4

[training]
data = "lines"
data_path = "words.txt"
batch = 32
label_smoothing = 0.0
pretrain_epochs = 8
pretrain_lr = 1e-2
tune_epochs = 4
tune_lrs = [5e-3]
hash_learner = "output"
hash_iterations = 5
train_hash = true
"""


def ecoformer(*arguments):
    """Exit status of a command in this process."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    return end.value.code or 0


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a text and a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    (tmp_path / "c.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which a decoder was trained and exported, with a text that lies elsewhere."""
    folder = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text = "--data-path", "elsewhere.txt"
        (folder / text[1]).write_text("\n".join(WORDS))
        (folder / "c.toml").write_text(CONFIG)
        assert ecoformer("train", "-c", "c.toml", "-o", "run", *text, "--curves", "--json",
                         "t.json") == 0
        assert ecoformer("export", "-c", "c.toml", "-m", "run/ecoformer.pt", "-o", "exported",
                         *text, "--network", "--report") == 0
    return folder


def test_a_text_is_learned_and_exported(done):
    run = done / "run"
    metrics = json.loads((run / "metrics.json").read_text())
    assert json.loads((done / "t.json").read_text()).items() <= metrics.items()
    assert metrics["held_out_perplexity"].keys() == {
        "pretrained", "ecoformer_after_swap", "ecoformer", "softmax"
    }
    for name in ("curves.png", "softmax.pt", "checkpoints/pretrain.csv"):
        assert (run / name).stat().st_size > 0
    design = DecoderDesign.load(done / "exported" / "network.toml")
    assert design.alphabet == "abdegilmnortu" and design.score_scale > 0
    image = NetworkImage.load(done / "exported" / "network.safetensors", design)
    figures = json.loads((done / "exported" / "export.json").read_text())
    assert figures["held_out_contexts"] == 15 and len(figures["quality"]) == 2
    whole = figures["network"]
    assert whole["float_perplexity"] == pytest.approx(metrics["held_out_perplexity"]["ecoformer"])
    assert abs(whole["perplexity"] / whole["float_perplexity"] - 1) < 0.05
    assert whole["score_scale"] == design.score_scale
    assert run_integers(design, image, np.array([[13, 0]])).shape == (1, 2, 14)


def test_training_shows_perplexity_and_resumes(here, capsys, monkeypatch):
    # Stopped by its fourth checkpoint, the command ends as Ctrl-C does.
    with monkeypatch.context() as patch:
        save, calls = Checkpoint.save, []

        def stop(self, **state):
            save(self, **state)
            calls.append(self.path.name)
            if len(calls) == 4:
                raise KeyboardInterrupt

        patch.setattr(Checkpoint, "save", stop)
        assert ecoformer("train", "-c", "c.toml", "-o", "run", "--no-control") == 130
    capsys.readouterr()
    assert ecoformer("train", "-c", "c.toml", "-o", "run", "--no-control") == 0
    shown = capsys.readouterr()
    assert "held-out contexts" in shown.out and "EcoFormer perplexity" in shown.out
    assert "pretrain: epoch 4/8" not in shown.err and "pretrain: epoch 5/8" in shown.err
    assert "contexts/s" in shown.err and "held-out perplexity: EcoFormer" in shown.err
    assert ecoformer("train", "-c", "c.toml", "-o", "whole", "--no-control") == 0
    assert (here / "run" / "ecoformer.pt").read_bytes() == (
        here / "whole" / "ecoformer.pt").read_bytes()
    assert ecoformer("train", "-c", "c.toml", "-o", "run", "--no-control", "--restart") == 0
    assert "pretrain: epoch 1/8" in capsys.readouterr().err


def test_every_form_is_evaluated(done, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(done)
    (tmp_path / "other.txt").write_text("\n".join(WORDS[:40]))
    figures = tmp_path / "f.json"
    assert ecoformer("evaluate", "run", "--network", "exported", "--json", figures) == 0
    out = capsys.readouterr().out
    results = json.loads(figures.read_text())["results"]
    assert [*results] == ["softmax, float", "EcoFormer, float", "whole network, integers"]
    exported = json.loads((done / "exported" / "export.json").read_text())["network"]
    whole = results["whole network, integers"]
    assert whole["perplexity"] == pytest.approx(exported["perplexity"])
    assert whole["contexts"] == 15 and f"{whole['perplexity']:.3f}" in out and "top-5" in out
    arguments = ("--data", tmp_path / "other.txt", "--images", 7, "--json", figures)
    assert ecoformer("evaluate", "run/ecoformer.pt", *arguments) == 0
    other = json.loads(figures.read_text())
    assert other["contexts"] == 7 and other["data"] == str(tmp_path / "other.txt")


@pytest.mark.slow
def test_its_verilog_is_evaluated_and_writes_the_same(done, tmp_path, builds, capsys, monkeypatch):
    monkeypatch.chdir(done)
    chip, figures = tmp_path / "chip", tmp_path / "f.json"
    assert ecoformer("generate", "--network", "-c", "exported/network.toml",
                     "-p", "exported/network.safetensors", "-o", chip) == 0
    build = ("--build-dir", builds)
    arguments = ("evaluate", "run", "--network", chip, "--rtl-images", 4, "--json", figures)
    assert ecoformer(*arguments, *build) == 0
    rtl = json.loads(figures.read_text())["results"]["whole network, RTL"]
    assert (rtl["contexts"], rtl["words"], rtl["mismatching_words"]) == (4, 4 * 6 * 14, 0)
    assert rtl["perplexity"] < 20
    capsys.readouterr()
    texts = []
    for folder, options in (("exported", ()), (chip, ("--rtl", *build))):
        assert ecoformer("write", folder, "-n", 5, "--start", "ma", *options) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].count("\n") == 5
    assert all(line.startswith("ma") for line in texts[0].splitlines())
    verilog = next((chip / "rtl").glob("*.v"))
    changed = verilog.read_text().replace("assign m_axis_tdata = ", "assign m_axis_tdata = 1 ^ ")
    assert changed != verilog.read_text()
    verilog.write_text(changed)
    assert ecoformer(*arguments, *build) == 1
    capsys.readouterr()


@pytest.mark.slow
def test_a_chip_that_answers_by_the_best_character_alone_is_refused(
    done, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(done)
    design, chip = (done / "exported" / "network.toml").read_text(), tmp_path / "chip"
    (tmp_path / "best.toml").write_text(design.replace('"scores"', '"best"'))
    assert ecoformer("generate", "--network", "-c", tmp_path / "best.toml",
                     "-p", "exported/network.safetensors", "-o", chip) == 0
    capsys.readouterr()
    for command in (("evaluate", "run", "--network", chip), ("write", chip, "--rtl")):
        assert ecoformer(*command) == 2
        error = capsys.readouterr().err
        assert "[decoder] answer must be 'scores'" in error and error.count("\n") == 1
    assert ecoformer("evaluate", "run", "--network", chip, "--rtl-images", 0) == 0


@pytest.mark.slow
def test_its_heads_run_on_an_engine(done, tmp_path, builds, monkeypatch):
    monkeypatch.chdir(done)
    engine, figures = tmp_path / "engine", tmp_path / "f.json"
    assert ecoformer("generate", "-c", "c.toml", "-p", "exported/parameters.safetensors",
                     "-w", "exported/workload.npz", "-o", engine) == 0
    assert ecoformer("evaluate", "run", "--engine", engine, "--rtl-images", 3, "--json", figures,
                     "--build-dir", builds) == 0
    results = json.loads(figures.read_text())["results"]
    floats, integers = (results[f"EcoFormer, {form}"] for form in ("float", "integers"))
    assert abs(integers["perplexity"] / floats["perplexity"] - 1) < 0.05
    assert results["EcoFormer, RTL"]["mismatching_words"] == 0


def test_texts_are_drawn_from_a_seed(done, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(done)
    texts = []
    for options in ((), (), ("--seed", 1), ("--temperature", 0)):
        assert ecoformer("write", "exported", *options, "--json", tmp_path / "w.json") == 0
        figures = json.loads((tmp_path / "w.json").read_text())
        assert capsys.readouterr().out.splitlines() == figures["texts"]
        texts.append(figures["texts"])
    assert texts[0] == texts[1] != texts[2] and len(texts[0]) == 10
    assert len({*texts[3]}) == 1 and len({*texts[0]}) > 1
    assert figures["characters"] >= 10


@pytest.mark.parametrize("change, rule", [
    (('data = "lines"', 'data = "mnist"'), "[training] data must be 'names' or 'lines' or 'text'"),
    (("positions = 6", "positions = 5"), "words.txt: line 5 has 5 characters, and a context of"),
    (("vocabulary = 14", "vocabulary = 15"), "words.txt: [decoder] vocabulary must be 14, a token"),
    (("words.txt", "none.txt"), "none.txt: cannot read the text (No such file or directory)"),
    (("batch = 32", "flip = 0.5"), "[training] mixup, cutmix, crop_area, flip, randaugment and"),
    (('"output"', '"ksh"'), "[training] hash_learner must be 'output' or 'attention'"),
    (("hidden = 16", "hidden = 12"), "[decoder] hidden must be a multiple of width = 8 to be"),
    (("[training]", "[network]\n[training]"), "[network] is for images and [decoder] for text"),
    (("positions = 6", "positions = 6\nalphabet = \"abdegilmnorts\""),
     "words.txt: line 21 holds 'u' (U+0075), which is not in the alphabet of the decoder"),
    ((CAUSAL, "contexts = 1"), "[engine] mask must be 'causal' within a network, not 'full'"),
])
def test_what_cannot_be_trained_is_refused_before_any_work(change, rule, here, capsys):
    assert change[0] in CONFIG
    (here / "c.toml").write_text(CONFIG.replace(*change))
    assert ecoformer("train", "-c", "c.toml", "-o", "run") == 2
    error = capsys.readouterr().err
    assert rule in error and error.count("\n") == 1
    assert not (here / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_command(here, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "FASTEST", 1e40)
    (here / "c.toml").write_text(CONFIG.replace("pretrain_lr = 1e-2", "pretrain_lr = 1e30"))
    assert ecoformer("train", "-c", "c.toml", "-o", "run") == 2
    assert "training pretrain: the loss is nan in step" in capsys.readouterr().err


def test_what_does_not_belong_together_is_refused(done, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(done)
    images = "../nowhere"
    (tmp_path / "bad.txt").write_text("bax\n" * 30)
    (tmp_path / "c.toml").write_text(CONFIG.replace("hidden = 16", "hidden = 24"))
    other = done / "exported" / "network.toml"
    (tmp_path / "network.toml").write_text(
        "".join(line for line in other.read_text().splitlines(True) if "alphabet" not in line)
    )
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "network.toml").write_text(
        other.read_text().replace("score_scale", "# score_scale")
    )
    export = ("export", "-m", "run/ecoformer.pt", "-o", tmp_path / "x", "--network")
    cases = (
        ((*export, "-c", tmp_path / "c.toml"), "[decoder] hidden must be that of the model, 16"),
        (("evaluate", "run", "--data", images), "no such file, and no text of that name; give nam"),
        (("evaluate", "run", "--data", tmp_path / "bad.txt"), "line 1 holds 'x' (U+0078), which"),
        (("write", tmp_path), "network.toml has no alphabet, which would say what tokens stand"),
        (("write", tmp_path / "scores"), "network.toml has no score_scale, which makes probabili"),
        (("write", images), "no network.toml; write it with 'export --network'"),
        (("write", "exported", "--start", "mx"), "'x' (U+0078) is not in the alphabet of exported"),
        (("write", "exported", "--start", "mamama"), "must be at most 5 characters for this deco"),
        (("write", "exported", "--rtl"), "exported"),
        (("demo", "-c", "c.toml", "-o", tmp_path / "x"), "the demo is of images; for a [decoder]"),
        (("energy", "run/ecoformer.pt"), "not a model file (it holds no table network); train"),
    )
    for arguments, rule in cases:
        assert ecoformer(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert rule in error and error.count("\n") == 1, error
