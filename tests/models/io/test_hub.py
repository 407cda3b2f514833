"""`idiff push`, against a stand-in for the hub's client."""

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from idiff.cli import main
from idiff.errors import CheckpointError
from idiff.models.io import hub


class Hub:
    """Keeps what it is told."""

    def __init__(self, error=None):
        self.error, self.made, self.pushed = error, [], []

    def create_repo(self, **options):
        if self.error:
            raise self.error
        self.made.append(options)
        return f"https://huggingface.co/{options['repo_id']}"

    def upload_folder(self, **options):
        self.pushed.append(options)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("push") / "model"
    assert main(["export", "--checkpoint", "tiny", "--out", str(folder), "--format", "diffusers"]) == 0
    return folder


def test_a_folder_is_pushed_to_a_private_repository(exported, monkeypatch, capsys):
    api = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    assert main(["push", str(exported), "--repo", "me/mine"]) == 0
    assert capsys.readouterr().out == "https://huggingface.co/me/mine\n"
    assert api.made == [{"repo_id": "me/mine", "repo_type": "model", "private": True, "exist_ok": True}]
    assert (api.pushed[0]["repo_id"], api.pushed[0]["folder_path"]) == ("me/mine", str(exported))
    assert hub.push_folder(exported, "me/shown", public=True, api=api) and api.made[1]["private"] is False


def test_what_the_hub_refuses_is_one_sentence(exported, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: Hub(LocalTokenNotFoundError("no token")))
    assert main(["push", str(exported), "--repo", "me/mine"]) == 2
    error = capsys.readouterr().err
    assert "cannot be pushed to 'me/mine': no token" in error and "hf auth login" in error and "Traceback" not in error


def test_only_whole_exports_are_pushed(exported, tmp_path):
    api = Hub()
    with pytest.raises(CheckpointError, match="is not an exported model"):
        hub.push_folder(tmp_path, "me/mine", api=api)
    (weights,) = (exported / "unet").glob("*.safetensors")
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="not the file that was exported"):
        hub.push_folder(exported, "me/mine", api=api)
    weights.write_bytes(kept)
    assert api.made == api.pushed == []


def test_a_folder_that_shares_parts_is_exported_first():
    from idiff.models.io.pretrained import located

    with pytest.raises(CheckpointError, match=r"shares .* with other folders"):
        hub.push_folder(located("tiny"), "me/mine", api=Hub())
