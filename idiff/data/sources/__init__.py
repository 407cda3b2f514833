"""The raw data sets by name. A source's module is imported only when it is used.

A new source is one module and one entry of `SOURCES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from idiff.data.sources.base import RawSample, Source
from idiff.errors import ConfigError, unknown

__all__ = ["SOURCES", "RawSample", "Source", "SourceEntry", "create"]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Where a source lives and what it expects.

    Attributes:
        target: `module:class`.
        layout: the files it reads, for `idiff data sources`.
        required: constructor arguments that must be given.
        optional: constructor arguments that may be given.
    """

    target: str
    layout: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


SOURCES: Mapping[str, SourceEntry] = {
    "coco-keypoints": SourceEntry(
        "idiff.data.sources.coco_keypoints:CocoKeypoints",
        "annotations/person_keypoints_{split}*.json (or annotations/*keypoints*{split}*.json, or --annotations FILE)\n"
        "images/{split}/, {split}/, images/{split}2017/ or {split}2017/ (or --images DIR)\n"
        "categories may have any list of joints",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "crowdpose": SourceEntry(
        "idiff.data.sources.coco_family:CrowdPose",
        "json/crowdpose_{split}.json (or --annotations FILE); images/ (or --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "mpii": SourceEntry(
        "idiff.data.sources.mpii:Mpii",
        "annotations/mpii_{split}.json or annot/{split}.json: a list of image, joints, joints_vis, center, scale\n"
        "images/ (or --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "aic": SourceEntry(
        "idiff.data.sources.coco_family:Aic",
        "ai_challenger_keypoint_{split}_DATE/keypoint_{split}_annotations_DATE.json and keypoint_{split}_images_DATE/,\n"
        "or the same in COCO's form: annotations/aic_{split}.json (or --annotations FILE, --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "ap10k": SourceEntry(
        "idiff.data.sources.coco_family:Ap10k",
        "annotations/ap10k-{split}-split1.json; --split train-split2 for others (or --annotations FILE)\n"
        "data/ (or --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "humanart": SourceEntry(
        "idiff.data.sources.coco_family:HumanArt",
        "annotations/training_humanart.json, validation_humanart.json (or --annotations FILE)\n"
        "images/{kind}/{scene}/ (or --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "coco-stuff": SourceEntry(
        "idiff.data.sources.coco_stuff:CocoStuff",
        "images/{split}/{id}.jpg or .png, also {split}2017/ (or --images DIR)\n"
        "annotations/{split}/{id}.png or stuffthingmaps_trainval2017/{split}2017/: 8-bit label maps, 255 = void\n"
        "(or --annotations DIR)\n"
        "labels.txt: a line `id: name` for each class; where `0: unlabeled` is first, PNG values are id - 1\n"
        "--fold FILE maps labels to fewer ones: a line `name: label, label, ...` for each",
        ("root", "split"),
        ("fold", "annotations", "images"),
    ),
    "ade20k": SourceEntry(
        "idiff.data.sources.ade20k:Ade20k",
        "ADEChallengeData2016: images/{training,validation}/*.jpg, annotations/{training,validation}/*.png,\n"
        "objectInfo150.txt; 0 in a label map is void (or --images DIR, --annotations DIR); --fold as coco-stuff",
        ("root", "split"),
        ("fold", "annotations", "images"),
    ),
    "voc": SourceEntry(
        "idiff.data.sources.voc:Voc",
        "VOCdevkit/VOC2012: JPEGImages/*.jpg, SegmentationClass/*.png, ImageSets/Segmentation/{split}.txt\n"
        "(or --images DIR, --annotations DIR); 21 classes with background, 255 = void; --fold as coco-stuff",
        ("root", "split"),
        ("fold", "annotations", "images"),
    ),
    "refcoco": SourceEntry(
        "idiff.data.sources.refcoco:RefCoco",
        "RefCOCO, RefCOCO+ or RefCOCOg: refs(unc).p, refs(umd).p or refs(google).p, the first that is there\n"
        "(or --annotations FILE), and instances.json beside it\n"
        "train2014/ with COCO's pictures, in the folder, in images/, or beside the folder (or --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "grefcoco": SourceEntry(
        "idiff.data.sources.refcoco:GrefCoco",
        "grefs(unc).json (or --annotations FILE) and instances.json; pictures as refcoco",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "gopro": SourceEntry(
        "idiff.data.sources.restoration:GoPro",
        "{split}/{sequence}/blur/*.png and {split}/{sequence}/sharp/ (--variant blur_gamma: that folder for blur),\n"
        "or {split}/input/ and {split}/target/; or --images DIR (blurred) and --targets DIR (sharp)",
        ("root", "split"),
        ("variant", "images", "targets"),
    ),
    "reds": SourceEntry(
        "idiff.data.sources.restoration:Reds",
        "{split}/{split}_blur/{sequence}/*.png and {split}/{split}_sharp/{sequence}/, or blur/ and sharp/ there\n"
        "--variant blur_jpeg or blur_comp: those pictures; or --images DIR (blurred) and --targets DIR (sharp)",
        ("root", "split"),
        ("variant", "images", "targets"),
    ),
    "sidd": SourceEntry(
        "idiff.data.sources.restoration:Sidd",
        "Data/{scene}/{scene}_NOISY_SRGB_{number}.PNG and {scene}_GT_SRGB_{number}.PNG, --split train,\n"
        "or {split}/input/ and {split}/gt/; or --images DIR (noisy) and --targets DIR (clean)",
        ("root", "split"),
        ("images", "targets"),
    ),
    "clwd": SourceEntry(
        "idiff.data.sources.restoration:Clwd",
        "{split}/Watermarked_image/*.jpg and {split}/Watermark_free_image/*.jpg; Mask/ and Alpha/ are not read\n"
        "or --images DIR (marked) and --targets DIR (clean)",
        ("root", "split"),
        ("images", "targets"),
    ),
    "paired": SourceEntry(
        "idiff.data.sources.restoration:Paired",
        "{split}/input/ and {split}/gt/ or target/: one name up to the suffix makes a pair\n"
        "--task denoise, deblur or dewatermark; or --images DIR (damaged) and --targets DIR (clean)",
        ("root", "split", "task"),
        ("images", "targets"),
    ),
    "folder": SourceEntry(
        "idiff.data.sources.folder:CleanFolder",
        "{split}/ with clean pictures, in folders or not (or --images DIR): they are damaged here, by --seed (0)\n"
        "--task denoise, deblur or dewatermark",
        ("root", "split", "task"),
        ("seed", "images"),
    ),
    "ip2p": SourceEntry(
        "idiff.data.sources.ip2p:InstructPix2Pix",
        "shard-NN.zip, not unpacked, or their folders: {prompt}/prompt.json, {seed}_0.jpg, {seed}_1.jpg; seeds.json\n"
        "--split train, val, test (90, 5 and 5 % of the prompts) or all\n"
        "--annotations FILE: seeds.json elsewhere, or a JSON list of the 'prompt/seed' to take",
        ("root", "split"),
        ("annotations",),
    ),
    "magicbrush": SourceEntry(
        "idiff.data.sources.magicbrush:MagicBrush",
        "{split}/edit_turns.json: a list of input, mask, output, instruction; {split}/images/{id}/{id}-input.png, ...\n"
        "{split}/global_descriptions.json, where it is there; --split train or dev",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "gier": SourceEntry(
        "idiff.data.sources.magicbrush:Gier",
        "GIER.json: a list of input, output, expert_summary, amateur_summary, operator; images/\n"
        "--split train, val, test (90, 5 and 5 % of the list) or all; --annotations FILE: a list taken whole",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "gqa-inpaint": SourceEntry(
        "idiff.data.sources.gqa_inpaint:GqaInpaint",
        "{split}_scenes.json, images/{image}.jpg, images_inpainted/{image}/{object}.jpg; masks/ and\n"
        "{split}_instructions.json, where they are there\n"
        "--annotations FILE: scenes elsewhere, or a list of source, target, instruction",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "edit-list": SourceEntry(
        "idiff.data.sources.edits:EditList",
        "{split}/edits.json: a list of input, edited, instruction, and the pictures beside it\n"
        "(or --annotations FILE and --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "captioned": SourceEntry(
        "idiff.data.sources.captions:CaptionedPictures",
        "{split}/metadata.jsonl or metadata.csv: file_name and caption (or text) a line, pictures beside it;\n"
        "or COCO's annotations/captions_{split}*.json and images/{split}/ (or --annotations FILE and --images DIR)",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "synthetic": SourceEntry(
        "idiff.synthetic.source:SyntheticSource",
        "no files: scenes are drawn; --size pixels a side (64)\n"
        "--task segmentation, referring, detection, classification, keypoints, denoise, deblur, dewatermark or editing",
        ("task", "split", "count", "seed"),
        ("size",),
    ),
}


def create(name: str, options: Mapping[str, Any]) -> Source:
    """Build a source.

    Args:
        name: a key of `SOURCES`.
        options: constructor arguments by name; None counts as not given.

    Raises:
        ConfigError: an unknown source, an option that it does not take, or one that is missing.
        DataError: its files are not where they should be.
    """
    if name not in SOURCES:
        raise unknown("source", name, SOURCES)
    entry = SOURCES[name]
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in (*entry.required, *entry.optional):
            takes = ", ".join(f"--{word}" for word in (*entry.required, *entry.optional))
            raise ConfigError(f"source {name} takes no --{key}. It takes {takes}.")
    absent = [f"--{key}" for key in entry.required if key not in given]
    if absent:
        raise ConfigError(f"source {name} needs {' and '.join(absent)}. It reads:\n{entry.layout}")
    module, _, cls = entry.target.partition(":")
    return cast(Source, getattr(importlib.import_module(module), cls)(**given))
