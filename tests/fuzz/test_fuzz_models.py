"""Checkpoints, exported models and decoders: any bytes end in weights or in an error of ours, and nothing in them runs."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from fuzzing import SEEDS, VALUES, altered, any_bytes, budget, changed, json_bytes, json_files, tried, variants
from hypothesis import given
from hypothesis import strategies as st

from idiff.curation.quality.aesthetic import load_head
from idiff.decoders import weights as decoders
from idiff.decoders.decoder_unet import ReadoutNet
from idiff.models.io import checkpoint as checkpoints
from idiff.models.io.export import read_description, read_folder, write_folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def content(backbone):
    state = {
        f"backbone.{key}": value for key, value in backbone.state_dict().items() if not key.startswith("autoencoder.")
    }
    return {
        "state_dict": state,
        "backbone": backbone.describe(),
        "global_step": 7,
        "config": {"data": {}},
        "tasks": {"a": {}},
    }


SMALL = saved({"state_dict": {"a": torch.zeros(2, 3)}, "global_step": 1, "config": {"a": [1, None, "b"]}})
OLD = io.BytesIO()
torch.save({"state_dict": {"a": torch.zeros(2)}}, OLD, _use_new_zipfile_serialization=False)


@budget(3)
@given(data=any_bytes(SMALL, OLD.getvalue()))
def test_bytes_of_checkpoints(place, data):
    for each in variants(data):
        (place / "a.ckpt").write_bytes(each)
        with tried("checkpoint: .ckpt"):
            assert "state_dict" in checkpoints.read(place / "a.ckpt")


def test_values_in_checkpoints(place, backbone):
    good = content(backbone)
    plain = {key: value for key, value in good.items() if key != "state_dict"}
    torch.save(good, place / "b.ckpt")
    assert checkpoints.load(place / "b.ckpt").step == 7

    @budget(0.1)
    @given(SEEDS, st.lists(VALUES, min_size=1, max_size=2), st.booleans())
    def property_(seed, parts, weights):
        made = altered(plain, seed, parts)
        state = altered(good["state_dict"], seed, parts) if weights else good["state_dict"]
        torch.save((made if isinstance(made, dict) else plain) | {"state_dict": state}, place / "b.ckpt")
        with tried("checkpoint: model and weights"):
            checkpoints.load(place / "b.ckpt")

    property_()


def test_exported_folders(place, backbone):
    whole = place / "whole"
    write_folder(backbone, whole, config={}, step=3)
    value = json.loads((whole / "idiff.json").read_bytes())
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    folder = place / "exported"

    @budget(1)
    @given(json_files(value))
    def description(data):
        (place / "idiff.json").write_bytes(data)
        with tried("exported model: idiff.json"):
            read_description(place)

    @budget(0.1)
    @given(st.sampled_from(files), SEEDS, st.booleans())
    def property_(file, seed, signed):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        (folder / file).write_bytes(changed((whole / file).read_bytes(), seed))
        if signed and file.suffix == ".safetensors":  # whoever changed the file can change its checksum, too
            from idiff.utils.files import sha256_file

            made = value | {"sha256": value["sha256"] | {str(file): sha256_file(folder / file)}}
            (folder / "idiff.json").write_text(json.dumps(made))
        with tried("exported model: folder of safetensors"):
            read_folder(folder)

    description()
    property_()


def test_decoders(place):
    torch.manual_seed(0)
    folder = decoders.save(place / "decoder", ReadoutNet([4, 8]), trained={"steps": 1})
    good = {file.name: file.read_bytes() for file in folder.iterdir()}

    @budget(0.5)
    @given(json_files(json.loads(good["config.json"])), SEEDS, st.booleans())
    def property_(config, seed, weights):
        (folder / "config.json").write_bytes(good["config.json"] if weights else config)
        (folder / "model.safetensors").write_bytes(
            changed(good["model.safetensors"], seed) if weights else good["model.safetensors"]
        )
        with tried("learned decoder"):
            decoders.load(folder)

    property_()


@budget(1)
@given(
    data=any_bytes(saved({"linear.weight": torch.zeros(1, 4), "linear.bias": torch.zeros(1)}), SMALL),
    suffix=st.sampled_from(("pth", "safetensors")),
)
def test_aesthetic_heads(place, data, suffix):
    for each in variants(data):
        (place / f"head.{suffix}").write_bytes(each)
        with tried("weights of an aesthetic predictor"):
            load_head(str(place / f"head.{suffix}"))


@budget(1)
@given(data=any_bytes(json_bytes({"a": 1})))
def test_tables_of_scores(place, data):
    from idiff.curation.quality import scores

    stream = io.BytesIO()
    np.save(stream, np.zeros(2, scores.ROW))
    for content_ in (data, changed(stream.getvalue(), len(data))):
        (place / "s.npy").unlink(missing_ok=True)
        (place / "s.npy").write_bytes(content_)
        with tried("table of scores"):
            table = scores._load(place / "s.npy", rows=2)
            assert table is None or table.shape == (2,)
