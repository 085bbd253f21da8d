# SPDX-License-Identifier: Apache-2.0
"""Training by several processes, as torchrun starts them."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ecoformer.golden.learn.group import Group

CONFIG = """
[network]
image_size = 8
channels = 3
patch = 4
width = 8
heads = 2
depth = 2
classes = 3

[attention]
code_bits = 4
anchors = 3

[training]
data = "folder"
data_path = "{data}"
batch = 15
pretrain_epochs = {epochs}
tune_epochs = 2
tune_lrs = [2e-3]
pretrain_lr = 2e-3
hash_refresh = 1
hash_images = 6
hash_iterations = 5
crop_area = 0.5
flip = 0.5
mixup = 0.4
cutmix = 0.4
drop_path = 0.2
ema = 0.9
clip = 1.0
accumulate = 2
"""


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 22), ("val", 5)):
        for label in range(3):
            folder = tmp_path / "data" / part / "abc"[label]
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 120, (10, 10, 3), dtype=np.uint8)
                pixels[..., label] += 60
                Image.fromarray(pixels).save(folder / f"{number}.png")

    def write(epochs=40):
        path = tmp_path / "train.toml"
        path.write_text(CONFIG.format(data=tmp_path / "data", epochs=epochs))
        return path

    return write


def command(processes, *arguments):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "ecoformer", "train",
            "--workers", "0", *map(str, arguments)]


def run(processes, *arguments):
    done = subprocess.run(command(processes, *arguments), capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done


def children(process):
    """Processes that the launcher has started, oldest first."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], text=True,
                            capture_output=True, check=True)
    return sorted(map(int, listed.stdout.split()))


def weights(path):
    return torch.load(path)["state"]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [4, pytest.param(40, marks=pytest.mark.full)])
def test_two_processes_learn_what_one_learns(config, tmp_path, epochs):
    path = config(epochs=epochs)  # of 5 batches each
    done = run(2, "-c", path, "-o", tmp_path / "two", "--no-control")
    assert done.stdout.count("held-out images") == 1  # one process reports
    run(1, "-c", path, "-o", tmp_path / "one", "--no-control")
    one, two = (weights(tmp_path / name / "pretrained.pt") for name in ("one", "two"))
    for name, tensor in one.items():
        if name.endswith("to_k.bias"):
            continue  # softmax does not depend on it: its gradient is rounding, and Adam scales it
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
    assert {p.name for p in (tmp_path / "two").iterdir()} == {
        "checkpoints", "ecoformer.pt", "metrics.json", "pretrained.pt"
    }


@pytest.mark.full
def test_killed_and_resumed_it_ends_with_the_same_bytes(config, tmp_path):
    path = config()
    run(2, "-c", path, "-o", tmp_path / "two", "--no-control")
    broken = subprocess.Popen(
        command(2, "-c", path, "-o", tmp_path / "broken", "--no-control"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    while not (tmp_path / "broken" / "checkpoints" / "pretrain.pt").exists():
        assert broken.poll() is None
        time.sleep(0.02)
    for process in (broken.pid, *children(broken)):
        os.kill(process, signal.SIGKILL)
    broken.communicate()
    assert not (tmp_path / "broken" / "ecoformer.pt").exists()
    run(2, "-c", path, "-o", tmp_path / "broken", "--no-control")
    for name in ("pretrained.pt", "ecoformer.pt"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.full
def test_the_death_of_a_process_is_named(config, tmp_path):
    path = config(epochs=9_999)
    started = subprocess.Popen(
        command(2, "-c", path, "-o", tmp_path / "x", "--no-control"), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    while not (tmp_path / "x" / "checkpoints" / "pretrain.pt").exists():
        assert started.poll() is None
        time.sleep(0.02)
    os.kill(children(started)[-1], signal.SIGKILL)
    _, errors = started.communicate(timeout=120)
    assert started.returncode
    assert "Signal 9" in errors or "has died or stopped" in errors


@pytest.mark.slow
def test_too_many_processes_are_refused(config, tmp_path):
    text = config().read_text().replace("batch = 15", "batch = 61")
    (tmp_path / "odd.toml").write_text(text)
    # Of 62 training images the last batch has one.
    reply = subprocess.run(
        command(2, "-c", tmp_path / "odd.toml", "-o", tmp_path / "x"), text=True,
        capture_output=True,
    )
    assert reply.returncode
    assert "batch must leave at least 2 images, one for each process" in reply.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [7, 8, 100])
def test_shares_cover_everything_once(size, count):
    places = [[*range(count)][Group(rank, size).share(count)] for rank in range(size)]
    assert sum(places, []) == [*range(count)]
    assert max(map(len, places)) - min(map(len, places)) <= 1 and min(map(len, places)) > 0
