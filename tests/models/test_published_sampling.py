"""Our sampler under the same noise as two others: diffusers' InstructPix2Pix pipeline, and k-diffusion written out plainly."""

import numpy as np
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from small_models import TEXT, UNET

from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder
from idiff.sampling import Sampling
from idiff.utils.seeds import torch_rng

SEED = 5
PROMPT = "paint the star red"
SIZES = [(64, 64), (64, 128)]


def model(autoencoder_folder, rule):
    """A noise-predicting model as Stable Diffusion is one, with weights that do say something."""
    torch.manual_seed(1)
    objective = Objective(spacing="linspace", rule=rule)
    made = LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder),
        text=TextEncoder(config=TEXT),
        unet=UNET,
        objective=objective,
    )
    for parameter in made.unet.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def picture(size):
    return torch.from_numpy(np.random.default_rng(3).uniform(-1, 1, (1, 3, *size)).astype(np.float32))


def noise():
    return torch_rng(0, "sample", SEED)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("steps", [2, 10, 25, 100])
def test_images_are_those_of_diffusers_pipeline(autoencoder_folder, size, steps):
    ours = model(autoencoder_folder, "instructpix2pix")
    scheduler = EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=ours.autoencoder.net, text_encoder=ours.text.net, tokenizer=ours.text.tokenizer, unet=ours.unet,
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        PROMPT, image=picture(size) / 2 + 0.5, num_inference_steps=steps, guidance_scale=7.5, image_guidance_scale=1.5,
        generator=noise(), output_type="pt",
    ).images  # fmt: skip
    sampling = Sampling(steps=steps, sampler="euler_ancestral", guidance_text=7.5, guidance_image=1.5)
    painted = ours.edit(picture(size), [PROMPT], sampling=sampling, seeds=[SEED])
    assert float((painted - picture(size)).abs().mean()) > 0.05
    torch.testing.assert_close((painted / 2 + 0.5).clamp(0, 1), theirs, rtol=0, atol=1e-4)


def released(ours, source, *, steps, text, image):
    """The released command line's latent in k-diffusion's own variables: x = latent + sigma * noise, which is not scaled down."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    clean = (1 - betas).cumprod(0)
    logs = ((1 - clean) / clean).sqrt().log()

    def level(t):
        low = int(t)
        high = min(low + 1, 999)
        return float((logs[low] + (t - low) * (logs[high] - logs[low])).exp())

    with torch.no_grad():
        given, words = ours.autoencoder.net.encode(source).latent_dist.mode(), ours.text([PROMPT, ""])
    told, silent = words[:1], words[1:]
    places = torch.linspace(999, 0, steps, dtype=torch.float64).tolist()
    sigmas = [*map(level, places), 0.0]
    rng = noise()
    x = torch.randn(given.shape, generator=rng) * sigmas[0]

    def eps(x, sigma, t, latent, states):
        scaled = torch.cat([x / (sigma**2 + 1) ** 0.5, latent], dim=1)
        with torch.no_grad():
            return ours.unet(scaled, torch.tensor([t], dtype=torch.float32), encoder_hidden_states=states).sample

    for t, sigma, after in zip(places, sigmas, sigmas[1:], strict=False):
        both = x - sigma * eps(x, sigma, t, given, told)
        wordless = x - sigma * eps(x, sigma, t, given, silent)
        sightless = x - sigma * eps(x, sigma, t, torch.zeros_like(given), told)
        denoised = 0.5 * (wordless + sightless) + text * (both - wordless) + image * (both - sightless)
        up = min(after, (after**2 * (sigma**2 - after**2) / sigma**2) ** 0.5)
        down = (after**2 - up**2) ** 0.5
        x = x + (x - denoised) / sigma * (down - sigma)
        if after > 0:
            x = x + torch.randn(x.shape, generator=rng) * up
    return x


@pytest.mark.parametrize("scales", [(5.0, 1.25), (7.5, 1.5), (6.0, 0.5), (1.0, 1.0)])
@pytest.mark.parametrize(("size", "steps"), [((64, 128), 10), ((96, 64), 10), ((64, 64), 100)])
def test_latents_are_those_of_the_released_command_line(autoencoder_folder, monkeypatch, size, steps, scales):
    ours = model(autoencoder_folder, "instructdiffusion")
    text, image = scales
    wanted = released(ours, picture(size), steps=steps, text=text, image=image)
    monkeypatch.setattr(ours.autoencoder, "decode", lambda latent: latent)
    sampling = Sampling(steps=steps, sampler="euler_ancestral", guidance_text=text, guidance_image=image)
    latent = ours.edit(picture(size), [PROMPT], sampling=sampling, seeds=[SEED])
    assert float(wanted.std()) > 0.1
    torch.testing.assert_close(latent, wanted, rtol=0, atol=1e-4 * max(1.0, float(wanted.abs().max())))
