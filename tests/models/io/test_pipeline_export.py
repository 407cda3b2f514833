"""What `--format diffusers` writes, loaded by diffusers alone: the same pictures as ours under the same noise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compvis_models import small_sd
from diffusers import DiffusionPipeline, StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline
from PIL import Image

from idiff.cli import main
from idiff.models.io.checkpoint import load
from idiff.models.io.pipeline_export import OWN_CLASS, PIPELINE, stock_class, write_pipeline
from idiff.sampling import Sampling
from idiff.utils.seeds import torch_rng

SEEDS = [3, 4]
PROMPTS = ["mark the star in red", ""]


def opened(folder, **options):
    """The pipeline of an exported folder, as its card says."""
    pipe = DiffusionPipeline.from_pretrained(
        folder, custom_pipeline=f"{folder}/pipeline.py", trust_remote_code=True, local_files_only=True, **options
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def source(height=64, width=64):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(5)) * 2 - 1


def same_noise(backbone):
    return [torch_rng(backbone.sample_seed, "sample", seed) for seed in SEEDS]


def difference(backbone, pipe, sampling, pixels):
    """Largest difference of a channel, in [0, 2], between what ours and what the exported pipeline paint of the same noise."""
    ours = backbone.edit(pixels, PROMPTS, sampling=sampling, seeds=SEEDS)
    text, image = sampling.scales(backbone.objective.rule)
    theirs = pipe(
        PROMPTS, image=pixels, num_inference_steps=sampling.steps, guidance_scale=text, image_guidance_scale=image,
        sampler=sampling.sampler, generator=same_noise(backbone), output_type="pt",
    ).images  # fmt: skip
    assert float(ours.std()) > 0.01
    return float((ours - theirs).abs().max())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "tiny"
    assert main(["export", "--checkpoint", "tiny", "--out", str(folder), "--format", "diffusers"]) == 0
    return folder


@pytest.mark.parametrize("sampler", ["ddim", "euler", "euler_ancestral", "dpmpp_2m"])
def test_tiny_paints_the_same_as_a_pipeline_of_diffusers(tiny, sampler):
    backbone, pipe = load("tiny").backbone, opened(tiny)
    sampling = Sampling(steps=4, guidance_text=4.0, guidance_image=1.25, sampler=sampler)
    assert difference(backbone, pipe, sampling, source(64, 128)) <= 1e-4
    assert difference(backbone, pipe, Sampling(steps=1, sampler=sampler), source()) <= 1e-4


@pytest.mark.parametrize("rule", ["instructdiffusion", "instructpix2pix"])
@pytest.mark.parametrize(
    "objective",
    [
        {"spacing": "leading"},
        {"spacing": "linspace"},
        {"prediction": "v_prediction", "zero_terminal_snr": True, "spacing": "trailing"},
    ],
    ids=["leading", "linspace", "zero-snr"],
)
def test_a_model_of_noise_or_velocity_paints_the_same(tmp_path, rule, objective):
    backbone = small_sd(tmp_path / "parts", rule=rule, **objective)
    folder = write_pipeline(backbone, tmp_path / "out")
    pipe = opened(folder)
    for text, image in ((5.0, 1.25), (7.5, 1.5), (6.0, 0.5)):
        sampling = Sampling(steps=6, guidance_text=text, guidance_image=image, sampler="euler_ancestral")
        assert difference(backbone, pipe, sampling, source(64, 128)) <= 1e-4


def test_half_of_the_rules_difference_is_seen(tmp_path):
    """Under the other rule the pictures differ: the comparison above can fail."""
    backbone = small_sd(tmp_path / "parts", rule="instructdiffusion")
    pipe = opened(write_pipeline(backbone, tmp_path / "out"))
    pipe.register_to_config(rule="instructpix2pix")
    sampling = Sampling(steps=6, guidance_text=5.0, guidance_image=1.25, sampler="euler_ancestral")
    assert difference(backbone, pipe, sampling, source()) > 1e-3


def test_a_residual_model_is_never_under_a_stock_class_name(tiny):
    index = json.loads((tiny / "model_index.json").read_text())
    assert index["_class_name"] == ["pipeline", OWN_CLASS]
    assert index["residual"] is True and index["rule"] == "instructdiffusion"
    assert not hasattr(sys.modules["diffusers"], OWN_CLASS)
    for kind in (DiffusionPipeline, StableDiffusionInstructPix2PixPipeline):
        with pytest.raises(ValueError, match="trust_remote_code"):
            kind.from_pretrained(tiny, local_files_only=True)


@pytest.mark.parametrize(
    ("objective", "with_source", "name"),
    [
        ({"rule": "instructpix2pix"}, True, "StableDiffusionInstructPix2PixPipeline"),
        ({"rule": "instructpix2pix", "prediction": "sample"}, True, None),
        ({"rule": "instructpix2pix", "prediction": "sample", "residual": True}, True, None),
        ({"rule": "instructdiffusion"}, True, None),
        ({"rule": "instructdiffusion"}, False, "StableDiffusionPipeline"),
    ],
)
def test_stock_classes_are_named_where_they_do_the_same(tmp_path, objective, with_source, name):
    assert stock_class(small_sd(tmp_path / "parts", with_source=with_source, **objective)) == name


def test_a_model_under_instructpix2pixs_rule_loads_in_its_stock_pipeline_as_it_is(tmp_path, caplog):
    backbone = small_sd(tmp_path / "parts", spacing="trailing")
    folder = write_pipeline(backbone, tmp_path / "out")
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, local_files_only=True)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    pipe.set_progress_bar_config(disable=True)
    for name, part in {
        "unet": backbone.unet,
        "vae": backbone.autoencoder.net,
        "text_encoder": backbone.text.net,
    }.items():
        loaded = getattr(pipe, name).state_dict()
        assert all(torch.equal(value, loaded[key]) for key, value in part.state_dict().items())
    ours = backbone.edit(
        source(), PROMPTS, seeds=SEEDS,
        sampling=Sampling(steps=5, guidance_text=6.0, guidance_image=1.5, sampler="euler_ancestral"),
    )  # fmt: skip
    theirs = pipe(
        PROMPTS, image=source(), num_inference_steps=5, guidance_scale=6.0, image_guidance_scale=1.5,
        generator=same_noise(backbone), output_type="pt",
    ).images  # fmt: skip
    assert float((ours - (2 * theirs - 1)).abs().max()) <= 1e-4


def test_a_model_of_words_alone_loads_in_the_stock_pipeline_too(tmp_path):
    backbone = small_sd(tmp_path / "parts", with_source=False)
    folder = write_pipeline(backbone, tmp_path / "out")
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    assert pipe("a star", num_inference_steps=2, height=64, width=64).images[0].size == (64, 64)
    assert opened(folder)("a star", num_inference_steps=2, size=64).images[0].size == (64, 64)


def test_presets_and_sizes_come_along(tiny):
    pipe = opened(tiny)
    entries = load("tiny")
    assert set(pipe.config.presets) == set(entries.presets)
    assert next(iter(pipe.config.presets)) == "editing"
    assert pipe.preset("segmentation")["steps"] == entries.presets["segmentation"].steps
    photo = Image.effect_noise((100, 70), 60).convert("RGB")
    answer = pipe("mark the star in red", image=photo, task="segmentation").images[0]
    assert answer.size == (100, 70)
    assert answer.crop((0, 0, 15, 70)).tobytes() == photo.crop((0, 0, 15, 70)).tobytes()  # not seen, so not painted
    assert answer.tobytes() != photo.tobytes()
    with pytest.raises(ValueError, match="task is 'segmentatoin': expected one of editing"):
        pipe("x", image=photo, task="segmentatoin")
    with pytest.raises(ValueError, match="sampler is 'ddimm': expected one of ddim"):
        pipe("x", image=photo, sampler="ddimm")
    with pytest.raises(ValueError, match="image is missing: this model takes one"):
        pipe("x")


@pytest.mark.parametrize(
    ("size", "longest", "painted"),
    [
        ((512, 512), 512, (512, 512)),
        ((1920, 1080), 512, (512, 320)),
        ((640, 480), 512, (512, 384)),
        ((100, 64), 64, (64, 64)),
    ],
)
def test_sizes_follow_the_released_rule(tiny, size, longest, painted):
    module = sys.modules[type(opened(tiny)).__module__]
    assert module.painted_size(*size, longest) == painted
    left, top, right, bottom = module.centre_box(*size, painted)
    assert left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
    assert abs((right - left) / (bottom - top) - painted[0] / painted[1]) < 0.01


def test_noise_can_be_given_and_repeats(tiny):
    pipe = opened(tiny)
    latents = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    options = {"image": source()[:1], "num_inference_steps": 2, "output_type": "pt"}
    one = pipe("a", latents=latents, sampler="ddim", **options).images
    assert torch.equal(one, pipe("a", latents=latents, sampler="ddim", return_dict=False, **options)[0])
    assert not torch.equal(one, pipe("a", latents=-latents, sampler="ddim", **options).images)
    rngs = [torch.Generator().manual_seed(7) for _ in range(2)]
    twice = [pipe("a", generator=rng, sampler="euler_ancestral", **options).images for rng in rngs]
    assert torch.equal(*twice)


def test_the_exported_folder_is_read_here_with_rule_and_presets(tiny):
    before, after = load("tiny"), load(tiny)
    state = after.backbone.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in before.backbone.state_dict().items())
    assert (after.backbone.objective, after.presets, after.config) == (
        before.backbone.objective,
        before.presets,
        before.config,
    )


def test_the_pipeline_stands_alone(tiny):
    """It runs where idiff cannot be imported, and imports nothing but what it says."""
    script = f"""
import sys
sys.modules["idiff"] = None
from diffusers import DiffusionPipeline
from PIL import Image
pipe = DiffusionPipeline.from_pretrained({str(tiny)!r}, custom_pipeline={str(tiny)!r} + "/pipeline.py", trust_remote_code=True)
print(pipe("mark", image=Image.new("RGB", (64, 64))).images[0].size)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout.strip() == "(64, 64)", done.stderr
    assert "idiff" not in (tiny / PIPELINE).read_text().replace("InstructionEdit", "")


def test_a_card_goes_along(tiny):
    card = (tiny / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: diffusers\n")
    assert "| guidance rule | instructdiffusion |" in card and "| segmentation | ddim |" in card
    code = card.split("```python\n")[1].split("```")[0]
    folder = Path("photo.png")
    assert f'custom_pipeline="{tiny}/pipeline.py"' in code and str(folder) in code


def test_dtype_is_a_choice(tmp_path):
    out = tmp_path / "half"
    words = ["export", "--checkpoint", "tiny", "--out", str(out), "--format", "diffusers", "--dtype", "float16"]
    assert main(words) == 0
    assert opened(out, dtype=torch.float16).unet.dtype == torch.float16
