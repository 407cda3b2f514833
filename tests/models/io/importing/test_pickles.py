"""Files of torch.save that hold anything at all: tensors come out, and nothing is run, whatever the instruction."""

import io
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch

from idiff.errors import CheckpointError
from idiff.models.io.importing.pickles import Placeholder, read_torch

CALLS = {
    "REDUCE": b"cos\nsystem\n(X{n}\x00\x00\x00{w}tR.",
    "GLOBAL and BUILD": b"cos\nsystem\n}b.",
    "INST": b"(X{n}\x00\x00\x00{w}ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nX{n}\x00\x00\x00{w}o.",
    "NEWOBJ": b"\x80\x02cos\nsystem\nX{n}\x00\x00\x00{w}\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04cos\nsystem\nX{n}\x00\x00\x00{w}\x85}\x92.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93X{n}\x00\x00\x00{w}\x85R.",
    "a method of an allowed class": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93X{n}\x00\x00\x00{w}\x85R.",
}


def program(code, mark):
    word = f"touch {mark}".encode()
    return code.replace(b"{n}", bytes([len(word)])).replace(b"{w}", word)


def zipped(path, pickled):
    """A file as torch.save writes it, with a pickle of our own."""
    torch.save({"a": torch.ones(2)}, path)
    with zipfile.ZipFile(path) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in names.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else data)
    return path


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_every_instruction_that_calls_leaves_a_placeholder(tmp_path, code):
    mark = tmp_path / "ran"
    made = read_torch(zipped(tmp_path / "x.ckpt", program(code, mark)))
    assert isinstance(made, Placeholder)
    assert made.name in {"os.system", "collections.OrderedDict.fromkeys"}
    assert not mark.exists()


def test_the_same_program_runs_where_pickle_reads_it(tmp_path):
    mark = tmp_path / "ran"
    pickle.loads(program(CALLS["REDUCE"], mark))
    assert mark.exists()


def test_tensors_come_back_as_they_were_saved(tmp_path):
    values = OrderedDict(
        whole=torch.arange(12.0).reshape(3, 4), view=torch.arange(12.0).reshape(3, 4).t()[1:], half=torch.ones(2).half(),
        bfloat=torch.ones(2).bfloat16(), number=torch.tensor(3), empty=torch.zeros(0, 3), byte=torch.ones(3, dtype=torch.uint8),
        parameter=torch.nn.Parameter(torch.rand(3)), shared=torch.ones(4),
    )  # fmt: skip
    values["again"] = values["shared"]
    for new in (True, False):
        torch.save(
            {"state_dict": values, "lr": 1e-4, "names": ("a", None)}, tmp_path / "x", _use_new_zipfile_serialization=new
        )
        made = read_torch(tmp_path / "x")
        assert (made["lr"], made["names"]) == (1e-4, ("a", None))
        for name, value in values.items():
            assert made["state_dict"][name].dtype == value.dtype
            assert torch.equal(made["state_dict"][name], value.detach())


@pytest.mark.parametrize(
    ("size", "stride", "offset"), [((9,), (1,), 0), ((2,), (1,), 1), ((2,), (-1,), 1), ((2, 2), (1, 1), 0)]
)
def test_a_tensor_that_reaches_past_its_storage_is_refused(tmp_path, size, stride, offset):
    class Pickler(pickle._Pickler):
        def persistent_id(self, value):
            return value if isinstance(value, tuple) and value[:1] == ("storage",) else None

    class Rebuilt:
        def __reduce__(self):
            storage = ("storage", torch.FloatStorage, "0", "cpu", 2)
            return torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, OrderedDict())

    stream = io.BytesIO()
    Pickler(stream, 2).dump(Rebuilt())
    with pytest.raises(CheckpointError, match="tensor in it"):
        read_torch(zipped(tmp_path / "x.ckpt", stream.getvalue()))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_is_cut_short_is_one_sentence(tmp_path, share, new):
    file = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"a": torch.rand(1000)}}, file, _use_new_zipfile_serialization=new)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"x\.ckpt cannot be read as weights"):
        read_torch(file)


def test_programs_and_archives_are_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "script.pt")
    with pytest.raises(CheckpointError, match="TorchScript archive, which is a program"):
        read_torch(tmp_path / "script.pt")
    (tmp_path / "words.ckpt").write_text("no weights", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_torch(tmp_path / "words.ckpt")
