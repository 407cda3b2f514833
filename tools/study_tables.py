"""The table of a study, out of its results.json."""

SHOWN = {
    "ap": "AP", "pck": "PCK@0.1", "pck05": "PCK@0.05", "miou": "mIoU", "mciou": "mcIoU", "psnr": "PSNR, dB", "ssim": "SSIM",
}  # fmt: skip


def tables(results):
    """Markdown: each metric of each set, for the generalist, its specialist, the blind baseline and the ceiling."""
    lines = [
        "| set | images | metric | generalist | specialist | ratio | blind baseline | ceiling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results["sets"].items():
        first = True
        for key, title in SHOWN.items():
            if found["metrics"].get(key) is None:
                continue
            own, low = found["metrics"][key], found["guess"].get(key)
            low = found["identity"].get(key) if low is None else low
            interval = found["intervals"].get(key)
            other = (found["specialist"] or {}).get("metrics", {}).get(key)
            cells = [
                name if first else "",
                str(found["samples"]) if first else "",
                title,
                f"{own:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""),
                "-" if other is None else f"{other:.3f}",
                "-" if not other else f"{own / other:.2f}",
                "-" if low is None else f"{low:.3f}",
                "-" if found["ceiling"].get(key) is None else f"{found['ceiling'][key]:.3f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
            first = False
    return "\n".join(lines) + "\n"
