"""The raw data sets by name. A source's module is imported only when it is used.

A source of the package is one module and one entry of `SOURCES`. One of another package has an entry point of the group
`idiff.sources`, or none: any class is found by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from idiff.data.sources.base import RawSample, Source
from idiff.errors import ConfigError, unknown
from idiff.utils.lookup import find_class

__all__ = ["SOURCES", "RawSample", "Source", "SourceEntry", "create", "find", "installed"]

GROUP = "idiff.sources"
"""Entry points of this group name sources of other packages."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Where a source is defined and which files it reads.

    Attributes:
        target: `module:Class`; its constructor's arguments are its options.
        layout: the files it reads, for `idiff data sources`.
    """

    target: str
    layout: str


SOURCES: Mapping[str, SourceEntry] = {
    "coco-keypoints": SourceEntry(
        "idiff.data.sources.coco_keypoints:CocoKeypoints",
        "annotations/person_keypoints_{split}*.json (or annotations/*keypoints*{split}*.json, or --annotations FILE)\n"
        "images/{split}/, {split}/, images/{split}2017/ or {split}2017/ (or --images DIR)\n"
        "categories may have any list of joints",
    ),
    "crowdpose": SourceEntry(
        "idiff.data.sources.coco_family:CrowdPose",
        "json/crowdpose_{split}.json (or --annotations FILE); images/ (or --images DIR)",
    ),
    "mpii": SourceEntry(
        "idiff.data.sources.mpii:Mpii",
        "annotations/mpii_{split}.json or annot/{split}.json: a list of image, joints, joints_vis, center, scale;\n"
        "or mpii_human_pose_v1_u12_1.mat, --split train (or --annotations FILE)\n"
        "images/ (or --images DIR)",
    ),
    "yolo-pose": SourceEntry(
        "idiff.data.sources.yolo_pose:YoloPose",
        "data.yaml with kpt_shape, names, flip_idx and folders (or --annotations FILE)\n"
        "images/{split}/ and labels/{split}/*.txt: class, box and joints of an object a line, in shares (or --images DIR)",
    ),
    "labelme": SourceEntry(
        "idiff.data.sources.labelme:Labelme",
        "{split}/*.json with shapes: points are joints, rectangles or polygons their boxes and categories\n"
        "images where imagePath says (or --annotations DIR, --images DIR); --category NAME without rectangles",
    ),
    "aic": SourceEntry(
        "idiff.data.sources.coco_family:Aic",
        "ai_challenger_keypoint_{split}_DATE/keypoint_{split}_annotations_DATE.json and keypoint_{split}_images_DATE/,\n"
        "or the same in COCO's form: annotations/aic_{split}.json (or --annotations FILE, --images DIR)",
    ),
    "ap10k": SourceEntry(
        "idiff.data.sources.coco_family:Ap10k",
        "annotations/ap10k-{split}-split1.json; --split train-split2 for others (or --annotations FILE)\n"
        "data/ (or --images DIR)",
    ),
    "humanart": SourceEntry(
        "idiff.data.sources.coco_family:HumanArt",
        "annotations/training_humanart.json, validation_humanart.json (or --annotations FILE)\n"
        "images/{kind}/{scene}/ (or --images DIR)",
    ),
    "coco-stuff": SourceEntry(
        "idiff.data.sources.coco_stuff:CocoStuff",
        "images/{split}/{id}.jpg or .png, also {split}2017/ (or --images DIR)\n"
        "annotations/{split}/{id}.png or stuffthingmaps_trainval2017/{split}2017/: 8-bit label maps, 255 = void\n"
        "(or --annotations DIR)\n"
        "labels.txt: a line `id: name` for each class; where `0: unlabeled` is first, PNG values are id - 1\n"
        "--fold FILE maps labels to fewer ones: a line `name: label, label, ...` for each",
    ),
    "ade20k": SourceEntry(
        "idiff.data.sources.ade20k:Ade20k",
        "ADEChallengeData2016: images/{training,validation}/*.jpg, annotations/{training,validation}/*.png,\n"
        "objectInfo150.txt; 0 in a label map is void (or --images DIR, --annotations DIR); --fold as coco-stuff",
    ),
    "ade847": SourceEntry(
        "idiff.data.sources.ade847:Ade847",
        "ADE20K_2021_17_01: images/ADE/{training,validation}/.../NAME.jpg and NAME_seg.png (class R // 10 * 256 + G),\n"
        "or images_detectron2/ and annotations_detectron2/ as MaskFormer prepares them (or --images DIR, --annotations DIR)\n"
        "prepare_ade20k_full_sem_seg.py of MaskFormer, or classes.json with its list (or --classes FILE); it is not run\n"
        "847 classes in label maps of 16 bits; --fold as coco-stuff; never run on the original files",
    ),
    "pc459": SourceEntry(
        "idiff.data.sources.pascal_context:Pc459",
        "VOCdevkit/VOC2010: JPEGImages/*.jpg, trainval/*.mat with LabelMap, labels.txt (or --images DIR, --annotations DIR)\n"
        "pascalcontext_{split}.txt, ImageSets/SegmentationContext/{split}.txt or ImageSets/Main/{split}.txt\n"
        "459 classes in label maps of 16 bits, 0 = void; --fold as coco-stuff; never run on the original files",
    ),
    "pc59": SourceEntry(
        "idiff.data.sources.pascal_context:Pc59",
        "as pc459, and 59_labels.txt: its classes in its order, all others are void; never run on the original files",
    ),
    "cityscapes": SourceEntry(
        "idiff.data.sources.cityscapes:Cityscapes",
        "leftImg8bit/{split}/CITY/*_leftImg8bit.png, gtFine/{split}/CITY/*_gtFine_labelIds.png and *_gtFine_instanceIds.png\n"
        "(or --images DIR, --annotations DIR); 19 classes, instances of 8; --fold as coco-stuff\n"
        "never run on the original files",
    ),
    "coco-instances": SourceEntry(
        "idiff.data.sources.coco_instances:CocoInstances",
        "annotations/instances_{split}*.json (or --annotations FILE): polygons and runs, with any categories; crowds are void\n"
        "images as coco-keypoints (or --images DIR); never run on the original files",
    ),
    "voc": SourceEntry(
        "idiff.data.sources.voc:Voc",
        "VOCdevkit/VOC2012: JPEGImages/*.jpg, SegmentationClass/*.png, ImageSets/Segmentation/{split}.txt\n"
        "(or --images DIR, --annotations DIR); 21 classes with background, 255 = void; --fold as coco-stuff",
    ),
    "refcoco": SourceEntry(
        "idiff.data.sources.refcoco:RefCoco",
        "RefCOCO, RefCOCO+ or RefCOCOg: refs(unc).p, refs(umd).p or refs(google).p, the first that is there\n"
        "(or --annotations FILE), and instances.json beside it\n"
        "train2014/ with COCO's images, in the folder, in images/, or beside the folder (or --images DIR)",
    ),
    "grefcoco": SourceEntry(
        "idiff.data.sources.refcoco:GrefCoco",
        "grefs(unc).json (or --annotations FILE) and instances.json; images as refcoco",
    ),
    "gopro": SourceEntry(
        "idiff.data.sources.restoration_sets:GoPro",
        "{split}/{sequence}/blur/*.png and {split}/{sequence}/sharp/ (--variant blur_gamma: that folder for blur),\n"
        "or {split}/input/ and {split}/target/; or --images DIR (blurred) and --targets DIR (sharp)",
    ),
    "reds": SourceEntry(
        "idiff.data.sources.restoration_sets:Reds",
        "{split}/{split}_blur/{sequence}/*.png and {split}/{split}_sharp/{sequence}/, or blur/ and sharp/ there\n"
        "--variant blur_jpeg or blur_comp: those images; or --images DIR (blurred) and --targets DIR (sharp)",
    ),
    "sidd": SourceEntry(
        "idiff.data.sources.restoration_sets:Sidd",
        "Data/{scene}/{scene}_NOISY_SRGB_{number}.PNG and {scene}_GT_SRGB_{number}.PNG, --split train,\n"
        "ValidationNoisyBlocksSrgb.mat and ValidationGtBlocksSrgb.mat, --split val,\n"
        "or {split}/input/ and {split}/gt/; or --images DIR (noisy) and --targets DIR (clean)",
    ),
    "clwd": SourceEntry(
        "idiff.data.sources.restoration_sets:Clwd",
        "{split}/Watermarked_image/*.jpg and {split}/Watermark_free_image/*.jpg; Mask/ and Alpha/ are not read\n"
        "or --images DIR (marked) and --targets DIR (clean)",
    ),
    "paired": SourceEntry(
        "idiff.data.sources.restoration_sets:Paired",
        "{split}/input/ and {split}/gt/ or target/: one name up to the suffix makes a pair\n"
        "--task denoise, deblur or dewatermark; or --images DIR (damaged) and --targets DIR (clean)",
    ),
    "paired-map": SourceEntry(
        "idiff.data.sources.paired_map:PairedMap",
        "{split}/images/ and {split}/maps/, or depth/, normals/: one name up to the suffix makes a pair\n"
        "--task depth: PNG of 8 or 16 bits or NPY; --scale numbers to a meter (1000; KITTI 256), --invalid the unknown (0)\n"
        "--task normals: NPY of (H, W, 3); or --images DIR and --annotations DIR",
    ),
    "nyuv2": SourceEntry(
        "idiff.data.sources.nyuv2:NyuV2",
        "nyu_depth_v2_labeled.mat with splits.mat (needs idiff[mat73]); --split train or test, --depth raw or filled;\n"
        "--labels 40, 13 or 894, with classMapping40.mat and class13Mapping.mat\n"
        "or {split}/SCENE/rgb_*.jpg with sync_depth_*.png in millimeters (BTS), also official_splits/{split}/, sync/\n"
        "or image/{split}/, depth/{split}/, seg40/{split}/, seg13/{split}/ (NYUv2 Python Toolkit)\n"
        "or {split}/*_img.png with *_normal.png (DSINE): normals. Never run on the original files",
    ),
    "kitti-depth": SourceEntry(
        "idiff.data.sources.kitti_depth:KittiDepth",
        "{train,val}/DRIVE/proj_depth/groundtruth/image_02/*.png, and KITTI's raw DATE/DRIVE/image_02/data/*.png beside it\n"
        "(or --images DIR); --camera 02, 03 or both; --annotations LIST: the images to take, such as the Eigen split's\n"
        "--split val_selection_cropped: image/ and groundtruth_depth/ there. Never run on the original files",
    ),
    "diode": SourceEntry(
        "idiff.data.sources.diode:Diode",
        "{split}/{indoors,outdoor}/scene_*/scan_*/*.png with *_depth.npy and *_depth_mask.npy; --scenes indoors or outdoor\n"
        "--task normals: *_normal.npy, and --axes, what their numbers are. Never run on the original files",
    ),
    "bsds": SourceEntry(
        "idiff.data.sources.bsds:Bsds",
        "BSR/BSDS500/data/images/{train,val,test}/*.jpg and groundTruth/{train,val,test}/*.mat\n"
        "(or --images DIR, --annotations DIR). Never run on the original files",
    ),
    "folder": SourceEntry(
        "idiff.data.sources.clean_folder:CleanFolder",
        "{split}/ with clean images, in folders or not (or --images DIR): they are damaged here, by --seed (0)\n"
        "--task denoise, deblur or dewatermark",
    ),
    "ip2p": SourceEntry(
        "idiff.data.sources.ip2p:InstructPix2Pix",
        "shard-NN.zip, not unpacked, or their folders: {prompt}/prompt.json, {seed}_0.jpg, {seed}_1.jpg; seeds.json\n"
        "--split train, val, test (90, 5 and 5 % of the prompts) or all\n"
        "--annotations FILE: seeds.json elsewhere, or a JSON list of the 'prompt/seed' to take",
    ),
    "magicbrush": SourceEntry(
        "idiff.data.sources.magicbrush:MagicBrush",
        "{split}/edit_turns.json: a list of input, mask, output, instruction; {split}/images/{id}/{id}-input.png, ...\n"
        "{split}/global_descriptions.json, where it is there; or data/{split}-*.parquet (needs idiff[parquet])\n"
        "--split train or dev",
    ),
    "gier": SourceEntry(
        "idiff.data.sources.magicbrush:Gier",
        "GIER.json: a list of input, output, expert_summary, amateur_summary, operator; images/\n"
        "--split train, val, test (90, 5 and 5 % of the list) or all; --annotations FILE: a list taken whole",
    ),
    "gqa-inpaint": SourceEntry(
        "idiff.data.sources.gqa_inpaint:GqaInpaint",
        "{split}_scenes.json, images/{image}.jpg, images_inpainted/{image}/{object}.jpg; masks/ and\n"
        "{split}_instructions.json, where they are there\n"
        "--annotations FILE: scenes elsewhere, or a list of source, target, instruction",
    ),
    "edit-list": SourceEntry(
        "idiff.data.sources.edit_pairs:EditList",
        "{split}/edits.json: a list of input, edited, instruction, and the images beside it\n"
        "(or --annotations FILE and --images DIR)",
    ),
    "captioned": SourceEntry(
        "idiff.data.sources.captions:CaptionedPictures",
        "{split}/metadata.jsonl or metadata.csv: file_name and caption (or text) a line, images beside it;\n"
        "or COCO's annotations/captions_{split}*.json and images/{split}/ (or --annotations FILE and --images DIR)",
    ),
    "webdataset": SourceEntry(
        "idiff.data.sources.webdataset_tars:WebdatasetTars",
        "*.tar or {split}/*.tar, as img2dataset writes them: KEY.jpg with KEY.txt, or KEY.json with caption",
    ),
    "synthetic": SourceEntry(
        "idiff.synthetic.source:SyntheticSource",
        "no files: scenes are drawn; --size pixels a side (64); --family flat, or solids: objects in space, with depth\n"
        "--task segmentation, referring, detection, classification, keypoints, denoise, deblur, dewatermark or editing",
    ),
}


def installed() -> dict[str, str]:
    """Sources of other packages: name of the entry point -> `module:Class`."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def find(name: str) -> type[Source]:
    """Import a source.

    Args:
        name: a key of `SOURCES`, the name of an entry point, or a class as `module.Class` or `module:Class`.

    Raises:
        ConfigError: there is no such source, or the class is none.
    """
    targets = {key: entry.target for key, entry in SOURCES.items()}
    if name not in targets:
        targets |= installed()
    if name not in targets and not {".", ":"} & set(name):
        raise unknown("source", name, targets)
    kind = find_class(targets.get(name, name), what="source")
    if not issubclass(kind, Source):
        raise ConfigError(f"source '{name}': {kind.__name__} is not a subclass of idiff.data.sources.Source.")
    if kind.__abstractmethods__:
        lacks = ", ".join(sorted(kind.__abstractmethods__))
        raise ConfigError(f"source '{name}': {kind.__name__} does not define {lacks}.")
    return kind


def create(name: str, options: Mapping[str, Any]) -> Source:
    """Build a source.

    Args:
        name: as for `find`.
        options: constructor arguments by name; None counts as not given.

    Raises:
        ConfigError: an unknown source, an option that it does not take, or one that is missing.
        DataError: its files are not where they should be.
    """
    from idiff.data.sources.constructor_options import check_given, options_of

    kind = find(name)
    given = {key: value for key, value in options.items() if value is not None}
    reads = (
        f"It reads:\n{SOURCES[name].layout}"
        if name in SOURCES
        else f"`idiff data build {name} --help` lists its options."
    )
    check_given(name, given, options_of(kind, name=name), reads=reads)
    source = kind(**given)
    if not getattr(source, "tasks", None):
        raise ConfigError(f"source '{name}' sets no `tasks`: expected a tuple of the tasks that it serves.")
    return source
