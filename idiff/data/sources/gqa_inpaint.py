"""GQA-Inpaint as its authors publish it: objects of GQA's scene graphs that were taken out of the images.

Source: Inst-Inpaint (Yildirim et al., 2023), on GQA (Hudson and Manning, CVPR 2019). The sentences are our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.data.sources.base import Stored
from idiff.data.sources.edit_pairs import EditFiles, EditPictures, parse_entries, sentences_of
from idiff.data.sources.pictures import first_folder, inside, load_json
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.foreign import reason_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLACES = {"to the left": "on the left", "to the center": "in the middle", "to the right": "on the right"}


class GqaInpaint(EditPictures):
    """`{split}_scenes.json`, GQA's `images/{image}.jpg`, and `images_inpainted/{image}/{object}.jpg`; masks in `masks/`.

    One sample an object that a sentence can single out: the only one of its name, or one of two on different sides of the
    image. `annotation`: sentences by its name, by a relation to another object and by its place, where the scene gives
    them; those of `{split}_instructions.json` stand for them where it is there. `region` where the mask is.

    Args:
        root: folder of the set; GQA's images may be linked into it.
        split: `train` or `test`.
        annotations: the scenes, where they lie elsewhere; or (also as `meta_info.json` of the root) a list of
            `{source, target, instruction}` (also `source_image_path` and `target_image_path`), whose files are looked for
            from the list's folder on.
        images: the folder of GQA's images, where it lies elsewhere.

    Raises:
        DataError: files are not where they should be, or of another form.
    """

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        home = Path(root)
        usual = (home / f"{split}_scenes.json", home / "meta_info.json")
        file = Path(annotations) if annotations else next((path for path in usual if path.is_file()), usual[0])
        if not file.is_file():
            others = ", ".join(sorted(path.name for path in home.glob("*_scenes.json"))) or "none of this kind"
            raise missing(
                file, what="the scenes of the split", remedy=f"{home} has {others}. Or give --annotations FILE."
            )
        value = load_json(file, what="scenes by image, or a list of {source, target, instruction}")
        if isinstance(value, list):
            super().__init__(parse_entries(value, _reader(file, images), where=file.name), {}, lists=[file])
            return
        if not isinstance(value, dict):
            raise DataError(f"{file} holds {type(value).__name__}, expected scenes by image.")
        self.folder = first_folder([Path(images) if images else home / "images"], what="GQA's images")
        self.edited = first_folder([home / "images_inpainted"], what="the inpainted images, a folder an image")
        self.masks = home / "masks"
        fixed = home / f"{split}_instructions.json"
        self.fixed = load_json(fixed, what="sentences by object") if fixed.is_file() else {}
        entries: list[EditFiles | BadSampleError] = []
        self._found = 0
        for image, scene in value.items():
            try:
                entries += self._scene(image, scene)
            except Exception as error:  # a scene may be of any form
                reason = reason_of(error)
                entries.append(BadSampleError(f"{file.name}[{image}]", "scene", f"not as published: {reason}"))
        steps = {"found": self._found} if self._found > len(entries) else {}
        steps["objects that a sentence can single out"] = len(entries)
        super().__init__(entries, steps, lists=[file, fixed])

    def region(self, path: Path | Stored, size: tuple[int, int]) -> NDArray[Any] | None:
        """Where the mask is bright; None where it is missing or of another size than the image."""
        from idiff.utils.picture_files import decode_picture

        if isinstance(path, Path) and not path.is_file():
            return None
        mask = decode_picture(self.read(path, where=path.stem, field="mask"), where=path.stem, field="mask")
        return None if mask.shape[:2] != size else mask[..., 0] >= 128

    def _scene(self, image: str, scene: Mapping[str, Any]) -> list[EditFiles]:
        """The edits of one image."""
        objects: Mapping[str, Mapping[str, Any]] = scene["objects"]
        count = Counter(thing["name"] for thing in objects.values())
        sides: Mapping[str, str] = scene.get("image_relative_positions", {})
        found = []
        for identity, thing in objects.items():
            if not thing.get("bidirected", True):
                continue  # the authors made no image without it
            self._found += 1
            if not isinstance(thing["name"], str):
                raise TypeError(f"the name of object {identity} is {thing['name']!r:.40}, expected text")
            same = [other for other in objects if objects[other]["name"] == thing["name"]]
            apart = len(same) == 2 and sides.get(same[0]) != sides.get(same[1])
            if count[thing["name"]] > 1 and not apart:
                continue
            code = f"i{image}-o{identity}"
            given = self.fixed.get(code)
            sentences = (given,) if isinstance(given, str) else _sentences(identity, objects, sides, count)
            where = f"{image}/{identity}"
            name = f"{identity}.jpg"
            edited = inside(self.edited, f"{image}/{name}", where=where, field="target")
            mask = inside(self.masks, f"{image}/{name}", where=where, field="mask")
            source = inside(self.folder, f"{image}.jpg", where=where, field="source")
            found.append(EditFiles(where, source, edited, sentences, {"object": thing["name"]}, mask))
        return found


def _sentences(
    identity: str, objects: Mapping[str, Mapping[str, Any]], sides: Mapping[str, str], count: Counter[str]
) -> tuple[str, ...]:
    """Ask for the removal of one object, in each way that singles it out."""
    thing = objects[identity]
    noun = " ".join([*[str(word) for word in thing.get("attributes", [])[:1]], str(thing["name"])])
    ways = [f"Remove the {noun}."] if count[thing["name"]] == 1 else []
    side = _PLACES.get(str(sides.get(identity)))
    if side:
        ways.append(f"Remove the {noun} {side} of the image.")
    for relation in thing.get("relations", []) if count[thing["name"]] == 1 else []:
        other = objects.get(relation["object"])
        if other is not None and count[other["name"]] == 1 and other["name"] != thing["name"]:
            ways.append(f"Remove the {noun} that is {relation['name']} the {other['name']}.")
    return tuple(dict.fromkeys(ways))


def _reader(file: Path, images: str | None) -> Callable[[int, Mapping[str, Any]], EditFiles]:
    """How one `{source, target, instruction}` of a list is read."""
    folders = {"source": Path(images) if images else file.parent, "target": file.parent}

    def read(place: int, entry: Mapping[str, Any]) -> EditFiles:
        where = f"{file.name}[{place}]"
        source, target = (
            inside(folder, entry.get(name, entry.get(f"{name}_image_path")), where=where, field=name)
            for name, folder in folders.items()
        )
        return EditFiles(f"{place:06d}", source, target, sentences_of(entry, where=where))

    return read
