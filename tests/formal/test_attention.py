"""The linear core and its sequence queue: buffers, banks, ring, one launch per result."""

from hw.attention import AccumulateCore
from hw.sequences import SequenceQueue
from tests.formal.claims import buffers_never_overflow, count, obeys, taken
from tests.formal.configs import TINY
from tests.formal.prover import Bench


def test_core(proof):
    bench = Bench(AccumulateCore(TINY))
    dut = bench.dut
    obeys(bench, dut.keys, "keys")
    bench.always("a result is launched only with grant", ~dut.launch | dut.grant)
    after_reset = bench.past(bench.reset, "after_reset")
    bench.always("no block leaves after reset", ~after_reset | ~dut.blocks.valid)
    buffers_never_overflow(bench)
    bench.reach("a block leaves", dut.blocks.valid)
    proof("AccumulateCore", "tiny", bench.prove())


def queue():
    """A queue whose sequences have at most ``max_tokens`` tokens, as the core sends them."""
    bench = Bench(SequenceQueue(TINY))
    dut = bench.dut
    bench.assume(~dut.take | dut.room)
    bench.assume(~dut.release | dut.waiting)
    return bench


def test_queue(proof):
    bench = queue()
    dut = bench.dut
    buffers_never_overflow(bench)
    banks = TINY.state_banks
    used = count(bench, dut.take & dut.first, dut.release, "used")
    bench.always("never more sequences than banks", used <= banks)
    bench.always("room while a bank is free or the sequence has one",
                 dut.room == (~dut.first | (used != banks)))  # fmt: skip
    bench.always("the bank exists", dut.bank < banks)
    bench.always("the current bank exists", ~dut.waiting | (dut.current.bank < banks))
    bench.reach("every bank is in use", used == banks)
    proof("SequenceQueue", "tiny", bench.prove())


def test_a_key_pass_too_many_is_noticed():
    """Without the rule that a key needs room the buffer of complete sequences overflows."""
    bench = Bench(SequenceQueue(TINY))
    buffers_never_overflow(bench)
    verdict = bench.prove(reach=1)
    assert not verdict.proved
    assert "buffer 0 is never written when full" in verdict.trace


def test_keys_are_taken_one_a_slot(proof):
    bench = Bench(AccumulateCore(TINY))
    dut = bench.dut
    obeys(bench, dut.keys, "keys")
    before = bench.past(taken(dut.keys) & ~bench.reset, "before")
    bench.always("no two keys within a slot", ~before | ~taken(dut.keys))
    bench.reach("two keys are taken", taken(dut.keys) & bench.past(before, "two_before"))
    proof("AccumulateCore", "tiny", bench.prove())
