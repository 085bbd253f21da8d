# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ecoformer.golden.files import state_digest, torch_bytes
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

ENGINE = """
[engine]
head_dim = 6
value_dim = 6
code_bits = 5
anchors = 7
max_tokens = 4
cycles_per_token = 8
parameter_sets = 4
bus_bytes = 3
"""
NETWORK = """
[network]
patch = 14
width = 12
heads = 2
depth = 2

[training]
pretrain_epochs = 1
tune_epochs = 1
tune_lrs = [4e-3]
hash_iterations = 5
"""


def ecoformer(*arguments, **environment):
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "ecoformer", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, **environment}, check=False,
    )


def assert_refused(reply, *words):
    assert reply.returncode == 2, reply.stderr
    line = reply.stderr.strip().splitlines()[-1]
    assert line.startswith("ecoformer: ")
    assert "Traceback" not in reply.stderr
    for word in words:
        assert word in line


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(ENGINE + NETWORK)
    return path


@pytest.mark.slow
def test_demo_runs_from_images_to_verified_hardware(config, tmp_path):
    out = tmp_path / "out"
    reply = ecoformer("demo", "-c", config, "-o", out, "--images", 50)
    assert reply.returncode == 0, reply.stderr
    figures = json.loads((out / "demo.json").read_text())
    assert figures["accuracy"]["held_out_images"] == 1000
    rtl = figures["rtl"]
    assert rtl["images"] == 50
    assert rtl["words"] == 50 * 4 * 12 * 2
    assert rtl["mismatching_words"] == 0
    assert rtl["predictions_that_differ"] == 0
    assert figures["verification"]["ok"]
    workload = figures["verification"]["phases"][0]
    assert workload["phase"] == "workload" and workload["words"] == 4 * 12 * 2

    # Everything that a user carries to a tool is there, and readable.
    engine = Config.load(out / "engine" / "config.toml")
    image = ParameterImage.load(out / "engine" / "parameters.safetensors", engine)
    workload = Workload.load(out / "engine" / "vectors" / "workload.npz", engine)
    assert image.sets == 4
    assert np.bincount(workload.sets).tolist() == [1, 1, 1, 1]
    for name in ("rtl/ecoformer_engine.v", "manifest.json", "tb/tb_ecoformer_engine.v"):
        assert (out / "engine" / name).is_file()

    # A second call finds the training done and ends with the same parameters.
    before = (out / "parameters" / "parameters.safetensors").read_bytes()
    again = ecoformer("export", "-c", config, "-m", out / "training" / "ecoformer.pt",
                      "-o", out / "parameters")
    assert again.returncode == 0, again.stderr
    assert (out / "parameters" / "parameters.safetensors").read_bytes() == before

    # Everything that is there is evaluated, on the data of the training.
    reply = ecoformer("evaluate", out / "training", "--engine", out / "engine", "--images", 200,
                      "--rtl-images", 5, "--json", out / "evaluation.json")
    assert reply.returncode == 0, reply.stderr
    results = json.loads((out / "evaluation.json").read_text())["results"]
    assert [(name, entry["images"]) for name, entry in results.items()] == [
        ("softmax, float", 200), ("EcoFormer, float", 200), ("EcoFormer, integers", 200),
        ("EcoFormer, RTL", 5),
    ]
    assert results["EcoFormer, RTL"]["words"] == 5 * 4 * 12 * 2
    assert results["EcoFormer, RTL"]["mismatching_words"] == 0
    top1 = [results[f"EcoFormer, {form}"]["top1"] for form in ("float", "integers")]
    assert abs(top1[0] - top1[1]) < 0.05 and min(top1) > 0.2
    assert "top-5" in reply.stdout and "0 of 480" in reply.stdout

    # The softmax network is no model for the engine, and another shape neither.
    assert_refused(
        ecoformer("evaluate", out / "training" / "softmax.pt", "--engine", out / "engine"),
        "softmax attention",
    )
    assert_refused(
        ecoformer("export", "-c", config, "-m", out / "training" / "softmax.pt", "-o", out / "x"),
        "softmax attention",
    )
    config.write_text(ENGINE.replace("code_bits = 5", "code_bits = 6") + NETWORK)
    assert_refused(
        ecoformer("export", "-c", config, "-m", out / "training" / "ecoformer.pt", "-o", out / "x"),
        "[engine] code_bits must be 5", "not 6",
    )
    assert not (out / "x").exists()


def test_missing_model(config, tmp_path):
    reply = ecoformer("export", "-c", config, "-m", tmp_path / "no.pt", "-o", tmp_path / "x")
    assert_refused(reply, "no.pt", "train")
    assert not (tmp_path / "x").exists()


def test_missing_data(config, tmp_path):
    config.write_text(
        ENGINE + NETWORK + f'data = "fashion"\ndata_path = "{tmp_path}/nowhere"\n'
    )
    assert_refused(ecoformer("train", "-c", config, "-o", tmp_path / "x"), "nowhere")


@pytest.mark.parametrize("verb", ["train", "demo"])
def test_bad_training_table(config, tmp_path, verb):
    config.write_text(ENGINE + NETWORK + "epochs = 3\n")
    reply = ecoformer(verb, "-c", config, "-o", tmp_path / "x")
    assert_refused(reply, "unknown key in [training]: epochs")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "engine, training, message",
    [
        ("head_dim = 8", "", "[engine] head_dim must be 6 for this model, not 8"),
        ("value_dim = 8", "", "[engine] value_dim must be width / heads = 6"),
        ("parameter_sets = 3", "", "[engine] parameter_sets must be at least 4"),
        ("", 'hash = "linear"', "unknown key in [training]: hash"),
        ("", '[attention]\nhash = "linear"', "[attention] hash is given in another table"),
        ("", '[attention]\nqueries = "separate"', "[attention] queries is given in another table"),
    ],
)
def test_engine_that_does_not_fit_is_refused_before_training(
    config, tmp_path, engine, training, message
):
    name = engine.partition(" ")[0]
    lines = [engine if name and line.startswith(name) else line for line in ENGINE.splitlines()]
    config.write_text("\n".join(lines) + NETWORK + training)
    reply = ecoformer("demo", "-c", config, "-o", tmp_path / "x")
    assert_refused(reply, message)
    assert not (tmp_path / "x").exists()


def test_missing_simulator_is_refused_before_training(config, tmp_path):
    for tool in ("perl", "make"):  # no g++
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / tool).symlink_to(Path("/usr/bin") / tool)
    reply = ecoformer("demo", "-c", config, "-o", tmp_path / "x", PATH=str(tmp_path / "bin"))
    assert_refused(reply, "g++")
    assert not (tmp_path / "x").exists()


def tree(folder):
    return {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.mark.parametrize("verb, name", [
    ("train", "ecoformer.pt"), ("train", "metrics.json"), ("demo", "demo.json"),
    ("demo", "engine/manifest.json"), ("demo", "training/softmax.pt"),
    ("demo", "parameters/workload.npz"),
])
def test_a_foreign_file_in_the_way_is_refused_before_any_work(config, tmp_path, verb, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = tree(tmp_path)
    reply = ecoformer(verb, "-c", config, "-o", tmp_path / "out")
    assert_refused(reply, f"{path}: in the way")
    assert tree(tmp_path) == before and len(reply.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_refused_training_leaves_nothing_and_drops_nothing(config, tmp_path):
    checkpoint = Checkpoint(tmp_path / "out" / "checkpoints" / "pretrain.pt", {})
    checkpoint.save(step=1)
    before = tree(tmp_path)
    wrong = config.read_text().replace("patch = 14", "patch = 14\nclasses = 3")
    (tmp_path / "wrong.toml").write_text(wrong)
    for folder in ("out", "new"):
        reply = ecoformer("train", "-c", tmp_path / "wrong.toml", "-o", tmp_path / folder,
                          "--restart")
        assert_refused(reply, "[network] classes must be 10")
    (tmp_path / "wrong.toml").unlink()
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_export_reports_the_quality_of_every_hash(config, tmp_path):
    pytest.importorskip("matplotlib", reason="pip install 'ecoformer[plot]'")
    trained = ecoformer("train", "-c", config, "-o", tmp_path / "run", "--curves")
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    model = tmp_path / "run" / "ecoformer.pt"

    # One head of the model loses its hash.
    content = torch.load(model)
    content["state"]["blocks.1.attention.core.hash.threshold"][1] = 1e6
    content["sha256"] = state_digest(content["state"])
    model.write_bytes(torch_bytes(content))

    out = tmp_path / "out"
    reply = ecoformer("export", "-c", config, "-m", model, "-o", out, "--report", COLUMNS="160")
    assert reply.returncode == 0, reply.stderr
    assert "warning: layer 1, head 1: collapsed" in reply.stdout
    assert reply.stdout.count("collapsed") == 1
    heads = json.loads((out / "export.json").read_text())["quality"]
    assert [(head["layer"], head["head"]) for head in heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert heads[3]["codes"] == 1 and heads[0]["codes"] > 1
    assert len(heads[0]["balance"]) == 5
    assert (out / "hashes.png").read_bytes().startswith(b"\x89PNG")
