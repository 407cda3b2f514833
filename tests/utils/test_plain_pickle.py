import builtins
import collections
import contextlib
import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.errors import DataError
from idiff.utils.plain_pickle import load_plain

PLAIN = [{"sent": "the red one", "ids": [1, -2, 2**70], "t": (1.5, None, True), "b": b"x", "u": "été"}, {}]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back(protocol):
    value = PLAIN if protocol >= 3 else [{**PLAIN[0], "b": "x"}, {}]  # before 3, bytes are made by a call
    assert load_plain(pickle.dumps(value, protocol), where="x") == value


def test_strings_of_python_2_are_utf8():
    assert load_plain(b"\x80\x02]q\x00(U\x05\xc3\xa9t\xc3\xa9U\x01ae.", where="x") == ["été", "a"]
    assert load_plain(b"(lp0\nS'man\\xc3\\xa9'\np1\na.", where="x") == ["mané"]


class Reduced:
    """What an attacker sends: at reading, call a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


EVIL = {
    "system": Reduced(os.system, "touch {file}"),
    "eval": Reduced(builtins.eval, "open({file!r}, 'w')"),
    "popen": Reduced(subprocess.Popen, ["touch", "{file}"]),
    "getattr": Reduced(getattr, "x", "upper"),
    "array": np.arange(3),
    "number": np.float64(1.5),
    "ordered": collections.OrderedDict(a=1),
    "set": {1, 2},
    "function": print,
    "class": dict,
    "complex": 1j,
    "bytearray": bytearray(b"x"),
}


def filled(value, file):
    if isinstance(value, Reduced):
        function, arguments = value.call
        fill = [
            one.format(file=str(file)) if isinstance(one, str) else [w.format(file=str(file)) for w in one]
            for one in arguments
        ]
        return Reduced(function, *fill)
    return value


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", EVIL)
def test_whatever_names_or_calls_something_is_refused(tmp_path, name, protocol):
    file = tmp_path / "touched"
    data = pickle.dumps([{"a": 1}, filled(EVIL[name], file)], protocol)
    with pytest.raises(DataError, match=r"refs is not a pickle of plain .* Nothing in it was run"):
        load_plain(data, where="refs")
    assert not file.exists()
    if name in {"system", "eval"}:  # the attack is real: the plain reader of the library runs it
        pickle.loads(data)
        assert file.exists()


HANDMADE = {
    "global": b"cos\nsystem\n(S'true'\ntR.",
    "instance": b"(S'true'\nios\nsystem\n.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"Pnumber\n.",
    "persistent from the stack": b"K\x01Q.",
    "built": b"\x80\x02}}b.",
    "out of band": b"\x80\x05\x97.",
    "huge byte array": b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
    "huge text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00a.",
    "huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00.",
    "empty": b"",
    "no end": b"\x80\x02]",
    "cut number": b"\x80\x02J\x01",
    "unhashable key": b"}]K\x01s.",
    "later protocol": b"\x80\x09.",
    "no stack": b"a.",
    "json": b'[{"a": 1}]',
}


@pytest.mark.parametrize("name", HANDMADE)
def test_other_instructions_and_damage_are_one_sentence(name):
    with pytest.raises(DataError, match="is not a pickle of plain"):
        load_plain(HANDMADE[name], where="x")


def test_a_far_place_in_the_memo_costs_nothing():
    assert load_plain(b"\x80\x02]r\xf0\xff\xff\x7f.", where="x") == []


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_files_are_values_or_errors(data):
    whole = pickle.dumps(PLAIN, data.draw(st.sampled_from([0, 2, 4])))
    cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if cut:
            cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        load_plain(bytes(cut), where="x")
