"""The tests of sources, for what they write: small folders in the layouts that sets are published in."""

import importlib
import sys

from small_models import ROOT

sys.path.insert(0, str(ROOT / "tests" / "data" / "sources"))

containers = importlib.import_module("test_container_formats")
editing = importlib.import_module("test_editing_sources")
keypoints = importlib.import_module("test_keypoint_sets")
keypoint_formats = importlib.import_module("test_keypoint_formats")
large_label_sets = importlib.import_module("test_large_label_sets")
label_sets = importlib.import_module("test_label_sets")
object_sets = importlib.import_module("test_object_sets")
map_sets = importlib.import_module("test_map_sets")
refcoco = importlib.import_module("test_refcoco")
restoration = importlib.import_module("test_restoration_sources")
