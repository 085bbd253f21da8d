# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table


def write(path, text):
    path.write_text(text)
    return path


def test_absent_keys_and_tables_mean_defaults(tmp_path):
    assert Config.load(write(tmp_path / "empty.toml", "")) == Config()
    text = "[training]\nanything = 1\n[engine]\nhead_dim = 16\n"
    assert Config.load(write(tmp_path / "some.toml", text)) == Config(head_dim=16)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[engine]\nheads = 3", "unknown key in [engine]: heads; known: head_dim, "),
        ("[engine]\nb = 1\na = 2", "unknown key in [engine]: a, b; known: head_dim, "),
        ("[motor]\nhead_dim = 3", "unknown table: motor; known: engine, chip, decoder, network, "),
        ("head_dim = 3", "unknown table: head_dim; known: engine, chip, decoder, network, "),
        ("engine = 3", "engine must be a table [engine], not 3"),
        ("[[engine]]\nhead_dim = 3", "engine must be a table [engine], not "),
        ("[engine]\nhead_dim = 3.0", "[engine] head_dim must be an integer, not 3.0"),
        ("[engine]\nhead_dim = true", "[engine] head_dim must be an integer, not True"),
        ("[engine]\nhead_dim = [3]", "[engine] head_dim must be an integer, not (3,)"),
        ("[engine]\nhead_dim = 0", "[engine] head_dim must be 1…128, not 0"),
        ("[engine]\nhash = 1", "[engine] hash must be 'rbf' or 'linear' or 'codes' or "),
        ("[engine]\nqueries = 'both'", "[engine] queries must be 'shared' or 'separate' or "),
        ("[engine]\nhead_dim = 1\nhead_dim = 2", "not a TOML file ("),
        ("[engine\n", "not a TOML file ("),
        (f"{'a.' * 101}a = 1", "not a TOML file (a line with more than 100 dots, "),
        (f"{'a.' * 100}a = 1", "unknown table: a; known: engine, "),
    ],
)
def test_bad_files_are_refused_with_file_and_reason(tmp_path, text, message):
    path = write(tmp_path / "bad.toml", text)
    with pytest.raises(EcoformerError) as caught:
        Config.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_what_another_table_gives_is_not_given_again(tmp_path):
    path = write(tmp_path / "twice.toml", "[engine]\nhead_dim = 16\n")
    assert read_table(path, "engine", Config, code_bits=8) == Config(head_dim=16, code_bits=8)
    with pytest.raises(EcoformerError, match=r"\[engine\] head_dim is given in another table"):
        read_table(path, "engine", Config, head_dim=16)


def test_a_comment_may_be_a_line_of_dots(tmp_path):
    text = f"#{'.' * 200}\n[engine]\nhead_dim = 16\n"
    assert Config.load(write(tmp_path / "dots.toml", text)) == Config(head_dim=16)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(EcoformerError, match=r"cannot read the configuration \(No such file"):
        Config.load(tmp_path / "absent.toml")
    with pytest.raises(EcoformerError, match=r"cannot read the configuration"):
        Config.load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EcoformerError, match=r"not a TOML file"):
        Config.load(tmp_path / "binary.toml")


def test_other_tables_are_read_into_their_own_classes(tmp_path):
    @dataclass(frozen=True)
    class Network:
        stages: tuple = ()
        heads: int = 1

    path = write(tmp_path / "c.toml", "[network]\nstages = [2, 3]\n[engine]\nhead_dim = 8\n")
    assert read_table(path, "network", Network) == Network(stages=(2, 3))
    assert Config.load(path).head_dim == 8
