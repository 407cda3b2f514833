"""The usual way to do one task, to compare with: a plain U-Net that puts out masks, heat maps or a picture. No diffusion, no words.

    python tools/specialist.py --data DIR/train --val DIR/val --task TASK.yaml --examples 20000 --out SCORES.json

It sees the same training views as the model that paints (the task's own crops, mirrors and colors), at the same size, and is scored
by the task's own metrics on the same images. `--parameters` sets its size. Losses: cross-entropy over all classes; mean squared
error of heat maps of all joints (a Gaussian of 2 px at 64 px; Xiao et al., ECCV 2018, section 2); absolute error of images. It is
scored with the flip test where the task has it.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

from idiff.data.loading.dataset import Part
from idiff.data.shards.reader import ShardSet
from idiff.errors import IdiffError
from idiff.predictions import ImagePrediction, KeypointPrediction
from idiff.tasks.common.flip_test import merge_maps
from idiff.tasks.common.legend import asked_classes, class_predictions
from idiff.tasks.saved import restore_task
from idiff.utils.files import write_atomic
from idiff.utils.hardware import fast_bfloat16
from idiff.utils.seeds import numpy_rng

VOID = 255
SIGMA_SHARE = 2 / 64
"""Of a heat map's Gaussian, as a share of the side."""


class PlainUNet(torch.nn.Module):
    """A U-Net on 2 x 2 cells of pixels, so that it works at half of the side: (B, 3, H, W) to (B, outputs, H, W)."""

    def __init__(self, outputs, width):
        super().__init__()
        blocks = (width, 2 * width, 3 * width, 4 * width)
        self.net = UNet2DModel(
            in_channels=12, out_channels=4 * outputs, block_out_channels=blocks, layers_per_block=1, norm_num_groups=8,
            down_block_types=("DownBlock2D",) * 3 + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * 3,
        )  # fmt: skip

    def forward(self, pictures):
        found = self.net(F.pixel_unshuffle(pictures, 2), 0).sample
        return F.pixel_shuffle(found, 2)


def sized(outputs, parameters):
    """The widest one that has at most so many parameters."""
    best = PlainUNet(outputs, 8)
    for width in range(16, 256, 8):
        made = PlainUNet(outputs, width)
        if sum(each.numel() for each in made.parameters()) > parameters:
            return best
        best = made
    return best


class Classes:
    """Masks of all classes at once."""

    def __init__(self, part):
        self.outputs = len(part.shards.meta["classes"])

    def target(self, triplet):
        return triplet.parts.labels.long()

    def loss(self, found, target):
        known = target != VOID
        return (
            F.cross_entropy(found, torch.where(known, target, -100), ignore_index=-100)
            if known.any()
            else found.sum() * 0
        )

    def maps(self, found):
        return found.float().softmax(dim=1)

    def mirrored(self, maps):
        return maps

    def predictions(self, task, maps, queries):
        surest = maps.argmax(dim=0)
        return [
            class_predictions(
                query,
                torch.stack([torch.where(surest == k, 0.5 + maps[k] / 2, maps[k] / 2) for k in asked_classes(query)]),
            )
            for query in queries
        ]


class Joints:
    """Heat maps of all joints at once."""

    def __init__(self, part):
        self.skeletons = part.shards.meta["skeletons"]
        [skeleton] = self.skeletons.values()
        self.outputs, self.pairs = len(skeleton["joints"]), [tuple(pair) for pair in skeleton.get("pairs", ())]

    def target(self, triplet):
        """Heat maps (K, H, W), and whether each joint is labelled and in sight of the view (K,)."""
        joints, warp = np.asarray(triplet.annotation["joints"]), np.asarray(triplet.query["warp"])
        points = joints[:, :2] @ warp[:, :2].T + warp[:, 2]
        order = np.arange(len(joints))
        if np.linalg.det(warp[:, :2]) < 0:
            for left, right in self.pairs:
                order[left], order[right] = right, left
        height, width = triplet.source.shape[1:]
        x, y = torch.arange(width)[None, None, :], torch.arange(height)[None, :, None]
        place = torch.from_numpy(points[order]).float()
        distance = (x - place[:, 0, None, None]) ** 2 + (y - place[:, 1, None, None]) ** 2
        maps = torch.exp(-distance / (2 * (SIGMA_SHARE * width) ** 2))
        return torch.cat(
            [maps, torch.from_numpy(joints[order, 2] > 0).float()[:, None, None].expand(-1, height, width)]
        )

    def loss(self, found, target):
        maps, known = target.chunk(2, dim=1)
        return ((found - maps).square() * known).mean() * 100

    def maps(self, found):
        return found.float()

    def mirrored(self, maps):
        order = list(range(len(maps)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return maps[order]

    def predictions(self, task, maps, queries):
        count, _, width = maps.shape
        best = maps.flatten(1).argmax(dim=1)
        column, row = best % width, best // width
        reach = 3
        steps = torch.arange(-reach, reach + 1)
        padded = F.pad(maps.clamp_min(0), (reach,) * 4)
        points = torch.empty(count, 3)
        for k in range(count):
            window = padded[k, row[k] : row[k] + 2 * reach + 1, column[k] : column[k] + 2 * reach + 1]
            total = window.sum().clamp_min(1e-6)
            points[k, 0] = column[k] + (window * steps[None, :]).sum() / total
            points[k, 1] = row[k] + (window * steps[:, None]).sum() / total
            points[k, 2] = maps[k].max().clamp(0, 1)
        return [
            KeypointPrediction(query=q, score=float(points[q["indices"], 2].mean()), keypoints=points[q["indices"]])
            for q in queries
        ]


class Pictures:
    """The clean picture, as a change of the damaged one."""

    outputs = 3

    def __init__(self, part):
        pass

    def target(self, triplet):
        return triplet.target - triplet.source

    def loss(self, found, target):
        return (found - target).abs().mean()

    def maps(self, found):
        return found.float()

    def mirrored(self, maps):
        return maps

    def predictions(self, task, maps, queries):
        return [ImagePrediction(query=query, score=1.0, picture=maps) for query in queries]


OUTPUTS = {
    "segmentation": Classes,
    "keypoints": Joints,
    "denoise": Pictures,
    "deblur": Pictures,
    "dewatermark": Pictures,
}


def train(part, head, *, parameters, examples, batch, rate, seed):
    """Train a fresh network on so many examples; returns it and the minutes."""
    torch.manual_seed(seed)
    net, began = sized(head.outputs, parameters), time.time()
    steps = max(examples // batch, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=min(0.3, 50 / steps))
    order = np.random.default_rng(seed)
    for step in range(steps):
        triplets = [
            part.read(int(order.integers(len(part))), numpy_rng(seed, "specialist", step * batch + row))
            for row in range(batch)
        ]
        source = torch.stack([each.source for each in triplets])
        target = torch.stack([head.target(each) for each in triplets])
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            found = net(source)
        loss = head.loss(found.float(), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}, loss {loss.item():.4f}", flush=True)
    return net, (time.time() - began) / 60


@torch.no_grad()
def score(net, part, head):
    """The task's metrics over all items."""
    task, metrics = part.task, part.task.metrics()
    flips = getattr(task, "flip_test", False)
    if flips:
        task.flip_test = False  # the network's own flip test is below; the prompts are those of the straight image
    net.eval()
    for item in range(len(part)):
        sample, local = part.sample(item)
        triplets = task.queries(sample, local)
        queries, source = [each.query for each in triplets], triplets[0].source[None]
        maps = head.maps(net(source))[0]
        if flips:
            other = head.mirrored(head.maps(net(source.flip(-1)))[0].flip(-1)).flip(-1)
            [maps] = merge_maps([maps, other])
        if isinstance(head, Pictures):
            maps = (source[0] + maps).clamp(-1, 1)
        metrics.update(task.combine(head.predictions(task, maps, queries), queries), task.truth(triplets[0].annotation))
    task.flip_test = flips
    return {name: float(value) if math.isfinite(float(value)) else None for name, value in metrics.compute().items()}


def _opened(options):
    """The task, and the shards of training and validation."""
    task = restore_task({}, options.task, data=options.data, changes={}, trust=True).task
    return task, [ShardSet.open(folder) for folder in (options.data, options.val)]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, help="training shards")
    add("--val", required=True, help="shards that it is scored on")
    add("--task", required=True, help="YAML of the task, as under configs/task")
    add("--examples", type=int, default=20_000, help="training examples")
    add("--parameters", type=int, default=2_400_000, help="most parameters of the network")
    add("--batch", type=int, default=24)
    add("--rate", type=float, default=2e-3, help="peak learning rate of AdamW")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    for number in ("examples", "parameters", "batch"):
        if getattr(options, number) < 1:
            parser.error(f"--{number} is {getattr(options, number)}: expected 1 or more")
    try:
        task, shards = _opened(options)
    except IdiffError as error:
        sys.exit(f"specialist: {error}")
    if task.kind not in OUTPUTS:
        sys.exit(f"specialist: {options.task} is a task of the kind '{task.kind}': expected {', '.join(OUTPUTS)}")
    part, val = (Part("specialist", task, each) for each in shards)
    head = OUTPUTS[task.kind](part)
    net, minutes = train(
        part, head, parameters=options.parameters, examples=options.examples, batch=options.batch, rate=options.rate,
        seed=options.seed,
    )  # fmt: skip
    found = {
        "metrics": score(net, val, head),
        "parameters": sum(each.numel() for each in net.parameters()),
        "examples": options.examples,
        "minutes": minutes,
        "samples": len(val),
    }
    write_atomic(options.out, json.dumps(found, indent=2) + "\n")
    print(json.dumps(found["metrics"]))


if __name__ == "__main__":
    main()
