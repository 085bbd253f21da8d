# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.spec.names import check_module_name


@pytest.mark.parametrize("name", ["ecoformer_engine", "a", "E2", "attention_1"])
def test_ordinary_names_are_legal(name):
    check_module_name(name)


@pytest.mark.parametrize(
    "name, why",
    [
        ("", "ASCII letter"), ("2a", "ASCII letter"), ("a-b", "ASCII letter"),
        ("größe", "ASCII letter"), ("_a", "ASCII letter"), ("a_", "ASCII letter"),
        ("a__b", "ASCII letter"), ("a b", "ASCII letter"), ("a\n", "ASCII letter"),
        ("a" * 65, "at most 64"),
        ("config", "SystemVerilog"), ("Module", "SystemVerilog"), ("logic", "SystemVerilog"),
        ("Entity", "VHDL"), ("main", "C keyword"), ("lambda", "Python"), ("none", "Python"),
        ("CON", "Windows"), ("com1", "Windows"),
    ],
)
def test_what_a_tool_downstream_refuses_is_refused_with_the_rule(name, why):
    with pytest.raises(ValueError, match=f"^must .*{why}"):
        check_module_name(name)
