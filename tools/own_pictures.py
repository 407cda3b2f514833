"""Two small raw data sets in the layouts that `idiff data build` reads, to try a training before you bring images of your own.

    python tools/own_pictures.py --out data/raw

OUT/people is in COCO's keypoint format, OUT/shapes in COCO-Stuff's: images, label maps and labels.txt. The images are drawn.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from idiff.synthetic.source import SyntheticSource


def people(out, split, count, seed):
    """COCO's keypoint format: images/SPLIT and annotations/person_keypoints_SPLIT.json."""
    source = SyntheticSource("keypoints", split=split, count=count, seed=seed, size=128)
    [(name, skeleton)] = source.meta()["skeletons"].items()
    entry = {"id": 1, "name": name, "keypoints": list(skeleton["joints"])}
    coco = {"images": [], "annotations": [], "categories": [entry]}
    (out / "images" / split).mkdir(parents=True, exist_ok=True)
    (out / "annotations").mkdir(exist_ok=True)
    for index in range(count):
        sample = source.sample(index)
        file = f"{index:06d}.png"
        Image.fromarray(sample.image).save(out / "images" / split / file)
        high, wide = sample.image.shape[:2]
        coco["images"].append({"id": index, "file_name": file, "width": wide, "height": high})
        for instance in sample.annotation["instances"]:
            flat = [value for point in instance["keypoints"] for value in point]
            coco["annotations"].append(
                {"id": len(coco["annotations"]), "image_id": index, "category_id": 1, "keypoints": flat, "iscrowd": 0,
                 "num_keypoints": sum(flag > 0 for flag in flat[2::3]), "bbox": instance["box"], "area": instance["area"]}
            )  # fmt: skip
    (out / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(coco), encoding="utf-8")


def shapes(out, split, count, seed):
    """COCO-Stuff's format: images/SPLIT, annotations/SPLIT and labels.txt."""
    source = SyntheticSource("segmentation", split=split, count=count, seed=seed, size=128)
    for folder in ("images", "annotations"):
        (out / folder / split).mkdir(parents=True, exist_ok=True)
    names = [f"{number}: {name}\n" for number, name in enumerate(source.meta()["classes"])]
    (out / "labels.txt").write_text("".join(names), encoding="utf-8")
    for index in range(count):
        sample = source.sample(index)
        Image.fromarray(sample.image).save(out / "images" / split / f"{index:06d}.png")
        Image.fromarray(sample.label).save(out / "annotations" / split / f"{index:06d}.png")


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/raw"))
    parser.add_argument(
        "--count", type=int, default=120, help="images of each training set; a fifth of it for validation"
    )
    options = parser.parse_args(words)
    for split, count, seed in (("train", options.count, 7), ("val", max(options.count // 5, 1), 8)):
        people(options.out / "people", split, count, seed)
        shapes(options.out / "shapes", split, count, seed)


if __name__ == "__main__":
    main()
