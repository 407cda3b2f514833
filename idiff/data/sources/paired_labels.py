"""Images with label maps that pair by a list or by a pattern, in whatever files the labels lie: any number of classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.data.sources.base import RawSample, Source, safe_keys
from idiff.data.sources.converting import read_picture
from idiff.data.sources.label_maps import read_fold
from idiff.data.sources.pictures import notes_of_files
from idiff.errors import BadSampleError
from idiff.types import WIDE_VOID, AnyLabels, label_type
from idiff.utils.picture_files import picture_size

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """One image and the file of its labels.

    Attributes:
        name: of the image, unique in the set.
        image: its file.
        label: the file of its labels.
    """

    name: str
    image: Path
    label: Path


class PairedLabels(Source):
    """One sample an image, with its label map: 8 bits for up to 255 classes, else 16.

    Label values become 0, 1, ... without gaps, in the order of the names, or of the fold file, `background` first. A subclass says
    how a file of labels is read (`read_values`).

    Args:
        pairs: the images, in order.
        names: label value -> name, in order; values are less than 65535.
        named_in: the file that names them, for messages.
        void: label values without a class; None: every value without a name.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        lists: the files that name classes and images.

    Raises:
        DataError: the fold file cannot be used.
    """

    tasks: Sequence[str] = ("segmentation",)

    def __init__(
        self,
        pairs: Sequence[Pair],
        names: Mapping[int, str],
        *,
        named_in: str,
        void: Iterable[int] | None = (),
        fold: str | None = None,
        lists: Sequence[Path] = (),
    ) -> None:
        self.pairs, self.named_in = list(pairs), named_in
        self.lists = [*lists, *([Path(fold)] if fold else [])]
        groups = read_fold(Path(fold), names) if fold else {name: [value] for value, name in names.items()}
        self.classes = list(groups)
        kind = label_type(len(groups))
        self.table: AnyLabels = np.full(WIDE_VOID + 1, np.iinfo(kind).max, kind)
        for place, values in enumerate(groups.values()):
            self.table[values] = place
        single = [values[0] for values in groups.values() if len(values) == 1]
        self.values = single if len(single) == len(groups) and single != list(range(len(groups))) else None
        self.named = np.full(WIDE_VOID + 1, void is None)
        self.named[[*names, *(void or ()), WIDE_VOID]] = True
        self._keys = safe_keys([pair.name for pair in self.pairs])

    @abstractmethod
    def read_values(self, pair: Pair) -> NDArray[np.integer]:
        """The label values of an image: whole numbers (H, W), 65535 = void.

        Raises:
            BadSampleError: the file cannot be read, or holds something else.
        """

    def facts(self, pair: Pair) -> dict[str, Any]:
        """What the annotation says of an image."""
        return {"file_name": pair.image.name}

    def meta(self) -> dict[str, Any]:
        """Class names by label value; and each class's value in the set's own label maps, where that is another one."""
        return {"classes": self.classes} | ({"values": self.values} if self.values else {})

    def __len__(self) -> int:
        return len(self.pairs)

    def notes(self) -> list[str]:
        """Files that are converted."""
        return notes_of_files([path for pair in self.pairs for path in (pair.image, pair.label)], ())

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists."""
        return self.lists

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image and the file of its labels."""
        return [self.pairs[index].image, self.pairs[index].label]

    def sample(self, index: int) -> RawSample:
        """Read one image and its label map."""
        pair = self.pairs[index]
        picture = read_picture(pair.image, where=pair.name, field="source")
        values, size = self.read_values(pair), picture_size(picture, where=pair.name)
        if values.shape != size:
            reason = f"{pair.label.name} has shape {values.shape}, expected {size} as the image"
            raise BadSampleError(pair.name, "label", reason)
        found = np.unique(values)
        if found[0] < 0 or found[-1] > WIDE_VOID or not self.named[found].all():
            strange = [int(one) for one in found if not 0 <= one <= WIDE_VOID or not self.named[one]]
            more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
            reason = f"the values {strange[:_NAMED]}{more} have no name in {self.named_in}"
            raise BadSampleError(pair.name, "label", reason)
        return RawSample(
            key=self._keys[index], image=picture, annotation=self.facts(pair), label=self.table[values.astype(np.int64)]
        )
