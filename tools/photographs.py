"""Train the model of configs/experiment/photographs.yaml on sets of photographs, and score it on their validation images.

    python tools/photographs.py --data DIR --out DIR

DIR holds the sets that the experiment names (faces, lsp, fashion_pose, clothing, people); those that are missing are left out. One
core trains; two score. Writes OUT/generalist.ckpt and OUT/results.json, whose table `tools/study_tables.py` prints. A run that was
cut goes on where it was.
"""

import argparse
import json
import math
import os
from pathlib import Path

from study import collected, generalist, scored
from study_sets import ROOT, build, experiment, planned, there
from study_tables import tables

from idiff.config.compose import compose
from idiff.utils.files import write_atomic

EXPERIMENT = ROOT / "configs" / "experiment" / "photographs.yaml"


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the sets")
    parser.add_argument("--out", type=Path, default=Path("runs/photographs"))
    options = parser.parse_args(words)
    data, out = options.data.resolve(), options.out.resolve()
    os.environ["OMP_NUM_THREADS"] = "1"
    settings = compose([str(EXPERIMENT)])
    names, steps = there(data, settings["data"]["init_args"]["tasks"]), settings["trainer"]["max_steps"]
    plan = planned(out / "plan.json", {"steps": steps, "sets": names}, lambda: steps)
    build(data, out, names)
    minutes = generalist(out, experiment(out, names, steps, file=EXPERIMENT), math.inf)
    scored(out, names)
    results = collected(out, names, plan, minutes) | {"command": "make photographs"}
    write_atomic(out / "results.json", json.dumps(results, indent=2) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()
