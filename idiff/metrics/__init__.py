"""How answers are scored: thin torchmetrics classes over pure functions. They know tensors, not tasks."""

from idiff.metrics.average_precision import oks
from idiff.metrics.editing import MSERatio, PSNRInside, PSNROutside, region_error, region_psnr
from idiff.metrics.keypoints import PCK, KeypointAP
from idiff.metrics.restoration import PSNR, SSIM, psnr, ssim
from idiff.metrics.results import coco_keypoint_result, coco_keypoint_results
from idiff.metrics.segmentation import (
    CumulativeIoU,
    HeldOutIoU,
    MeanClassIoU,
    MeanIoU,
    MeanMaskIoU,
    NoTargetAccuracy,
    confusion,
    iou_from_confusion,
    miou_from_confusion,
)

__all__ = [
    "PCK",
    "PSNR",
    "SSIM",
    "CumulativeIoU",
    "HeldOutIoU",
    "KeypointAP",
    "MSERatio",
    "MeanClassIoU",
    "MeanIoU",
    "MeanMaskIoU",
    "NoTargetAccuracy",
    "PSNRInside",
    "PSNROutside",
    "coco_keypoint_result",
    "coco_keypoint_results",
    "confusion",
    "iou_from_confusion",
    "miou_from_confusion",
    "oks",
    "psnr",
    "region_error",
    "region_psnr",
    "ssim",
]
