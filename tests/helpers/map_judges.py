"""Benchmarks of depth, normals and edges: what their raw folders hold, and plain numpy that scores the files of predictions."""

import cv2
import numpy as np
from raw_layouts import map_sets
from scipy.io import loadmat
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.morphology import thin


def nyu(root):
    map_sets.nyu_labeled(root, height=480, width=640)


def kitti(root):
    map_sets.kitti(root, height=375, width=1242)


def nyu_normals(root):
    map_sets.nyu_normals(root)


def bsds(root):
    map_sets.bsds(root, height=120, width=144)


def judge_depth(root, out, card):
    """AbsRel, delta1 and RMSE in meters of the written millimeters, against the raw set's own numbers."""
    rows = []
    for path in sorted((out / "maps").iterdir()):
        got = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64) / 1000
        stem = path.name.removesuffix("_depth.png")
        if card["scored"]["crop"] == "eigen":
            true = map_sets.far(int(stem) - 1, 480, 640).astype(np.float64)
            true[:, :3] = 0
            true = np.rint(true * 1000) / 1000
            top, bottom, left, right, cap = 45, 471, 41, 601, 10
        else:
            [file] = [one for one in root.rglob(f"{stem[-10:]}.png") if "groundtruth" in one.parts]
            true = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float64) / 256
            top, bottom, left, right, cap = 153, 371, 44, 1197, 80
        inside = np.zeros(true.shape, bool)
        inside[top:bottom, left:right] = True
        valid = inside & (true > 1e-3) & (true < cap)
        d, t = np.clip(got, 1e-3, cap)[valid], true[valid]
        rows.append((np.mean(abs(d - t) / t), np.mean(np.maximum(d / t, t / d) < 1.25), np.sqrt(np.mean((d - t) ** 2))))
    assert len(rows) == card["samples"] == 2
    return dict(zip(("absrel", "delta1", "rmse"), np.mean(rows, axis=0).tolist(), strict=True))


def judge_normals(root, out, card):
    """Angles in degrees between written and raw normals, of all known pixels together."""
    angles = []
    for path in sorted((out / "maps").iterdir()):
        got = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1].astype(np.float64) / 32767.5 - 1
        file = next(root.rglob(f"{path.name.removesuffix('_normals.png')}_normal.png"))
        colors = cv2.imread(str(file))[..., ::-1]
        true = (colors.astype(np.float64) / 127.5 - 1) * (-1, 1, 1)  # x there is left
        known = colors.any(axis=2)
        cosine = (got * true).sum(axis=2) / np.linalg.norm(got, axis=2) / np.linalg.norm(true, axis=2)
        angles.append(np.degrees(np.arccos(np.clip(cosine[known], -1, 1))))
    assert len(angles) == card["samples"] == 3
    every = np.concatenate(angles)
    shares = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
    return {"mean_angle": every.mean()} | {name: np.mean(every < degrees) for name, degrees in shares.items()}


def judge_edges(root, out, card):
    """ODS F of the written strengths against each annotator's drawing, within 4.34 pixels."""
    levels = np.arange(1, 100) / 100
    counts = np.zeros((len(levels), 4))
    files = sorted((out / "maps").iterdir())
    assert len(files) == card["samples"] == 3
    for path in files:
        strength = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 255
        [file] = root.rglob(f"{path.name.removesuffix('_edges.png')}.mat")
        drawn = [one["Boundaries"][0, 0] > 0 for one in loadmat(file)["groundTruth"][0]]
        for row, level in enumerate(levels):
            found = thin(strength >= level)
            right, recalled, total = np.zeros(found.sum(), bool), 0, 0
            for one in drawn:
                true = thin(one)
                gap = np.linalg.norm(np.argwhere(found)[:, None] - np.argwhere(true)[None], axis=2)
                pairs = (
                    maximum_bipartite_matching(csr_array(gap <= 4.34), perm_type="column") if len(gap) else gap[:, 0]
                )
                right |= pairs >= 0
                recalled, total = recalled + (pairs >= 0).sum(), total + true.sum()
            counts[row] += right.sum(), len(right), recalled, total
    precision, recall = counts[:, 0] / np.maximum(counts[:, 1], 1), counts[:, 2] / counts[:, 3]
    return {"ods": (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()}
