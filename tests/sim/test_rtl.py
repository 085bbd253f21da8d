# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.attention import attend
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.verify import compare
from ecoformer.spec.workload import Workload
from tests.sim import dummy

CONFIG = dummy.CONFIG
BROKEN = (
    dummy.engine()
    .replace("{o1, o0}", "{o1, ~o0}")
    .replace("m_axis_tuser = {bad, set}", "m_axis_tuser = {sequences == 2, set}")
)
"""Stand-in with a wrong element in every token, and an error flag on its third answer."""


@pytest.fixture(scope="module")
def rtl(builds):
    return Rtl(CONFIG, dummy.engine(), dummy.image(), builds)


def arrays(*batch, seed=0):
    """x [..., N, D] and v [..., N, E] that the stand-in is exact for."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (*batch, CONFIG.head_dim))
    v = rng.integers(-128, 128, (*batch[:-1], 1, CONFIG.value_dim))
    return x, np.broadcast_to(v, (*batch, CONFIG.value_dim))


def expected(x, v, index=0):
    return attend(CONFIG, dummy.image(), index, x, v)[0]


def test_it_is_a_function_of_one_sequence(rtl):
    x, v = arrays(7)
    out = rtl(x, v)
    assert out.dtype == np.int64 and out.shape == (7, CONFIG.value_dim)
    np.testing.assert_array_equal(out, expected(x, v))


def test_it_is_a_function_of_a_batch_with_a_set_for_each(rtl):
    x, v = arrays(2, 3, 5)
    sets = np.array([0, 1, 2])
    out = rtl(x.astype(np.int8), v, sets)
    assert out.shape == (2, 3, 5, CONFIG.value_dim)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(out[i, j], expected(x[i, j], v[i, j], sets[j]))
    assert rtl(x[:0], v[:0]).shape == (0, 3, 5, CONFIG.value_dim)


def test_sequences_of_any_lengths_are_a_workload(rtl):
    workload = dummy.workload(9)
    for got, sequence in zip(rtl.attend(workload), workload.sequences(), strict=True):
        np.testing.assert_array_equal(got, attend(CONFIG, dummy.image(), *sequence)[0])


def test_cycles_and_counters_are_those_of_the_last_call(rtl):
    workload = dummy.workload(5)
    for _ in range(2):
        rtl.attend(workload)
        assert rtl.run.busy_cycles == 3 * workload.lengths.sum()
        assert rtl.run.registers["TOKENS"] == workload.lengths.sum()
        assert rtl.run.registers["SEQUENCES"] == 5
        assert compare(CONFIG, dummy.image(), workload, rtl.run).ok


def test_parameters_are_loaded_once(rtl):
    rtl(*arrays(3))
    writes = []
    spied = rtl.engine.write

    class Spy:
        def __getattr__(self, name):
            return getattr(engine, name)

        def write(self, address, data):
            writes.append(address)
            return spied(address, data)

    engine, rtl.engine = rtl.engine, Spy()
    try:
        rtl(*arrays(3))
        assert len(writes) == 1  # the error flags are cleared
        rtl.reset()
        assert len(writes) > 20
    finally:
        rtl.engine = engine
    np.testing.assert_array_equal(rtl(*arrays(3)), expected(*arrays(3)))


def test_engines_in_one_process_do_not_meet(rtl, builds):
    """Two of one library, and one of another library with the same symbols."""
    broken = Rtl(CONFIG, BROKEN, dummy.image(), builds)
    twin = Rtl(CONFIG, dummy.engine(), dummy.image(), builds)
    x, v = arrays(4)
    for _ in range(2):
        np.testing.assert_array_equal(rtl(x, v), expected(x, v))
        np.testing.assert_array_equal(twin(x, v), expected(x, v))
        np.testing.assert_array_equal(broken(x, v)[:, 0], ~expected(x, v)[:, 0])
    twin.close()
    np.testing.assert_array_equal(rtl(x, v), expected(x, v))


def test_parameters_change_from_the_named_packet_on(rtl):
    workload, other = dummy.workload(8), dummy.image()
    run = rtl.stream(workload, updates={3: other, 5: other})
    assert compare(CONFIG, dummy.image(), workload, run).ok
    waited = run.stamps["first_in"][1:] - run.stamps["last_out"][:-1]
    assert set(np.flatnonzero(waited > 100) + 1) == {3, 5}
    assert rtl.attend(workload) and rtl.run.cycles < run.cycles


@pytest.mark.parametrize(
    "x, v, sets, error, why",
    [
        ((5, 4), (5, 3), 0, ValueError, r"^v must have shape \(5, 2\), not \(5, 3\)$"),
        ((5, 3), (5, 2), 0, ValueError, r"^x must have shape \[\.\.\., N, 4\], not \(5, 3\)$"),
        ((4,), (2,), 0, ValueError, "^x must have shape"),
        ((13, 4), (13, 2), 0, ValueError, "^lengths must be 1…12, not 13…13$"),
        ((0, 4), (0, 2), 0, ValueError, "^lengths must be 1…12|must not be empty$"),
        ((5, 4), (5, 2), 3, ValueError, "^sets must be 0…2, not 3…3$"),
        ((5, 4), (5, 2), 0.5, TypeError, "^sets must hold integers, not float64$"),
    ],
)
def test_wrong_arguments_are_refused(rtl, x, v, sets, error, why):
    with pytest.raises(error, match=why):
        rtl(np.zeros(x, dtype=int), np.zeros(v, dtype=int), sets)


def test_numbers_out_of_range_and_floats_are_refused(rtl):
    x, v = arrays(5)
    with pytest.raises(ValueError, match="^tokens must be -128…127"):
        rtl(x + 200, v)
    with pytest.raises(TypeError, match="^x must hold integers, not float64$"):
        rtl(x / 2, v)


def test_an_engine_that_falls_silent_is_reported_and_reset(builds):
    text = dummy.engine().replace("answering <= 1;", "answering <= sequences != 3;")
    rtl = Rtl(CONFIG, text, dummy.image(), builds)
    for _ in range(2):  # the reset before the second call clears the counter that would interfere
        with pytest.raises(EcoformerError, match="^engine: 3 of 5 sequences are answered"):
            rtl.attend(dummy.workload(5))
    assert len(rtl.attend(dummy.workload(3))) == 3


def test_an_error_answer_is_located(builds):
    rtl = Rtl(CONFIG, BROKEN, dummy.image(), builds)
    with pytest.raises(EcoformerError, match="^engine: sequence 2 is answered with the error flag"):
        rtl.attend(dummy.workload(5))


def test_a_register_that_does_not_answer_is_named(builds):
    text = dummy.engine().replace("assign s_axil_awready = ", "assign s_axil_awready = 1'b0 & ")
    rtl = Rtl(CONFIG, text, dummy.image(), builds)
    with pytest.raises(EcoformerError, match=r"write to register PARAM_ADDRESS \(0x40\) is not an"):
        rtl(*arrays(3))


def test_an_image_with_fewer_sets_refuses_the_others(builds):
    rtl = Rtl(CONFIG, dummy.engine(), dummy.image(sets=1), builds)
    x, v = arrays(5)
    with pytest.raises(EcoformerError, match="asks for parameter set 2, but the image has 1"):
        rtl(x, v, 2)
    workload = Workload.from_sequences([(0, x, v)])
    assert compare(CONFIG, dummy.image(sets=1), workload, rtl.stream(workload)).ok
