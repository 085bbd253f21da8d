# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn.batches import Batches
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.sources import open_data
from ecoformer.golden.networks.vit import NetworkConfig
from ecoformer.golden.pictures.folder import find_parts
from ecoformer.golden.pictures.loader import read_batches

NETWORK = NetworkConfig(image_size=12, channels=3, patch=4, width=8, heads=2, depth=1, classes=3)
CLASSES = ("ant", "bee", "cat")


def make(root, part, count, seed=0):
    rng = np.random.default_rng(seed)
    for label, name in enumerate(CLASSES):
        (root / part / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 60, (16, 20, 3), dtype=np.uint8)
            pixels[..., label] += 150
            Image.fromarray(pixels).save(root / part / name / f"{number}.png")


@pytest.fixture
def folder(tmp_path):
    make(tmp_path, "train", 8)
    make(tmp_path, "val", 3, 1)
    return tmp_path


def training(folder, **options):
    return TrainingConfig(data="folder", data_path=str(folder), batch=5, shift=0, **options)


def test_a_folder_as_it_lies(folder):
    (folder / "train" / "ant" / "Thumbs.db").write_bytes(b"x")
    (folder / "train" / ".cache").mkdir()
    data = open_data(training(folder), NETWORK)
    assert [len(p) for p in (data.train, data.validation, data.held_out)] == [22, 2, 9]
    assert data.classes == 3 and data.held_out.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    images = data.held_out.images[:]
    assert images.shape == data.held_out.images.shape == (9, 3, 12, 12)
    assert (images.float().mean((2, 3)).argmax(1) == data.held_out.labels).all()
    chosen = torch.tensor([7, 0])
    assert torch.equal(data.held_out.images[chosen], images[chosen])
    assert torch.equal(torch.cat([*data.held_out.images.split(4)]), images)
    grey = open_data(training(folder), NetworkConfig(**{**vars(NETWORK), "channels": 1}))
    assert grey.train.images[:2].shape == (2, 1, 12, 12)


def test_train_validation_and_test_are_what_they_are_called(folder):
    make(folder, "test", 2, 2)
    data = open_data(training(folder), NETWORK)
    assert [len(p) for p in (data.train, data.validation, data.held_out)] == [24, 9, 6]
    (folder / "val").rename(folder / "validation")
    assert len(open_data(training(folder), NETWORK).validation) == 9


def test_without_validation_a_part_of_the_training_validates(folder):
    parts = [open_data(training(folder, seed=seed), NETWORK) for seed in (0, 0, 1)]
    names = [{*data.validation.images.names.tolist()} for data in parts]
    assert names[0] == names[1] and len(names[0]) == 2
    for data, validation in zip(parts, names):
        assert not validation & {*data.train.images.names.tolist()}
    assert parts[0].held_out.images.names.tolist() == parts[2].held_out.images.names.tolist()


@pytest.mark.parametrize("change, text", [
    (lambda f: f.rename(f.with_name("gone")), r": no such folder; give one with train/CLASS/ and"),
    (lambda f: (f / "val").rename(f / "x"), r": no folder val/ or test/; it must hold train/CL"),
    (lambda f: (f / "train").rename(f / "x"), r": no folder train/; it must hold train/CLASS/"),
    (lambda f: (f / "val/bee").rename(f / "val/dog"),
     r"/val: 1 classes of train/ are missing: bee; both must"),
    (lambda f: (f / "val/bee").rename(f / "bee"), r"/val: 1 classes of train/ are missing: bee"),
    (lambda f: (f / "train/bee").rename(f / "bee"), r"/train: 1 classes of val/ are missing: bee"),
    (lambda f: [p.unlink() for p in (f / "train/bee").iterdir()],
     r"/train/bee: no pictures \(.bmp, .*\); add some, or remove it$"),
    (lambda f: [p.rename(f / "val" / p.name) and p.parent.rmdir() for p in f.glob("val/*/0.png")]
     if [p.unlink() for p in f.glob("val/*/[12].png")] else None,
     r"/val: pictures but no folders of classes; put the pictures of a class into"),
])
def test_folders_that_are_no_data_are_refused(folder, change, text):
    change(folder)
    with pytest.raises(EcoformerError, match=text):
        open_data(training(folder), NETWORK)


def test_a_path_is_needed_and_channels_must_be_colours(folder):
    with pytest.raises(EcoformerError, match=r"^\[training\] data_path must name a folder with"):
        open_data(TrainingConfig(data="folder"), NETWORK)
    network = NetworkConfig(**{**vars(NETWORK), "channels": 4})
    with pytest.raises(EcoformerError, match=r"^\[network\] channels must be 1 \(grey\) or 3"):
        open_data(training(folder), network)


def test_unreadable_pictures_are_named_counted_and_limited(folder):
    for name in ("1.png", "2.png"):
        (folder / "val" / "bee" / name).write_bytes(b"broken")
    lines = []
    with pytest.raises(EcoformerError, match=r"/val/bee/1.png: unreadable picture \(cannot .*\); "
                       r"replace or remove it, or allow more than 0 with \[training\] unreadable$"):
        open_data(training(folder), NETWORK).held_out.images[:]
    with pytest.raises(EcoformerError, match=r"/2.png: unreadable picture, number 2 \(.* than 1"):
        open_data(training(folder, unreadable=1), NETWORK).held_out.images[:]
    images = open_data(training(folder, unreadable=2), NETWORK, note=lines.append).held_out.images
    for _ in range(2):
        assert (images[:][4:6] == 128).all() and (images[:][3] != 128).any()
    assert [re.search(r"bee/\d", line)[0] for line in lines] == ["bee/1", "bee/2"]


RECIPE = {"crop_area": 0.3, "flip": 0.5, "randaugment": 2, "erasing": 0.5, "mixup": 0.5}


@pytest.mark.slow
def test_no_bit_depends_on_the_number_of_workers(folder):
    (folder / "train" / "bee" / "3.png").write_bytes(b"broken")
    found = []
    state = torch.random.get_rng_state()
    for workers in (0, 1, 3):
        lines = []
        data = open_data(training(folder, unreadable=1, **RECIPE), NETWORK, workers, lines.append)
        batches = Batches(data.train, 3, training(folder, **RECIPE), 0, workers)
        batches.begin(2)
        found.append([batches.draw(step)[0] for step in range(len(batches))])
        assert len(lines) == 1
    assert torch.equal(state, torch.random.get_rng_state())
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    batches.begin(2)
    assert torch.equal(batches.draw(3)[0], found[0][3])  # from the middle of an epoch


def test_without_random_crops_training_pictures_are_cut_as_for_evaluation(folder):
    data = open_data(training(folder), NETWORK)
    batches = Batches(data.train, 3, training(folder), 0)
    batches.begin(0)
    images, labels = batches.draw(0)
    assert torch.equal(images, data.train.images[batches.parts[0]])
    assert torch.equal(labels, data.train.labels[batches.parts[0]])


class Slow:
    """A source that tells its process and waits."""

    def __init__(self, folder):
        self.folder = folder

    def sample(self, key):
        (self.folder / f"{os.getpid()}.pid").touch()
        time.sleep(0.2)
        return np.zeros((1, 2, 2), np.uint8)

    def grey(self):
        return np.zeros((1, 2, 2), np.uint8)


@pytest.mark.slow
def test_the_death_of_a_worker_is_named(tmp_path):
    def kill():
        while not (found := [*tmp_path.glob("*.pid")]):
            time.sleep(0.05)
        os.kill(int(found[0].stem), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EcoformerError, match="^a process that reads pictures has died .DataLoader "
                       r"worker \(pid.*; free memory, or give fewer --workers$"):
        for _ in read_batches(Slow(tmp_path), [[n] for n in range(200)], 1):
            pass
    killer.join()


def test_parts_are_sorted_by_class_and_name(folder):
    part = find_parts(folder)["train"]
    assert part.classes == CLASSES
    assert part.names.tolist() == sorted(part.names.tolist())
    assert part.names[0] == b"ant/0.png" and part.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
