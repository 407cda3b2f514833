"""A diffusers pipeline for vision tasks as instruction-guided image edits: one file, which needs torch, PIL and diffusers alone.

    pipe = DiffusionPipeline.from_pretrained(DIR, custom_pipeline=DIR + "/pipeline.py", trust_remote_code=True)
    picture = pipe("mark the dog in red", image=Image.open("photo.jpg"), task="segmentation").images[0]

It holds what a stock pipeline does not know of such a model: the guidance rule that its condition dropout prepares for, whether
its U-Net's output is added to the source (`residual`), how each task is sampled (`presets`), and the sizes it paints at.
"""

import math
from itertools import pairwise

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image

MODEL = {"rule": "instructdiffusion", "residual": False, "size": 512, "presets": {}}
"""What this model is; see `InstructionEditPipeline`."""

OFF = {"instructdiffusion": 0.5, "instructpix2pix": 1.0}
"""Guidance rule -> the scale of text and image at which guidance is off."""


def branches(rule, text, image):
    """What a guided step evaluates: [(with image, with text, weight)]; the weights sum to 1, those of weight 0 are left out.

    instructdiffusion (arXiv 2309.03895, its code): 0.5 (e(I,0) + e(0,T)) + s_T (e(I,T) - e(I,0)) + s_I (e(I,T) - e(0,T))
    instructpix2pix (arXiv 2211.09800, equation 3): e(0,0) + s_T (e(I,T) - e(I,0)) + s_I (e(I,0) - e(0,0))
    """
    if rule == "instructdiffusion":
        terms = [(True, True, text + image), (True, False, 0.5 - text), (False, True, 0.5 - image)]
    else:
        terms = [(True, True, text), (True, False, image - text), (False, False, 1.0 - image)]
    return [term for term in terms if term[2] != 0]


def painted_size(width, height, longest, multiple=64):
    """Width and height that a picture is painted at: multiples of 64, the longer side about `longest` (InstructPix2Pix's rule)."""
    factor = longest / max(width, height)
    factor = math.ceil(min(width, height) * factor / multiple) * multiple / min(width, height)
    return tuple(max(multiple, math.floor(side * factor / multiple) * multiple) for side in (width, height))


def centre_box(width, height, shape):
    """The largest box in the middle of a picture whose sides are in the ratio of `shape`: (left, top, right, bottom)."""
    scale = min(width / shape[0], height / shape[1])
    inside = round(shape[0] * scale), round(shape[1] * scale)
    left, top = (width - inside[0]) // 2, (height - inside[1]) // 2
    return left, top, left + inside[0], top + inside[1]


def to_tensor(picture):
    """PIL to float32 (1, 3, H, W) in [-1, 1]."""
    pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    return pixels.reshape(1, picture.height, picture.width, 3).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(pixels):
    """(3, H, W) in [-1, 1] to PIL."""
    data = ((pixels.float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return Image.frombytes("RGB", (data.shape[1], data.shape[0]), bytes(data.flatten().tolist()))


class InstructionEditPipeline(DiffusionPipeline):
    """Paint the answer to an instruction into a picture.

    Args:
        vae, text_encoder, tokenizer, unet: as in Stable Diffusion; `unet` takes the noisy latent and the unscaled source latent.
        scheduler: brings the noise schedule: its betas, what the U-Net predicts, and the spacing of timesteps.
        rule: guidance rule, see `branches`.
        residual: the U-Net's output is added to the scaled source latent.
        size: pixels of the longer side, where a call does not say.
        presets: task -> {"steps", "guidance_text", "guidance_image", "sampler", "size"}.

    The last four are those of `MODEL` where they are not given.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"

    def __init__(
        self, vae, text_encoder, tokenizer, unet, scheduler, rule=None, residual=None, size=None, presets=None
    ):
        super().__init__()
        self.register_modules(vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler)
        given = {"rule": rule, "residual": residual, "size": size, "presets": presets}
        self.register_to_config(**{key: MODEL[key] if value is None else value for key, value in given.items()})

    @torch.no_grad()
    def __call__(
        self,
        prompt,
        image=None,
        *,
        task=None,
        num_inference_steps=None,
        guidance_scale=None,
        image_guidance_scale=None,
        sampler=None,
        size=None,
        generator=None,
        latents=None,
        output_type="pil",
        return_dict=True,
    ):
        """Paint.

        Args:
            prompt: one instruction, or several for the same picture.
            image: a PIL picture of any size, or a float tensor (1 or B, 3, H, W) in [-1, 1] that is painted at its own size.
                None for a model of words alone.
            task: whose preset sets the five values below where they are None; None: the first one's.
            num_inference_steps: network steps.
            guidance_scale, image_guidance_scale: s_T and s_I of the rule.
            sampler: ddim, euler, euler_ancestral or dpmpp_2m.
            size: pixels of the longer side that a PIL picture is painted at.
            generator: of the noise at the start and in every step; one, or one for each prompt.
            latents: standard normal (B, C, h, w) to start from, in place of the generator's.
            output_type: "pil", in the size of the picture; or "pt", (B, 3, H, W) in [-1, 1] as painted.

        Returns:
            `.images`; a tuple of them with `return_dict=False`.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        preset = self.preset(task)
        steps = preset["steps"] if num_inference_steps is None else num_inference_steps
        text = preset["guidance_text"] if guidance_scale is None else guidance_scale
        look = preset["guidance_image"] if image_guidance_scale is None else image_guidance_scale
        sampler = sampler or preset["sampler"]
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler is {sampler!r}: expected one of {', '.join(SAMPLERS)}")
        takes_image = self.unet.config.in_channels == 2 * self.vae.config.latent_channels
        if takes_image != (image is not None):
            raise ValueError(
                f"image is {'missing' if takes_image else 'given'}: this model takes {'one' if takes_image else 'none'}"
            )

        device, dtype = self._execution_device, self.unet.dtype
        longest = size or preset.get("size") or self.config.size
        pixels, box = self.seen(image, longest)
        source = None
        if pixels is not None:
            source = self.vae.encode(pixels.to(device, self.vae.dtype)).latent_dist.mode().to(dtype)
            source = source.expand(len(prompts), -1, -1, -1)
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        cells = source.shape[1:] if source is not None else (self.vae.config.latent_channels, *[longest // factor] * 2)
        shape = (len(prompts), *cells)
        noise = (
            randn_tensor(shape, generator=generator, device=device) if latents is None else latents.to(device).float()
        )
        states = self.encode([*prompts, ""])
        parts = branches(self.config.rule, text, look)
        context = torch.cat(
            [states[:-1] if with_text else states[-1:].expand(len(prompts), -1, -1) for _, with_text, _ in parts]
        )
        condition = None
        if source is not None:
            condition = torch.cat([source if with_image else torch.zeros_like(source) for with_image, _, _ in parts])

        def denoise(noisy, t, alpha, sigma):
            """Guided x_0 and noise of x_t = alpha x_0 + sigma noise."""
            repeated = noisy.to(dtype).repeat(len(parts), 1, 1, 1)
            inputs = repeated if condition is None else torch.cat([repeated, condition], dim=1)
            time = torch.full(
                (len(inputs),), t, device=device, dtype=torch.long if float(t).is_integer() else torch.float32
            )
            output = self.unet(inputs, time, encoder_hidden_states=context).sample
            if self.config.residual and condition is not None:
                output = output + self.vae.config.scaling_factor * condition
            guided = sum(part[2] * each.float() for part, each in zip(parts, output.chunk(len(parts)), strict=True))
            return clean_and_noise(guided, noisy, alpha, sigma, self.scheduler.config.prediction_type)

        def fresh():
            return randn_tensor(shape, generator=generator, device=device)

        with self.progress_bar(total=steps) as bar:
            levels = noise_levels(self.scheduler.config, steps)
            clean = SAMPLERS[sampler](denoise, noise, levels, fresh, bar.update)
        painted = (
            self.vae.decode((clean / self.vae.config.scaling_factor).to(self.vae.dtype)).sample.clamp(-1, 1).float()
        )
        images = painted if output_type == "pt" else [put_back(each, image, box) for each in painted]
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def preset(self, task):
        """How a task is sampled."""
        presets = self.config.presets
        if task is not None and task not in presets:
            raise ValueError(f"task is {task!r}: expected one of {', '.join(presets)}")
        off = OFF[self.config.rule]
        plain = {"steps": 50, "guidance_text": off, "guidance_image": off, "sampler": "euler_ancestral"}
        return {**plain, **presets.get(task or next(iter(presets), None), {})}

    def seen(self, image, longest):
        """A picture as the network sees it, (B, 3, H, W), and the box of a PIL picture that this shows."""
        if image is None or torch.is_tensor(image):
            return image, None
        shape = painted_size(*image.size, longest)
        box = centre_box(*image.size, shape)
        return to_tensor(image.convert("RGB").resize(shape, Image.Resampling.LANCZOS, box=box)), box

    def encode(self, prompts):
        """Hidden states (B, L, D) of prompts; those that are too long are cut."""
        length = self.text_encoder.config.max_position_embeddings
        ids = self.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        return self.text_encoder(ids.to(self.text_encoder.device)).last_hidden_state.to(self.unet.dtype)


def put_back(pixels, image, box):
    """The painted picture in the size of the one that was asked about, pixel on pixel; a border that was not seen stays."""
    painted = to_picture(pixels)
    if box is None:
        return painted
    whole = image.convert("RGB").copy()
    whole.paste(painted.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS), box[:2])
    return whole


def clean_and_noise(output, noisy, alpha, sigma, prediction):
    """x_0 and the noise of x_t = alpha x_0 + sigma noise, from what the network predicts."""
    if prediction == "epsilon":
        return (noisy - sigma * output) / alpha, output
    if prediction == "sample":
        return output, (noisy - alpha * output) / sigma
    return alpha * noisy - sigma * output, alpha * output + sigma * noisy


def noise_levels(config, steps):
    """[(t, alpha_t, sigma_t)] of the steps from noisy to clean, then (None, 1, 0); see Lin et al., arXiv 2305.08891, table 2."""
    total = config.num_train_timesteps
    roots = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, total, dtype=torch.float64)
    alphas = (1 - roots**2).cumprod(0).sqrt()
    if config.rescale_betas_zero_snr:
        alphas = (alphas - alphas[-1]) * (alphas[0] / (alphas[0] - alphas[-1]))
    squared = (alphas**2).float().double()  # tables are kept in single precision
    if config.timestep_spacing == "trailing":
        times = [round(total - i * total / steps) - 1 for i in range(steps)]
    elif config.timestep_spacing == "leading":
        times = [i * (total // steps) for i in reversed(range(steps))]
    else:
        times = [(total - 1) * (1 - i / max(steps - 1, 1)) for i in range(steps)]
    return [(t, *_level(squared, t)) for t in times] + [(None, 1.0, 0.0)]


def _level(squared, t):
    """Amplitudes at a timestep; between two whole ones, sigma / alpha is interpolated in its logarithm, as k-diffusion does."""
    low = math.floor(t)
    part = t - low
    if part == 0:
        return math.sqrt(squared[low]), math.sqrt(1 - squared[low])
    ratios = [0.5 * math.log((1 - squared[i]) / max(squared[i], 2.0**-24)) for i in (low, low + 1)]
    ratio = math.exp((1 - part) * ratios[0] + part * ratios[1])
    return 1 / math.sqrt(1 + ratio**2), ratio / math.sqrt(1 + ratio**2)


def _finite(levels):
    """The levels with a little signal in the first, for samplers that divide by it."""
    first = levels[0]
    return levels if first[1] > 0 else [(first[0], 2.0**-12, math.sqrt(1 - 2.0**-24)), *levels[1:]]


def ddim(denoise, x, levels, fresh, done):
    """DDIM with eta 0 (arXiv 2010.02502, equation 12)."""
    for now, after in pairwise(levels):
        clean, noise = denoise(x, *now)
        x = after[1] * clean + after[2] * noise
        done()
    return x


def euler(denoise, x, levels, fresh, done):
    """Euler's method (arXiv 2206.00364): DDIM's steps, from noise at the amplitude of the first timestep."""
    return ddim(denoise, levels[0][2] * x, levels, fresh, done)


def euler_ancestral(denoise, x, levels, fresh, done):
    """Euler steps that go too far down and add fresh noise: `sample_euler_ancestral` of k-diffusion."""
    x, levels = levels[0][2] * x, _finite(levels)
    for now, after in pairwise(levels):
        clean, noise = denoise(x, *now)
        done()
        if after[2] == 0:
            return clean
        r = (after[2] * now[1]) / (after[1] * now[2])
        x = after[1] * clean + after[2] * (r * noise + math.sqrt(1 - r * r) * fresh())
    return x


def dpmpp_2m(denoise, x, levels, fresh, done):
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2), first and last step of first order."""
    previous, last = None, 0.0
    levels = _finite(levels)
    for now, after in pairwise(levels):
        clean, _ = denoise(x, *now)
        done()
        if after[2] == 0:
            return clean
        h = math.log(after[1] / after[2]) - math.log(now[1] / now[2])
        direction = clean if previous is None else clean + (0.5 * h / last) * (clean - previous)
        x = (after[2] / now[2]) * x - (after[1] * math.expm1(-h)) * direction
        previous, last = clean, h
    return x


SAMPLERS = {"ddim": ddim, "euler": euler, "euler_ancestral": euler_ancestral, "dpmpp_2m": dpmpp_2m}
