# SPDX-License-Identifier: Apache-2.0
import pickle
import tarfile

import numpy as np
import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import data
from ecoformer.golden.learn.cifar import BATCHES
from ecoformer.golden.learn.data import load

NAMES = [name for names in BATCHES.values() for name in names]


@pytest.fixture
def arrays(monkeypatch):
    monkeypatch.setattr(data, "CIFAR_VALIDATION", 10)
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (20, 3_072), dtype=np.uint8), [*range(10)] * 2)
        for name in NAMES
    }


def write_binary(folder, arrays):
    folder.mkdir()
    for name, (pixels, labels) in arrays.items():
        records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def write_python(folder, arrays):
    folder.mkdir()
    for name, (pixels, labels) in arrays.items():
        content = {b"data": pixels, b"labels": labels, b"batch_label": b"x", b"filenames": []}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [write_binary, write_python])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_both_versions_are_read(write, packed, arrays, tmp_path):
    path = tmp_path / "cifar-10-batches"
    write(path, arrays)
    if packed:
        with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
            archive.add(path, "cifar-10-batches")
        path = tmp_path / "cifar.tar.gz"
    found = load("cifar10", path, seed=1)
    assert [len(p) for p in (found.train, found.validation, found.held_out)] == [90, 10, 20]
    assert found.classes == 10 and found.train.images.shape == (90, 3, 32, 32)
    pixels, labels = arrays["test_batch"]
    assert torch.equal(found.held_out.images, torch.from_numpy(pixels.reshape(-1, 3, 32, 32)))
    assert found.held_out.labels.tolist() == labels
    assert torch.bincount(found.validation.labels).tolist() == [1] * 10


class Evil:
    def __reduce__(self):
        return print, ("pwned",)


def test_bad_files_are_refused_and_run_nothing(arrays, tmp_path, capsys):
    folder = tmp_path / "c"
    write_python(folder, arrays)
    for content, text in (
        (pickle.dumps(Evil()), "it names builtins.print"),
        (b"\x80\x02}", "cannot read"), (b"x" * 99, "cannot reshape"), (b"", "pixels are"),
        (pickle.dumps({b"data": np.zeros((2, 3_072)), b"labels": [0, 1]}, 2), "pixels are float64"),
        (pickle.dumps({b"data": np.zeros((1, 3_072), np.uint8), b"labels": [10]}, 2), "not 0…9"),
    ):
        (folder / "test_batch").write_bytes(content)
        with pytest.raises(EcoformerError, match=f"^data set cifar10: .*{text}"):
            load("cifar10", folder)
    assert "pwned" not in capsys.readouterr().out
    (folder / "test_batch").unlink()
    with pytest.raises(EcoformerError, match="^data set cifar10: no file .*test_batch; give cif"):
        load("cifar10", folder)
    with pytest.raises(EcoformerError, match="^data set cifar10: it is not part of this package"):
        load("cifar10")
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(EcoformerError, match="^data set cifar10: cannot read .*a.tar.gz"):
        load("cifar10", tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(folder / "data_batch_1")
    with pytest.raises(EcoformerError, match="no data_batch_2 in .*b.tar.gz; download it again"):
        load("cifar10", tmp_path / "b.tar.gz")
