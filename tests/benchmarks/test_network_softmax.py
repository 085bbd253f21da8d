# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from benchmarks.network_softmax import KINDS, designs


def test_only_the_attention_differs():
    made = designs()
    assert {tokens for tokens, _ in made} == {49, 196, 784}
    for tokens in (49, 196, 784):
        ours, softmax = (made[tokens, name] for name in KINDS)
        assert replace(ours, attention=softmax.attention) == softmax != ours
