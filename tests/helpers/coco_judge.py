"""AP, AP50 and AP75 by pycocotools with its own settings, run on JSON files."""

import contextlib
import io
import json

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(truth, results, folder, kind):
    """`truth` and `results` as COCO's files have them; `kind` is `bbox` or `segm`."""
    for name, value in {"truth": truth, "results": results}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(folder / "results.json")), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("ap", "ap50", "ap75"), evaluation.stats[:3], strict=True))
