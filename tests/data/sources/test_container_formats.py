"""Images inside of larger files: Parquet tables, webdataset tars, MATLAB arrays."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image
from raw_sets import edited, made, serves, smooth
from scipy.io import savemat
from shard_making import file_bytes, write_tar

from idiff.data.sources import create
from idiff.data.sources.parquet_tables import _open
from idiff.errors import ConfigError, DataError
from idiff.tasks import InstructEditing
from idiff.utils.masks import decode_mask


def magicbrush_table(root, rows=4, group=2):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra idiff[parquet] is not installed")
    from pyarrow import parquet

    listed = []
    for row in range(rows):
        before = smooth(row)
        alpha = np.full(before.shape[:2], 255, np.uint8)
        alpha[8:30, 10:34] = 0
        mask = io.BytesIO()
        Image.fromarray(np.dstack([before, alpha])).save(mask, "PNG")
        images = {
            "source": file_bytes(before, "PNG"),
            "mask": mask.getvalue(),
            "target": file_bytes(edited(before), "PNG"),
        }
        listed.append(
            {"img_id": str(100 + row // 2), "turn_index": row % 2 + 1, "instruction": f"edit {row}"}
            | {f"{name}_img": {"bytes": data, "path": f"{name}.png"} for name, data in images.items()}
        )
    (root / "data").mkdir(parents=True)
    for part in range(2):
        table = pyarrow.Table.from_pylist(listed[part * rows // 2 : (part + 1) * rows // 2])
        parquet.write_table(table, root / f"data/dev-0000{part}-of-00002-ab.parquet", row_group_size=group)
    return root


def test_magicbrush_as_its_hub_has_it(tmp_path):
    shards, rejected = made(tmp_path, "magicbrush", root=str(magicbrush_table(tmp_path / "raw", group=1)), split="dev")
    assert not rejected
    samples = [shards.read(place) for place in range(len(shards))]
    assert [sample.annotation["instruction"] for sample in samples] == [f"edit {row}" for row in range(4)]
    assert [shards.key(place) for place in range(4)] == ["100-output1", "100-output2", "101-output1", "101-output2"]
    assert np.array_equal(samples[3].image, smooth(3)) and np.array_equal(samples[3].target, edited(smooth(3)))
    assert decode_mask(samples[0].annotation["region"])[10, 12]
    serves(shards, InstructEditing(size=48))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    root = tmp_path / "raw"
    (root / "data").mkdir(parents=True)
    (root / "data/dev-00000-of-00001-ab.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        create("magicbrush", {"root": str(root), "split": "dev"})
    _open.cache_clear()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"needs pyarrow: pip install 'idiff\[parquet\]'"):
        create("magicbrush", {"root": str(root), "split": "val"})


def test_a_table_with_other_columns_is_said(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra idiff[parquet] is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"image": [b""], "text": ["x"]}), tmp_path / "dev-0.parquet")
    with pytest.raises(DataError, match="has no column img_id or turn_index or instruction: there are image, text"):
        create("magicbrush", {"root": str(tmp_path), "split": "dev"})


def members(key, number, **facts):
    return [
        (f"{key}.jpg", file_bytes(smooth(number), "JPEG")),
        (f"{key}.txt", f"a caption {number}\n".encode()),
        (f"{key}.json", json.dumps({"caption": f"a caption {number}", "url": "http://x", **facts}).encode()),
    ]


def test_tars_of_img2dataset_become_captioned_images(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    write_tar(root / "00000.tar", members("000000000", 0) + members("000000001", 1, caption=["two", "three"]))
    write_tar(root / "00001.tar", [*members("000010000", 2)[:1], *members("000010000", 2)[2:], ("000010000.cls", b"1")])
    shards, rejected = made(tmp_path, "webdataset", root=str(root), split="train")
    assert not rejected and shards.manifest.tasks == ["captioned"]
    facts = [shards.read(place).annotation for place in range(3)]
    assert [one["captions"] for one in facts] == [["a caption 0"], ["a caption 1", "two", "three"], ["a caption 2"]]
    assert facts[2] | {"captions": 0} == {"file_name": "00001.tar/000010000.jpg", "url": "http://x", "captions": 0}
    assert create("webdataset", {"root": str(root), "split": "train"}).notes() == ["not read: 1 .cls"]


def test_what_is_wrong_in_tars_is_named_and_the_rest_kept(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    none = [("b.jpg", file_bytes(smooth(1), "JPEG")), ("b.json", b"{")]
    twice = [("c.one.jpg", b"x"), ("c.two.jpg", b"y"), ("c.txt", b"z")]
    write_tar(root / "0.tar", [*members("a", 0), *none, *twice, ("d.jpg", b"x")])
    write_tar(root / "1.tar", members("a", 3))
    cut = write_tar(root / "2.tar", members("e", 4))
    cut.write_bytes(cut.read_bytes()[:700])
    shards, rejected = made(tmp_path, "webdataset", root=str(root), split="train")
    assert len({shards.key(place) for place in range(len(shards))}) == len(shards) == 2
    assert [line["where"] for line in rejected] == ["0.tar/b", "0.tar/c"]
    (note,) = create("webdataset", {"root": str(root), "split": "train"}).notes()
    assert "2.tar: " in note
    with pytest.raises(DataError, match="tar is missing: expected tar files"):
        create("webdataset", {"root": str(tmp_path / "none"), "split": "train"})
    (tmp_path / "plain").mkdir()
    write_tar(tmp_path / "plain/0.tar", [("a.jpg", b"x"), ("a.npy", b"")])
    with pytest.raises(DataError, match=r"no image with a caption in 1 tar files .* they hold 1 \.npy"):
        create("webdataset", {"root": str(tmp_path / "plain"), "split": "train"})


def test_sidd_in_matlab_files(tmp_path):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (2, 2, 16, 16, 3), dtype=np.uint8)
    root = tmp_path / "raw"
    root.mkdir()
    savemat(root / "ValidationNoisyBlocksSrgb.mat", {"ValidationNoisyBlocksSrgb": blocks})
    savemat(root / "ValidationGtBlocksSrgb.mat", {"ValidationGtBlocksSrgb": blocks // 2})
    shards, rejected = made(tmp_path, "sidd", root=str(root), split="val")
    assert len(shards) == 4 and not rejected and shards.manifest.tasks == ["denoise"]
    last = shards.read(3)
    assert np.array_equal(last.image, blocks[1, 1]) and np.array_equal(last.target, blocks[1, 1] // 2)
    savemat(root / "ValidationGtBlocksSrgb.mat", {"ValidationGtBlocksSrgb": blocks[..., 0]})
    with pytest.raises(DataError, match=r"'ValidationGtBlocksSrgb' is uint8 .* expected images as uint8"):
        create("sidd", {"root": str(root), "split": "val"})
