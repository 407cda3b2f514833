"""Drawings of boxes and arrows as SVG, without a network or a script: the way of the data, and the graph of the imports.

python tools/drawings.py    # writes docs/data-flow.svg
"""

from html import escape
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "docs" / "data-flow.svg"
FLOW = {
    "raw": (0, 0, "Raw data set", "COCO, VOC, your own …", "#e8eaf6"),
    "synthetic": (0, 1, "Drawn scenes", "exact truth from a seed", "#e8eaf6"),
    "shards": (1, 0.5, "Shards", "original pixels, annotations", "#e8eaf6"),
    "task": (2, 0.5, "Task", "crops, draws a sentence,\npaints the target", "#e0f2f1"),
    "latent": (3, 0, "Latents and text", "frozen autoencoder,\nCLIP text encoder", "#fff3e0"),
    "unet": (4, 0, "U-Net", "denoises the target,\ngiven source and sentence", "#fff3e0"),
    "loss": (4, 1, "Loss", "training only", "#fff3e0"),
    "painted": (3, 2, "Painted image", "the answer, painted in color", "#fce4ec"),
    "decoder": (2, 2, "Decoder", "colors to masks, boxes, points", "#e0f2f1"),
    "answer": (1, 2, "Answer", "mask, joints, image", "#fce4ec"),
    "metrics": (0, 2, "Metrics", "mIoU, AP, PSNR, beside\nceiling and blind baseline", "#e0f2f1"),
}
"""Boxes of the data flow: column, line, title, what it is, color."""
ARROWS = [
    ("raw", "shards", "idiff data build"), ("synthetic", "shards", ""), ("shards", "task", ""),
    ("task", "latent", "triplet"), ("latent", "unet", ""), ("unet", "loss", ""), ("unet", "painted", "sampling"),
    ("painted", "decoder", ""), ("decoder", "answer", ""), ("answer", "metrics", "idiff evaluate"),
]  # fmt: skip
STYLE = (
    "<style>text{font:13px sans-serif;fill:#222}.t{font-weight:bold}.s{font-size:11px}"
    "path{stroke:#667;fill:none;stroke-width:1.4}rect{stroke:#889}</style>"
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0,0L8,4L0,8z" style="fill:#667;stroke:none"/></marker></defs>'
)


def svg(width, height, parts):
    """One drawing on white, so that it is read in a dark theme, too."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="max-width:100%" role="img">'
        f'{STYLE}<rect width="{width}" height="{height}" rx="8" style="fill:#fff;stroke:none"/>{"".join(parts)}</svg>'
    )


def box(x, y, width, height, title, lines=(), color="#e8eaf6"):
    """A box around a title and smaller lines."""
    middle = x + width / 2
    parts = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{color}"/>']
    top = y + height / 2 + 5 - 8 * len(lines)
    parts.append(f'<text class="t" text-anchor="middle" x="{middle}" y="{top}">{escape(title)}</text>')
    parts += [
        f'<text class="s" text-anchor="middle" x="{middle}" y="{top + 17 + 15 * at}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
    return "".join(parts)


def arrow(start, end, label=""):
    """A line from point to point with a head, and its label in the middle."""
    (x, y), (u, v) = start, end
    drawn = f'<path d="M{x},{y}L{u},{v}" marker-end="url(#a)"/>'
    if label:
        drawn += f'<text class="s" text-anchor="middle" x="{(x + u) / 2}" y="{(y + v) / 2 - 6}">{escape(label)}</text>'
    return drawn


def data_flow():
    """From a raw data set to a scored answer."""
    wide, high, across, down = 170, 74, 250, 110
    at = {name: (20 + column * across, 20 + line * down) for name, (column, line, *_) in FLOW.items()}
    parts = [
        box(*at[name], wide, high, title, text.split("\n"), color) for name, (_, _, title, text, color) in FLOW.items()
    ]
    for start, end, label in ARROWS:
        (x, y), (u, v) = at[start], at[end]
        if u > x:
            points = (x + wide, y + high / 2), (u, v + high / 2)
        elif u < x and v == y:
            points = (x, y + high / 2), (u + wide, v + high / 2)
        else:
            points = (x + wide / (2 if u == x else 6), y + high), (u + wide * (0.5 if u == x else 0.8), v)
        parts.append(arrow(*points, label))
    return svg(40 + 4 * across + wide, 40 + 2 * down + high, parts)


def layered(edges):
    """A graph without circles: each box stands below all that lead to it.

    Args:
        edges: name -> the names it leads to.
    """
    names = list(dict.fromkeys([*edges, *(end for ends in edges.values() for end in ends)]))
    level = dict.fromkeys(names, 0)
    for _ in names:
        for start, ends in edges.items():
            for end in ends:
                level[end] = max(level[end], level[start] + 1)
    lines = [[name for name in names if level[name] == line] for line in range(max(level.values()) + 1)]
    width, wide, high, down = 980, 96, 30, 78
    at = {
        name: (round((place + 0.5) * width / len(line) - wide / 2), 16 + number * down)
        for number, line in enumerate(lines)
        for place, name in enumerate(line)
    }
    parts = [
        arrow((at[start][0] + wide / 2, at[start][1] + high), (at[end][0] + wide / 2, at[end][1]))
        for start, ends in edges.items()
        for end in ends
    ]
    parts += [box(x, y, wide, high, name) for name, (x, y) in at.items()]
    return svg(width, 32 + (len(lines) - 1) * down + high, parts)


if __name__ == "__main__":
    OUT.write_text(data_flow() + "\n", encoding="utf-8")
