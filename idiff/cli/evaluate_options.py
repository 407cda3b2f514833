"""Options of `idiff evaluate`."""

from __future__ import annotations

from idiff.cli.arguments import WEIGHTS_HELP, WordParser, at_least_one, not_negative
from idiff.cli.asking import add_asking_options
from idiff.cli.own_code import add_trust


def parser() -> WordParser:
    """Options of `idiff evaluate`."""
    options = WordParser(prog="idiff evaluate", description="Score a checkpoint on shards, and write a metric card.")
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=WEIGHTS_HELP)
    add("--data", required=True, metavar="DIR", help="shards that `idiff data build` wrote")
    add("--task", metavar="NAME", help="a task of the training by its name, or a kind")
    shown = "shards that example pairs come from (--data)"
    add("--examples", metavar="DIR", help=shown)
    add("--queries", choices=("present", "all"), help="classes asked per image")
    told = "instructions: of training, or held out"
    add("--phrasings", choices=("seen", "unseen"), help=told)
    joints = "joints scored: all, or COCO's (AP-10K)"
    add("--joints", choices=("all", "coco"), help=joints)
    whole = "restoration: score whole images, not the middle"
    add("--whole", action="store_true", default=None, help=whole)
    settings = "how it is read and scored: crop=eigen"
    add("--set", metavar="NAME=VALUE", action="append", default=[], help=settings)
    add("--decoder", metavar="NAME", help="how output images are decoded: color, unet, or unet=FOLDER with its weights")
    add_asking_options(options)
    add("--no-preset", action="store_const", dest="preset", const="training", help="the same as --preset training")
    ranks = "processes that share the items; default: one for each GPU, one on a CPU"
    add("--ranks", type=at_least_one, metavar="N", help=ranks)
    add("--limit", type=at_least_one, metavar="N", help="items; default: all")
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled images, and of the resamples")
    resamples = "resamples of the images for 95 %% intervals (1000); 0: no intervals"
    add("--bootstrap", type=not_negative, default=1000, metavar="N", help=resamples)
    add(
        "--clip",
        metavar="FOLDER",
        help="a CLIP model in the hub's format, for clip_sim",
    )
    add("--aesthetic", metavar="FILE", help="an aesthetic predictor's weights; with --clip")
    add("--metric", metavar="NAME=MODULE.CLASS", action="append", default=[], help="one of your own")
    add("--predictions", metavar="DIR", help="write what was decoded, for others to re-score")
    add("--out", required=True, metavar="CARD.json", help="the metric card")
    add_trust(options)
    return options
