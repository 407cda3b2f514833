"""The door through which foreign bytes come in."""

import os

import pytest

from idiff.errors import BadSampleError, DataError
from idiff.utils.foreign import decoding, open_regular, parse_json, read_regular
from idiff.utils.plain_yaml import parse_yaml


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("images"), "no 'images'"),
        (RecursionError("maximum depth"), "nested too deeply"),
        (MemoryError(), "it asks for more memory than there is"),
        (OSError(2, "No such file or directory", "x"), "No such file or directory"),
        (AssertionError(), "AssertionError"),
        (ValueError("a\nb" * 200), "a ba ba b"),
    ],
)
def test_whatever_a_decoder_meets_is_one_error_of_one_line(error, said):
    with pytest.raises(DataError) as refused, decoding(lambda reason: DataError(f"x: {reason}")):
        raise error
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 210


def test_errors_of_ours_and_interrupts_pass():
    with pytest.raises(BadSampleError), decoding(DataError):
        raise BadSampleError("a", "b", "c")
    with pytest.raises(KeyboardInterrupt), decoding(DataError):
        raise KeyboardInterrupt


def test_only_plain_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "pipe", "a pipe or a device"),
        ("/dev/zero", "a pipe or a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(OSError, match=reason):
            open_regular(path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


def test_files_are_read_up_to_a_bound(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", most=5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, expected at most 4"):
        read_regular(tmp_path / "a", most=4)
    with pytest.raises(OSError, match="expected at most 4"):
        read_regular("/proc/self/status", most=4)  # its stated size is 0


def test_no_link_is_followed_below_a_folder(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "a", outside):
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(b"x")
    (inside / "file").symlink_to(outside / "x")
    (inside / "folder").symlink_to(outside)
    (tmp_path / "alias").symlink_to(inside)
    assert read_regular("a/x", inside=tmp_path / "alias") == b"x"
    for path in ("file", "folder/x", "../out/x", str(outside / "x")):
        with pytest.raises(OSError, match=r"it is a link|it leads out of its folder"):
            read_regular(path, inside=inside)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"NaN", b"", b"1" * 5000])
def test_json_is_read_or_refused(data):
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(data)


@pytest.mark.parametrize(
    "text", ["a: [1", "[" * 3000, "!!python/name:os.system", "a: 2001-99-99", "\0", "? {a: b}\n: c"]
)
def test_yaml_is_read_or_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_yaml(text)
