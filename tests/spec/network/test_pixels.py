# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.network.pixels import load_images, save_images
from tests.sim.network.designs import DESIGNS

DESIGN = DESIGNS["fast"]


def test_images_come_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    save_images(tmp_path / "i.npz", pixels)
    assert np.array_equal(load_images(tmp_path / "i.npz", DESIGN), pixels)
    np.savez_compressed(tmp_path / "plain.npz", images=pixels)  # as a user writes them
    assert np.array_equal(load_images(tmp_path / "plain.npz", DESIGN), pixels)


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "i.npz"
    save_images(path, np.zeros((1, 3, 3, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EcoformerError, match="i.npz: damaged images"):
        load_images(path, DESIGN)


@pytest.mark.parametrize("shape", [(0, 3, 3, 3), (2, 3, 3), (1, 1, 3, 3)])
def test_other_sizes_are_refused(shape, tmp_path):
    save_images(tmp_path / "i.npz", np.zeros(shape, np.uint8))
    with pytest.raises(EcoformerError, match=r"must be uint8 \[n, 3, 3, 3\]"):
        load_images(tmp_path / "i.npz", DESIGN)
