# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from ecoformer.errors import EcoformerError
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.image import FILE, NetworkImage, network_arrays
from ecoformer.spec.parameters import ParameterImage
from tests.golden.integer.network.designs import DESIGNS, make_design

DESIGN = make_design(depth=1)


@pytest.fixture
def image():
    return random_image(DESIGN, 5)


@pytest.fixture
def path(tmp_path, image):
    image.save(tmp_path / "network.safetensors", DESIGN)
    return tmp_path / "network.safetensors"


def refusal(path, design=DESIGN):
    """The one line with which the image at ``path`` is refused."""
    with pytest.raises(EcoformerError) as caught:
        NetworkImage.load(path, design)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")


def changed(image, **arrays):
    """The image with other arrays, whose names have _ for every dot."""
    names = {name.replace(".", "_"): name for name in image.arrays}
    return NetworkImage(image.arrays | {names.get(name, name): a for name, a in arrays.items()})


def equal(a, b):
    return a.arrays.keys() == b.arrays.keys() and all(
        np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_round_trip(tmp_path, name):
    image = random_image(DESIGNS[name], 1, extremes=True)
    image.save(tmp_path / "n.safetensors", DESIGNS[name])
    again = NetworkImage.load(tmp_path / "n.safetensors", DESIGNS[name])
    assert equal(image, again)
    assert {array.dtype for array in again.arrays.values()} == {np.dtype(np.int64)}
    assert [file.name for file in tmp_path.iterdir()] == ["n.safetensors"]


def test_the_same_image_saves_to_the_same_bytes(tmp_path, image, path):
    for _ in range(5):
        image.save(tmp_path / "again.safetensors", DESIGN)
        assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_network_of_another_rate_takes_the_same_image(path, image):
    assert equal(NetworkImage.load(path, replace(DESIGN, cycles_per_token=999)), image)


def test_a_missing_image(tmp_path):
    assert refusal(tmp_path / "none") == "no such network image; make one with 'export'"


def test_one_flipped_bit_is_refused(path, image):
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    for place in [*range(0, header, 17), *range(header, len(good), 101), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        try:
            loaded = NetworkImage.load(path, DESIGN)
        except EcoformerError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            if place >= header:
                assert "checksum differs" in str(error)
        else:  # only text that names nothing may differ
            assert place < header and equal(loaded, image), place


def test_the_image_of_an_engine_is_refused(path, image):
    block = image.attention(0)
    block.save(path, DESIGN.heads_engine)
    assert refusal(path) == "not a network image of this product; export one"
    image.save(path, DESIGN)
    with pytest.raises(EcoformerError, match="not a parameter image of this product"):
        ParameterImage.load(path, DESIGN.heads_engine)


@pytest.mark.parametrize(
    "changes", [{"classes": 4}, {"hidden": 11}, {"residual_width": 15}, {"weights": "pow2"}]
)
def test_the_image_of_another_network_is_refused(path, changes):
    other = replace(DESIGN, **changes)
    assert refusal(path, other) == (
        "network image was made for another network (fingerprint "
        f"{DESIGN.bits_fingerprint[:12]}, not {other.bits_fingerprint[:12]}); "
        "use its network or export again"
    )


def test_an_image_that_was_wrong_when_it_was_written_is_refused(path, image):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetworkImage, "check", lambda self, design: None)
        changed(image, norm_epsilon=np.array(0)).save(path, DESIGN)
    assert refusal(path) == (
        "network image does not fit the network (norm.epsilon must be "
        f"1…{DESIGN.norm.max_epsilon}, not 0…0); export it again"
    )


# -- check -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", network_arrays(DESIGN))
def test_range_ends_are_accepted_and_what_lies_beyond_refused(image, name):
    bounds = network_arrays(DESIGN)[name]
    array = np.full_like(image.arrays[name], bounds.low)
    if array.size > 1:
        array.flat[-1] = bounds.high
    good = NetworkImage(image.arrays | {name: array})
    good.check(DESIGN)
    for beyond in (bounds.low - 1, bounds.high + 1):
        bad = array.copy()
        bad.flat[0] = beyond
        with pytest.raises(ValueError, match=f"^{name} must be {bounds.low}…{bounds.high}, not "):
            NetworkImage(image.arrays | {name: bad}).check(DESIGN)


@pytest.mark.parametrize("name", network_arrays(DESIGN))
def test_wrong_shapes_and_types_are_refused(image, name):
    array = image.arrays[name]
    for wrong in (array[..., None], array.astype(np.int32), array.astype(float)):
        with pytest.raises(ValueError, match=f"^{name} must (have shape|be int64)"):
            NetworkImage(image.arrays | {name: wrong}).check(DESIGN)


def test_missing_and_unknown_arrays_are_refused(image):
    fewer = dict(image.arrays)
    del fewer["blocks.0.table"], fewer["stem.shift"]
    with pytest.raises(ValueError, match="^blocks.0.table, stem.shift must be there in this netw"):
        NetworkImage(fewer).check(DESIGN)
    extra = NetworkImage(image.arrays | {"classifier.shift": np.zeros(3, dtype=np.int64)})
    with pytest.raises(ValueError, match="^classifier.shift must be absent in this network$"):
        extra.check(DESIGN)


def test_weights_are_those_of_the_format():
    design = make_design(weights="pow2")
    image = random_image(design, 2)
    image.arrays["blocks.1.up.weights"].flat[3] = 5
    with pytest.raises(ValueError, match=r"^blocks.1.up.weights must hold 0 or ±2\^e with e = 0…6"):
        image.check(design)
    image = random_image(design, 2)
    image.arrays["classifier.weights"].flat[3] = 5  # int8 always
    image.check(design)


# -- access ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_the_attention_of_a_block_fits_the_engine_of_its_heads(name):
    design = DESIGNS[name]
    image = random_image(design, 1)
    for block in range(design.depth):
        attention = image.attention(block)
        attention.check(design.heads_engine)
        assert attention.sets == design.heads == design.heads_engine.parameter_sets
        stored = f"blocks.{block}.attention.threshold"
        assert attention.threshold is image.arrays[stored]


def test_a_linear_layer_is_weights_bias_and_shift(image):
    weights, bias, shift = image.linear("blocks.0.up")
    assert weights.shape == (8, 12) and bias.shape == shift.shape == (12,)
    weights, bias, shift = image.linear("classifier")
    assert weights.shape == (8, 3) and bias.shape == (3,) and shift is None


def test_arrays_are_kept_in_narrow_types_and_no_others(path, image):
    kept = load_file(path)
    assert kept["stem.weights"].dtype == np.int8
    assert kept["positions"].dtype == np.int16
    assert all((kept[name] == array).all() for name, array in image.arrays.items())
    FILE.save(path, kept | {"positions": image.arrays["positions"]}, DESIGN.bits_fingerprint)
    assert "positions must be int16, not int64" in refusal(path)
