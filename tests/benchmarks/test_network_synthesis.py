# SPDX-License-Identifier: Apache-2.0
from benchmarks.network_synthesis import EXAMPLES, layers, rates
from ecoformer.spec.network.load import load_design


def test_rates_follow_from_clock_and_cycles():
    chip, adders, cifar, characters, text = (
        load_design(folder / "network.toml") for _, _, folder in EXAMPLES.values()
    )
    assert rates(chip, 100.0) == ["1,993 images of 49 tokens a second"]
    assert rates(adders, 100.0) == ["15,944 images of 49 tokens a second"]
    assert rates(cifar, 100.0) == ["1,221 images of 64 tokens a second"]
    assert rates(characters, 80.0, 400) == [
        "2,500,000 characters a second of many texts, one every 32 cycles",
        "200,000 of one text, 400 cycles each",
    ]
    assert rates(text, 96.0, 24_000) == [
        "50,000 characters a second of many texts, one every 1920 cycles",
        "4,000 of one text, 24000 cycles each",
    ]


def test_layers_of_the_same_name_are_added_up():
    counts = {"LUT": 5, "FF": 4, "DSP": 1, "block RAM": 0}
    paths = ("top", "top.norm", "top.block_0", "top.block_0.up", "top.block_1.up",
             "top.block_1.up.lane", "top.norm.root")
    assert layers([{"path": path, **counts} for path in paths]) == [
        ["norm", "5", "4", "1", "0"], ["all blocks: up", "10", "8", "2", "0"],
    ]
