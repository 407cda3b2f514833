"""How answers are scored: thin torchmetrics classes over pure functions. They know tensors, not tasks."""

from idiff.metrics.average_precision import oks
from idiff.metrics.calibration_error import CalibrationError
from idiff.metrics.classification import BalancedAccuracy, Top1Accuracy, balanced_accuracy, top1
from idiff.metrics.detection import BoxAP, box_average_precision, coco_detection_results
from idiff.metrics.editing import MSERatio, PSNRInside, PSNROutside, region_error, region_psnr
from idiff.metrics.keypoints import PCK, KeypointAP
from idiff.metrics.restoration import PSNR, SSIM, psnr, ssim
from idiff.metrics.result_formats import coco_keypoint_result, coco_keypoint_results
from idiff.metrics.segmentation import (
    CumulativeIoU,
    HeldOutIoU,
    MeanClassIoU,
    MeanIoU,
    MeanMaskIoU,
    NoTargetAccuracy,
    iou_of_counts,
    label_counts,
)

__all__ = [
    "PCK",
    "PSNR",
    "SSIM",
    "BalancedAccuracy",
    "BoxAP",
    "CalibrationError",
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
    "Top1Accuracy",
    "balanced_accuracy",
    "box_average_precision",
    "coco_detection_results",
    "coco_keypoint_result",
    "coco_keypoint_results",
    "iou_of_counts",
    "label_counts",
    "oks",
    "psnr",
    "region_error",
    "region_psnr",
    "ssim",
    "top1",
]
