# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from ecoformer.cli import main
from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.accuracy import judge, spread
from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer, save_model

NETWORK = NetworkConfig(image_size=8, channels=3, patch=4, width=8, heads=2, depth=1, classes=7)


@pytest.fixture
def run(tmp_path):
    """A folder like one that 'train' wrote, with random weights, and a folder of pictures."""
    torch.manual_seed(0)
    out, rng = tmp_path / "run", np.random.default_rng(0)
    out.mkdir()
    save_model(VisionTransformer(NETWORK), out / "softmax.pt")
    save_model(VisionTransformer(NETWORK, AttentionConfig(code_bits=4, anchors=3)),
               out / "ecoformer.pt")
    for label in range(7):
        folder = tmp_path / "data" / "val" / f"class-{label}"
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    training = TrainingConfig(
        data="folder", data_path=str(tmp_path / "data"), crop_ratio=1.0, unreadable=1
    )
    (out / "metrics.json").write_text(json.dumps({"settings": {"training": asdict(training)}}))
    return out


def ecoformer(*arguments):
    """Exit status of a command in this process."""
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--workers", "0", *map(str, arguments)])
    return end.value.code or 0


class Ranking(torch.nn.Module):
    """Logits by the colour of an image: the label of the image is at a known place."""

    def forward(self, images):
        places = images[:, 0, 0, 0].long()
        return -(torch.arange(8) - places[:, None]).abs().float()


def test_top1_and_top5_are_counted():
    images = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1)
    score = judge(Ranking().eval(), Split(images, torch.tensor([0, 1, 3, 5, 0, 0, 0, 7])), batch=3)
    assert (score.images, score.top1, score.top5) == (8, 3 / 8, 5 / 8)
    assert score.seconds > 0 and score.images_per_second == 8 / score.seconds


def test_images_are_evenly_spread():
    part = Split(torch.arange(10), torch.arange(10))
    assert spread(part, 4).labels.tolist() == [0, 2, 5, 7]
    assert spread(part, 0) is part and spread(part, 99) is part


def test_a_training_folder_is_evaluated_on_what_its_training_held_out(run, tmp_path, capsys):
    (tmp_path / "data" / "val" / "class-3" / "1.png").write_bytes(b"broken")
    assert ecoformer(run, "--json", tmp_path / "f.json", "--batch", 5) == 0
    shown = capsys.readouterr()
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["images"] == 28 and figures["classes"] == 7
    assert [*figures["results"]] == ["softmax, float", "EcoFormer, float"]
    for name, entry in figures["results"].items():
        assert 0 <= entry["top1"] <= entry["top5"] < 1 and entry["images"] == 28
        assert name in shown.out and f"{entry['top5']:.2%}" in shown.out
    assert "class-3/1.png: unreadable picture" in shown.err
    assert len(figures["unreadable"]) == 1 and "1 pictures could not be read" in shown.out


def test_other_data_and_fewer_images(run, tmp_path, capsys):
    assert ecoformer(run / "softmax.pt", "--data", tmp_path / "data" / "val", "--images", 7) == 0
    out = capsys.readouterr().out
    assert "softmax, float" in out and "EcoFormer" not in out and " 7 " in out
    (run / "metrics.json").unlink()
    for name in ("train", "test"):
        (tmp_path / "data" / name).mkdir()
    (tmp_path / "data" / "test").rmdir()
    (tmp_path / "data" / "val").rename(tmp_path / "data" / "x")
    cases = (
        ((run,), "no metrics.json beside it"),
        ((run, "--data", "nowhere"), "--data nowhere: no such folder, and no data set of that"),
        ((run, "--data", "mnist"), "1 × 28 × 28 pixels and 10 classes; the model takes 3 × 8 × 8"),
        ((run, "--data", tmp_path / "data"), "no folder test/ or val/; nothing is held out"),
        ((tmp_path, "--data", "mnist"), "no softmax.pt or ecoformer.pt; give a folder that"),
        ((run / "none.pt", "--data", "mnist"), "no such model file"),
        ((run / "softmax.pt", "--data", "mnist", "--engine", run), "'ecoformer generate' wrote"),
    )
    for arguments, text in cases:
        assert ecoformer(*arguments) == 2
        error = capsys.readouterr().err
        assert text in error and len(error.splitlines()) == 1
    (run / "metrics.json").write_text("{}")
    assert ecoformer(run) == 2
    assert "metrics.json: does not say what was trained on" in capsys.readouterr().err


def test_more_classes_than_the_model_has_are_refused(run, tmp_path):
    from ecoformer.cli.evaluate import evaluate

    extra = tmp_path / "data" / "val" / "class-8"
    extra.mkdir()
    Image.new("RGB", (9, 9)).save(extra / "0.png")
    with pytest.raises(EcoformerError, match="pixels and 8 classes; the model takes .* has 7: "):
        evaluate(run)
