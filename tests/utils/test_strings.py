import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiff.utils.strings import join_words, name_words, normalise_prompt, safe_name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  paint\tthe\n\ndog ", "paint the dog"),
        ("a\x00b\x07c", "abc"),
        ("", ""),
        ("\x00\x01", ""),
        ("cafe\u0301", "caf\u00e9"),
        ("paint 🐕‍🦺 red", "paint 🐕‍🦺 red"),
        ("צבע את הכלב", "צבע את הכלב"),
        ("abc\u202edef", "abcdef"),
        ("lone \ud800 half", "lone half"),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_prompts_are_folded(raw, expected):
    assert normalise_prompt(raw) == expected


@given(st.text())
def test_folding_twice_changes_nothing_more(text):
    once = normalise_prompt(text)
    assert normalise_prompt(once) == once
    once.encode("utf-8")
    assert "\x00" not in once and "\n" not in once


@given(st.text(max_size=200))
def test_safe_names_are_file_names(text):
    name = safe_name(text)
    assert 1 <= len(name) <= 80
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    assert safe_name(text) == name


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_texts_never_share_a_name(one, other):
    if one != other:
        assert safe_name(one) != safe_name(other)


@pytest.mark.parametrize("key", ["000123", "a-b_c", "7"])
def test_plain_keys_stay(key):
    assert safe_name(key) == key


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("left_shoulder", "left shoulder"),
        ("Left-Shoulder", "left shoulder"),
        (" head  top ", "head top"),
        ("nose", "nose"),
    ],
)
def test_names_become_words(raw, expected):
    assert name_words(raw) == expected


@pytest.mark.parametrize(
    ("parts", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")]
)
def test_lists_become_phrases(parts, expected):
    assert join_words(parts) == expected
