"""Named presets: the published settings of each kind of task."""

from dataclasses import asdict

import pytest
from small_models import ROOT

from idiff.config.compose import compose
from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError
from idiff.sampling import Sampling, named_preset
from idiff.tasks import Denoise, InstructEditing, KeypointDetection, ReferringSegmentation, SemanticSegmentation

PUBLISHED = {
    "editing": (5.0, 1.25), "segmentation": (7.5, 1.5), "referring": (7.5, 1.5), "keypoints": (6.0, 0.5), "dewatermark": (1.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", PUBLISHED)
def test_paper_is_what_was_published(kind):
    got = named_preset("paper", kind, rule="instructdiffusion")
    assert (got.steps, got.sampler, (got.guidance_text, got.guidance_image)) == (
        100,
        "euler_ancestral",
        PUBLISHED[kind],
    )
    quick = named_preset("quick", kind, rule="instructdiffusion")
    assert quick.steps <= 20 and (quick.guidance_text, quick.guidance_image) == PUBLISHED[kind]


def test_instructpix2pix_has_one_pair_for_everything():
    for kind in ("editing", "segmentation"):
        got = named_preset("paper", kind, rule="instructpix2pix")
        assert (got.steps, got.guidance_text, got.guidance_image) == (100, 7.5, 1.5)


def test_a_kind_of_which_nothing_was_published_is_not_guided():
    got = named_preset("paper", "classification", rule="instructdiffusion")
    assert got.scales("instructdiffusion") == (0.5, 0.5)


def test_an_entry_writes_a_preset_out():
    entry = TaskEntry(InstructEditing(), sampling=Sampling(preset="paper"), validation=Sampling(preset="quick"))
    assert (entry.sampling.steps, entry.sampling.guidance_text, entry.sampling.preset) == (100, 5.0, None)
    assert entry.sampled(fitting=True).steps == 10 and entry.sampled(fitting=False).steps == 100
    assert Sampling(**asdict(entry.sampling)) == entry.sampling
    plain = TaskEntry(Denoise())
    assert plain.sampling == Sampling() == plain.sampled(fitting=True)


def test_a_setting_that_contradicts_a_preset_is_refused():
    with pytest.raises(ConfigError, match=r"steps is 20, and preset 'paper' sets 100 for editing"):
        Sampling(preset="paper", steps=20).resolved("editing")
    assert Sampling(preset="paper", steps=100, stop_unchanged=0.5).resolved("editing").stop_unchanged == 0.5
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        Sampling(preset="papr")
    with pytest.raises(ConfigError, match=r"data\.defaults\.sampling"):
        Sampling(preset="paper").scales("instructdiffusion")


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("ip2p", (5.0, 1.25)),
        ("coco_stuff", (7.5, 1.5)),
        ("refcoco", (7.5, 1.5)),
        ("coco", (6.0, 0.5)),
        ("clwd", (1.0, 1.0)),
    ],
)
def test_the_full_mixture_samples_as_published(name, scales):
    config = compose([str(ROOT / "configs/experiment/full.yaml")])
    entry = config["data"]["init_args"]["tasks"][name]
    tasks = {
        "ip2p": InstructEditing, "coco_stuff": SemanticSegmentation, "refcoco": ReferringSegmentation, "coco": KeypointDetection,
    }  # fmt: skip
    kind = tasks[name].kind if name in tasks else "dewatermark"
    asked, validated = (Sampling(**entry[key]).resolved(kind) for key in ("sampling", "validation"))
    assert (asked.steps, asked.sampler, asked.scales("instructdiffusion")) == (100, "euler_ancestral", scales)
    assert validated.steps < asked.steps and validated.scales("instructdiffusion") == scales
    objective = config["model"]["init_args"]["backbone"]["init_args"]["objective"]
    assert objective["spacing"] == "linspace"


def test_one_task_with_the_model_samples_as_published(tmp_path):
    file = tmp_path / "one.yaml"
    include = [str(ROOT / "configs" / name) for name in ("stage/tasks.yaml", "model/sd15.yaml")]
    file.write_text(f"include: {include}\ndata: {{class_path: SegmentationDataModule, root: data/x}}\n")
    arguments = compose([str(file)])["data"]["init_args"]
    assert arguments["sampling"] == {"preset": "paper"} and arguments["validation"] == {"preset": "quick"}
