# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.spec.alphabet import as_text, as_tokens, check_alphabet, name_of


def test_characters_are_numbered_and_the_last_token_is_a_mark():
    check_alphabet("bé\n", 4)
    check_alphabet("", 99)
    assert as_tokens("bé\n", "ébb\n") == [1, 0, 0, 2]
    assert as_text("bé\n", [3, 1, 0, 2, 3]) == "éb\n"
    assert name_of("é") == "'é' (U+00E9)"
    with pytest.raises(KeyError):
        as_tokens("b", "a")


@pytest.mark.parametrize("alphabet, vocabulary, error, rule", [
    (3, 4, TypeError, "^alphabet must be a string, not 3$"),
    ("aba", 4, ValueError, r"^alphabet must hold every character once, not 'a' .U\+0061. again$"),
    ("a\x7f", 3, ValueError, "^alphabet must hold no control characters but tab and newline, not"),
    ("ab", 4, ValueError, "^vocabulary must be 3, a token for each of 2 characters and a mark, "
     "not 4$"),
])
def test_an_alphabet_that_is_none_is_refused(alphabet, vocabulary, error, rule):
    with pytest.raises(error, match=rule):
        check_alphabet(alphabet, vocabulary)
