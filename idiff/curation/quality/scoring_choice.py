"""What a set is scored by, from the files that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from idiff.curation.quality.aesthetic import load_head
from idiff.curation.quality.features import Features
from idiff.curation.quality.scores import QualityScorer
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, IdiffError
from idiff.utils.files import sha256_file
from idiff.utils.foreign import read_text
from idiff.utils.moved import modernised
from idiff.utils.plain_yaml import parse_yaml


def scorer_of(features: str, *, aesthetic: str | None, reference: str | None, neighbours: int) -> QualityScorer:
    """Load what scores, and say what its scores depend on.

    Args:
        features: YAML of a feature extractor.
        aesthetic: weights of an aesthetic predictor; None: not asked for.
        reference: shards of good images, for KNN-GIQA; None: not asked for.
        neighbours: K of KNN-GIQA.

    Raises:
        IdiffError: one of the files cannot be used.
    """
    config, extractor = load_features(Path(features))
    head = load_head(aesthetic) if aesthetic else None
    good = ShardSet.open(reference) if reference else None
    settings = {
        "features": config, "weights": extractor.fingerprint(),
        "aesthetic": sha256_file(Path(aesthetic)) if aesthetic else None,
        "reference": good.fingerprint if good else None,
        "neighbours": neighbours if good else None,
    }  # fmt: skip
    return QualityScorer(extractor, head, good, neighbours, settings)


def load_features(path: Path) -> tuple[dict[str, Any], Features]:
    """Build the feature extractor that a YAML names.

    Args:
        path: holds `class_path` and `init_args`. A configuration is code: it can name any class.

    Returns:
        what the YAML holds, and the extractor.

    Raises:
        ConfigError: it cannot be read, or what it names is not an extractor or takes other arguments.
    """
    try:
        config = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not (isinstance(config, dict) and {"class_path"} <= set(config) <= {"class_path", "init_args"}):
        raise ConfigError(
            f"{path}: expected `class_path` and `init_args` of a feature extractor, such as ColorStatistics."
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Features, "features", required=True)
    try:
        built = parser.instantiate(parser.parse_object({"features": modernised(config)})).features
    except (ArgumentError, ValueError) as error:
        if isinstance(error.__cause__, IdiffError):
            raise error.__cause__ from None
        noise = ("Given", "Subtypes", "Expected a <class 'NoneType'>")
        lines = [text for line in str(error).splitlines() if not (text := line.strip(" -")).startswith(noise)]
        expected = f"Expected the class_path and init_args of a {Features.__module__}.Features."
        raise ConfigError(f"{path}: {lines[-1].rstrip('.')}. {expected}") from None
    return config, built
