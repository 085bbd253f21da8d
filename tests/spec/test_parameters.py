# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ecoformer.errors import EcoformerError
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import FORMAT_VERSION, HOST_ARRAYS, ParameterImage

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=6, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4,
)
ALL = {f.name for f in fields(ParameterImage)}
QUERIES = {name for name in ALL if name.startswith("query_")}
NAMES = sorted(ALL - QUERIES - {"scale"})  # of the kernelized hash


@pytest.fixture
def image():
    return random_image(CONFIG, np.random.default_rng(5))


@pytest.fixture
def path(tmp_path, image):
    image.save(tmp_path / "p.safetensors", CONFIG)
    return tmp_path / "p.safetensors"


def refusal(path, config=CONFIG):
    """The one line with which the image at ``path`` is refused."""
    with pytest.raises(EcoformerError) as caught:
        ParameterImage.load(path, config)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")


def equal(a, b):
    one, other = a.arrays(), b.arrays()
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) and one[name].dtype == other[name].dtype
        for name in one
    )


def metadata(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def rewrite(path, *, arrays=None, **changes):
    """Save the file again with other arrays or metadata; None removes a key."""
    content, meta = load_file(path), {**metadata(path), **changes}
    save_file(arrays or content, path, {k: v for k, v in meta.items() if v is not None})


@pytest.mark.parametrize("sets", [1, 2, 3])
def test_round_trip(tmp_path, sets):
    image = random_image(CONFIG, np.random.default_rng(sets), sets=sets)
    image.save(tmp_path / "p.safetensors", CONFIG)
    again = ParameterImage.load(tmp_path / "p.safetensors", CONFIG)
    assert equal(image, again) and again.sets == sets
    assert [file.name for file in tmp_path.iterdir()] == ["p.safetensors"]


def test_the_same_image_saves_to_the_same_bytes(tmp_path, image, path):
    for _ in range(20):  # the library orders metadata at random
        image.save(tmp_path / "again.safetensors", CONFIG)
        assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_an_engine_of_another_rate_takes_the_same_image(path, image):
    other = replace(CONFIG, cycles_per_token=16, state_banks=5, bus_bytes=16, max_tokens=9)
    assert equal(ParameterImage.load(path, other), image)


def test_metadata(path):
    assert FORMAT_VERSION == 2
    meta = metadata(path)
    assert meta["format"] == "ecoformer parameter image"
    assert meta["format_version"] == "2"
    assert meta["bits_fingerprint"] == CONFIG.bits_fingerprint


def test_a_missing_image(tmp_path):
    assert refusal(tmp_path / "none") == "no such parameter image; make one with 'export'"
    assert refusal(tmp_path) == "no such parameter image; make one with 'export'"


@pytest.mark.parametrize("mask", [0x01, 0x0F, 0x80])
def test_a_damaged_byte_never_passes_for_another_image(path, image, mask):
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    for place in [*range(header), *range(header, len(good), 7), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= mask
        path.write_bytes(bad)
        try:
            loaded = ParameterImage.load(path, CONFIG)
        except EcoformerError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:  # only text that names nothing may differ
            assert place < header and equal(loaded, image), place


def test_a_damaged_array_is_refused_with_the_reason(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert refusal(path) == "damaged parameter image (checksum differs); export it again"


def test_a_truncated_image_is_refused(path):
    good = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        text = refusal(path)
        assert text.startswith("damaged parameter image (") and text.endswith("; export it again")


def test_another_file_is_refused(tmp_path, path):
    text = refusal_of(tmp_path / "text", b"hello, this is not an image at all")
    assert text.startswith("damaged parameter image (")
    save_file({"a": np.zeros(1)}, tmp_path / "other")
    assert refusal(tmp_path / "other") == "not a parameter image of this product; export one"
    rewrite(path, format_version=None)
    assert refusal(path) == "not a parameter image of this product; export one"


def refusal_of(path, content):
    path.write_bytes(content)
    return refusal(path)


@pytest.mark.parametrize(
    "version, text",
    [
        ("3", "parameter image has the newer format 3, this version reads 2; update ecoformer"),
        ("1", "parameter image has the older format 1, this version reads 2; export it again"),
        ("-1", "not a parameter image of this product; export one"),
        ("1.0", "not a parameter image of this product; export one"),
        ("", "not a parameter image of this product; export one"),
    ],
)
def test_other_versions_are_refused(path, version, text):
    rewrite(path, format_version=version)
    assert refusal(path) == text


def test_another_configurations_image_is_refused(path):
    other = replace(CONFIG, output_fraction=CONFIG.output_fraction + 1)
    assert refusal(path, other) == (
        "parameter image was made for another configuration (fingerprint "
        f"{CONFIG.bits_fingerprint[:12]}, not {other.bits_fingerprint[:12]}); "
        "use its configuration or export again"
    )


def test_wrong_array_names_are_refused(path):
    arrays = load_file(path)
    rewrite(path, arrays={**arrays, "biases": arrays["bias"]})
    assert refusal(path) == (
        "damaged parameter image (missing or unknown arrays: biases); export it again"
    )
    arrays["spare"] = arrays.pop("bias")
    rewrite(path, arrays=arrays)
    assert refusal(path) == (
        "damaged parameter image (missing or unknown arrays: bias, spare); export it again"
    )


@pytest.mark.parametrize("name", NAMES)
def test_another_dtype_fails_the_checksum(path, name):
    arrays = load_file(path)
    arrays[name] = arrays[name].view(np.uint32 if name.endswith("_scale") else np.uint64)
    rewrite(path, arrays=arrays)
    assert refusal(path) == "damaged parameter image (checksum differs); export it again"


def test_more_sets_than_the_engine_holds_are_refused(path):
    text = refusal(path, replace(CONFIG, parameter_sets=2))
    assert text == (
        "parameter image does not fit the configuration (sets must be 1…2, not 3); "
        "export it again"
    )


def test_an_image_that_was_wrong_when_it_was_written_is_refused(path, image):
    for changes in (
        {"offset": np.array([3])},
        {"anchors": image.anchors[:, :1]},
        {"shift": image.shift + 32},
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ParameterImage, "check", lambda self, config: None)
            replace(image, **changes).save(path, CONFIG)
        text = refusal(path)
        assert text.startswith("parameter image does not fit the configuration (")


# -- check -------------------------------------------------------------------------------------

BITS = Arithmetic(CONFIG)
LIMITS = {
    "anchors": (-128, 127),
    "bias": (-32_768, 32_767),
    "shift": (0, 31),
    "projection": (-128, 127),
    "threshold": (-BITS.max_projection, BITS.max_projection),
    "offset": (0, BITS.max_offset),
}


@pytest.mark.parametrize("name", LIMITS)
def test_range_ends_are_accepted_and_what_lies_beyond_refused(image, name):
    low, high = LIMITS[name]
    array = np.full_like(getattr(image, name), low)
    array.flat[-1] = high
    replace(image, **{name: array}).check(CONFIG)
    for beyond in (low - 1, high + 1):
        array.flat[0] = beyond
        with pytest.raises(ValueError, match=rf"^{name} must be {low}…{high}, not "):
            replace(image, **{name: array}).check(CONFIG)
        array.flat[0] = low


@pytest.mark.parametrize("name", [*LIMITS, *HOST_ARRAYS])
def test_wrong_shapes_are_refused(image, name, tmp_path):
    array = getattr(image, name)
    for wrong in (array[..., None], array[:, 1:] if array.ndim > 1 else array[:, None, None]):
        with pytest.raises(ValueError) as caught:
            replace(image, **{name: wrong}).save(tmp_path / "p", CONFIG)
        assert str(caught.value) == (
            f"{name} must have shape {array.shape}, not {wrong.shape}"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_only_int64_is_accepted(image, name, dtype):
    wrong = replace(image, **{name: getattr(image, name).astype(dtype)})
    with pytest.raises(ValueError, match=rf"^{name} must be int64, not {np.dtype(dtype)}$"):
        wrong.check(CONFIG)


@pytest.mark.parametrize("name", ["value_scale", "token_scale"])
def test_the_host_scales_are_finite_float32(image, name):
    with pytest.raises(ValueError, match=rf"^{name} must be float32, not float64$"):
        replace(image, **{name: np.ones(3)}).check(CONFIG)
    for bad in (np.nan, np.inf):
        wrong = replace(image, **{name: np.array([1, bad, 1], dtype=np.float32)})
        with pytest.raises(ValueError, match=rf"^{name} must be finite, not "):
            wrong.check(CONFIG)


def test_host_rules_for_tokens_are_checked(image):
    with pytest.raises(ValueError, match="^token_scale must be at least 0, not "):
        replace(image, token_scale=np.array([0, -1, 1], dtype=np.float32)).check(CONFIG)
    with pytest.raises(ValueError, match="^unit_tokens must be 0 or 1, not "):
        replace(image, unit_tokens=np.array([0, 2, 1])).check(CONFIG)


@pytest.mark.parametrize(
    "hash, unused",
    [("linear", "anchors, bias, shift"), ("codes", "anchors, bias, projection, shift, threshold"),
     ("none", "anchors, bias, offset, projection, threshold")],
)
def test_a_family_has_its_own_arrays_and_no_others(image, hash, unused, tmp_path):
    config = replace(CONFIG, hash=hash, dataflow="softmax" if hash == "none" else "accumulate")
    own = random_image(config, np.random.default_rng(1))
    own.save(tmp_path / "p.safetensors", config)
    family = ALL - QUERIES if hash == "none" else set(NAMES)
    assert own.arrays().keys() == family - set(unused.split(", "))
    again = ParameterImage.load(tmp_path / "p.safetensors", config)
    for name, array in own.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
    modes = f"hash = '{hash}' and queries = 'shared'"
    with pytest.raises(ValueError, match=rf"^{unused} must be absent with {modes}$"):
        image.check(config)
    refused = r"^\w+ must (be (there|absent) with hash = 'rbf' and .*|have shape .*)$"
    with pytest.raises(ValueError, match=refused):
        own.check(CONFIG)


@pytest.mark.parametrize("name", ["anchors", "projection"])
@pytest.mark.parametrize(
    "weights, bad, rule",
    [("pow2", 3, r"0 or ±2\^e with e = 0…6 with weights = 'pow2'"),
     ("ternary", 2, "-1…1, not -?\\d…2"), ("pow2", 128, "-64…64, not -?\\d+…128")],
)
def test_weights_are_those_of_the_format(name, weights, bad, rule):
    config = replace(CONFIG, weights=weights)
    image = random_image(config, np.random.default_rng(2))
    image.check(config)
    getattr(image, name).flat[1] = bad
    with pytest.raises(ValueError, match=rf"^{name} must (be|hold) {rule}$"):
        image.check(config)


@pytest.mark.parametrize("sets", [0, 4])
def test_the_number_of_sets_is_limited(sets):
    image = random_image(replace(CONFIG, parameter_sets=4), np.random.default_rng(0), sets=4)
    cut = ParameterImage(**{name: getattr(image, name)[:sets] for name in NAMES})
    with pytest.raises(ValueError, match=rf"^sets must be 1…3, not {sets}$"):
        cut.check(CONFIG)
