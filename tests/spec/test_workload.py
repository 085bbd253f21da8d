# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.files import rendered
from ecoformer.inputs import sealed
from ecoformer.spec.config import Config
from ecoformer.spec.workload import Workload

CONFIG = Config(
    head_dim=4, value_dim=2, code_bits=3, anchors=2, max_tokens=6, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4, token_width=6, value_width=5,
)


def make(**changes):
    rng = np.random.default_rng(0)
    arrays = {
        "sets": np.array([0, 2, 1]),
        "lengths": np.array([1, 6, 2]),
        "tokens": rng.integers(-32, 32, (9, 4)),
        "values": rng.integers(-16, 16, (9, 2)),
    }
    return Workload(**{**arrays, **changes})


def test_sequences_round_trip():
    workload = make()
    sequences = list(workload.sequences())
    assert [(index, len(tokens)) for index, tokens, _ in sequences] == [(0, 1), (2, 6), (1, 2)]
    again = Workload.from_sequences(sequences)
    for name in ("sets", "lengths", "tokens", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(workload, name))


def test_second_sequence_starts_where_the_first_ends():
    workload = make()
    _, tokens, values = list(workload.sequences())[1]
    np.testing.assert_array_equal(tokens, workload.tokens[1:7])
    np.testing.assert_array_equal(values, workload.values[1:7])


def test_an_empty_workload_is_refused():
    with pytest.raises(ValueError, match=r"^A workload must have at least one sequence, not 0$"):
        Workload.from_sequences([])


def test_save_and_load(tmp_path):
    workload = make()
    workload.save(tmp_path / "w.npz")
    again = Workload.load(tmp_path / "w.npz", CONFIG)
    np.testing.assert_array_equal(again.tokens, workload.tokens)
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


def test_contexts_are_kept_and_files_without_them_still_load(tmp_path):
    config = replace(CONFIG, mask="causal", contexts=3)
    workload = make(contexts=np.array([2, 0, 2]), begins=np.array([1, 1, 0]))
    workload.save(tmp_path / "w.npz")
    again = Workload.load(tmp_path / "w.npz", config)
    assert again.contexts.tolist() == [2, 0, 2] and again.begins.tolist() == [1, 1, 0]
    with np.load(tmp_path / "w.npz") as file:
        older = {name: file[name] for name in ("sets", "lengths", "tokens", "values")}
    with (tmp_path / "older.npz").open("wb") as file:
        file.write(sealed(rendered(lambda into: np.savez_compressed(into, **older))))
    again = Workload.load(tmp_path / "older.npz", config)
    assert again.contexts.tolist() == [0, 0, 0] and again.begins.tolist() == [1, 1, 1]


def test_the_same_workload_saves_to_the_same_bytes(tmp_path):
    make().save(tmp_path / "a.npz")
    make().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    "changes, rule",
    [
        ({"lengths": np.array([0, 7, 2])}, "lengths must be 1…6, not 0…7"),
        ({"lengths": np.array([1, 6, 1])}, r"tokens must have shape \(8, 4\), not \(9, 4\)"),
        ({"lengths": np.array([1, 8])}, r"lengths must have shape \(3,\), not \(2,\)"),
        ({"sets": np.array([0, 3, 1])}, "sets must be 0…2, not 0…3"),
        ({"sets": np.array([0, -1, 1])}, "sets must be 0…2, not -1…1"),
        ({"tokens": np.full((9, 4), 32)}, "tokens must be -32…31, not 32…32"),
        ({"values": np.full((9, 2), -17)}, "values must be -16…15, not -17…-17"),
        ({"values": np.zeros((9, 3), np.int64)}, r"values must have shape \(9, 2\), not \(9, 3\)"),
        ({"tokens": np.zeros((9, 4))}, "tokens must be int64, not float64"),
        ({"contexts": np.array([0, 1, 0])}, "contexts must be 0…0, not 0…1"),
        ({"begins": np.array([1, 0, 1])}, "begins must be 1…1, not 0…1"),
        ({"begins": np.array([1, 1])}, r"begins must have shape \(3,\), not \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, rule):
    workload = make(**changes)
    with pytest.raises(ValueError, match=rule):
        workload.check(CONFIG)
    workload.save(tmp_path / "w.npz")
    with pytest.raises(EcoformerError, match=rf"w\.npz: workload does not fit .*{rule}"):
        Workload.load(tmp_path / "w.npz", CONFIG)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EcoformerError, match=r"none\.npz: no such workload"):
        Workload.load(tmp_path / "none.npz", CONFIG)


def test_files_that_are_not_workloads_are_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, tokens=np.zeros((1, 4)))
    with pytest.raises(EcoformerError, match="not a workload .*lengths, sets, values"):
        Workload.load(path, CONFIG)
    path.write_bytes(b"")
    with pytest.raises(EcoformerError, match="damaged workload"):
        Workload.load(path, CONFIG)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").rename(path)
    with pytest.raises(EcoformerError, match="damaged workload"):
        Workload.load(path, CONFIG)


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "w.npz"
    make().save(path)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(EcoformerError):
            Workload.load(path, CONFIG)
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            found = Workload.load(path, CONFIG)
        except EcoformerError:
            continue
        np.testing.assert_array_equal(found.tokens, make().tokens)


def test_codes_are_plus_or_minus_one():
    config = Config(hash="codes", code_bits=3, value_dim=2, max_tokens=6)
    codes = np.random.default_rng(0).choice([-1, 1], (9, 3))
    workload = make(tokens=codes)
    workload.check(config)
    for bad, rule in ((0, "tokens must be the codes -1 and 1, not 0"),
                      (2, "tokens must be -1…1, not -1…2")):
        workload.tokens[4, 1] = bad
        with pytest.raises(ValueError, match=f"^{rule}$"):
            workload.check(config)


CROSS = replace(CONFIG, queries="cross")


def asked(**changes):
    queries = np.random.default_rng(1).integers(-32, 32, (8, 4))
    return make(**{"query_lengths": np.array([3, 1, 4]), "queries": queries, **changes})


def test_queries_of_their_own_go_with_their_sequences(tmp_path):
    workload = asked()
    workload.check(CROSS)
    assert workload.answers.tolist() == [3, 1, 4] and make().answers.tolist() == [1, 6, 2]
    sequences = list(workload.sequences())
    np.testing.assert_array_equal(sequences[2][3], workload.queries[4:])
    again = Workload.from_sequences(sequences)
    workload.save(tmp_path / "w.npz")
    for other in (again, Workload.load(tmp_path / "w.npz", CROSS)):
        for name in ("lengths", "tokens", "values", "query_lengths", "queries"):
            np.testing.assert_array_equal(getattr(other, name), getattr(workload, name))


@pytest.mark.parametrize(
    "workload, config, message",
    [
        (make(), CROSS, "query_lengths must be there with queries = 'cross'"),
        (asked(), CONFIG, "query_lengths must be absent with queries = 'shared'"),
        (asked(queries=None), CROSS, "queries must be there with queries = 'cross'"),
        (asked(query_lengths=np.array([3, 1, 3])), CROSS, "queries must have shape (7, 4), not"),
        (asked(query_lengths=np.array([1, 7, 0])), CROSS, "query_lengths must be 1…6, not 0…7"),
        (asked(queries=np.full((8, 4), 32)), CROSS, "queries must be -32…31, not 32…32"),
    ],
)
def test_queries_that_do_not_fit_are_refused(workload, config, message):
    with pytest.raises(ValueError) as caught:
        workload.check(config)
    assert str(caught.value).startswith(message)
