import itertools
import math

import numpy as np
import pytest
import torch
from candidate_making import SHARES, build_scenes, digest, make_folder

from idiff.alignment.auto import ClipScorer, Scores, TaskScorer, choose, pick_all
from idiff.alignment.candidates import Candidate, CandidateFolder, CandidateSample
from idiff.alignment.generate import one_prompt, plan
from idiff.alignment.picks import PickJournal
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError
from idiff.tasks import InstructEditing, KeypointDetection, SemanticSegmentation
from idiff.utils.images import to_picture
from idiff.utils.picture_files import encode_png


@pytest.mark.parametrize(
    ("candidates", "floor", "chosen"),
    [
        ([1.0, 3.0, 2.0], 0.5, [1, 2]),
        ([1.0, 3.0, 2.0], 2.5, [1]),
        ([1.0, 3.0, 2.0], 3.0, []),
        ([2.0, 2.0, 2.0], 1.0, [0, 1]),
        ([math.nan, 2.0], 1.0, [1]),
        ([2.0, 3.0], math.nan, []),
        ([], 0.0, []),
    ],
)
def test_up_to_two_are_chosen_that_are_better_than_the_source(candidates, floor, chosen):
    assert choose(Scores(candidates, floor)) == chosen


@pytest.mark.parametrize(("least", "chosen"), [(0, [2]), (1, [2]), (2, [2, 0])])
def test_so_many_can_be_chosen_where_none_beats_the_source(least, chosen):
    assert choose(Scores([0.2, float("nan"), 0.5], 0.4), least=least) == chosen
    assert choose(Scores([0.2, float("nan"), 0.3], 0.4), least=least) == [2, 0][:least]
    assert choose(Scores([float("nan")], 0.4), least=least) == []


@pytest.mark.parametrize("metric", ["headline", "psnr_inside", "mse_ratio"])
def test_edits_are_scored_by_the_metrics_of_the_task(folder, scenes, metric):
    scorer = TaskScorer(folder, InstructEditing(), ShardSet.open(scenes), metric=metric)
    scores = scorer(folder.read("000001"))
    order = sorted(range(len(SHARES)), key=lambda place: -scores.candidates[place])
    assert order == [1, 3, 0, 2]
    assert scores.candidates[0] > scores.floor > scores.candidates[2]
    assert choose(scores) == [1, 3]


def test_one_candidate_alone_equals_the_metric_of_the_task_on_it(folder, scenes):
    from idiff.metrics import region_psnr
    from idiff.utils.images import to_tensor

    shards = ShardSet.open(scenes)
    facts, sample, task = folder.read("000001"), shards.read(1), InstructEditing()
    scores = TaskScorer(folder, task, shards)(facts)
    truth = task.truth(task.queries(sample, 0)[0].annotation)
    source, target = sample.image.astype(float), sample.target.astype(float)
    for share, score in zip(SHARES, scores.candidates, strict=True):
        blend = np.clip(np.rint(source + share * (target - source)), 0, 255).astype(np.uint8)
        expected = float(region_psnr(to_tensor(blend), to_tensor(sample.target), truth.mask))
        assert score == pytest.approx(expected, abs=1e-3)


def test_decisions_are_written_once_and_none_is_kept_where_none_is_better(scenes, tmp_path):
    folder = make_folder(tmp_path / "folder", scenes, shares=(-0.5, 0.7))
    worse = make_folder(tmp_path / "worse", scenes, shares=(-0.5, -0.9))
    seconds = itertools.count()
    shown = []
    for one, expected in ((folder, (1,)), (worse, ())):
        scorer = TaskScorer(one, InstructEditing(), ShardSet.open(scenes))
        journal = PickJournal(one.path, "auto")
        journal.append("000002", [0])
        counts = pick_all(one, scorer, journal, clock=lambda: float(next(seconds)), progress=lambda *a: shown.append(a))
        assert counts == {"decided": 4, "before": 1, "none_good": 0 if expected else 4}
        standing = journal.decisions()
        assert standing.pop("000002").chosen == (0,)
        assert {decision.chosen for decision in standing.values()} == {expected}
        assert {decision.seconds for decision in standing.values()} == {1.0}
        assert pick_all(one, scorer, journal, clock=lambda: 0.0)["decided"] == 0
    assert shown[4] == (5, 5)


def test_other_data_metrics_and_keys_are_refused(folder, scenes, tmp_path):
    shards = ShardSet.open(scenes)
    with pytest.raises(ConfigError, match="unknown metric 'psnr_insid'; did you mean 'psnr_inside'"):
        TaskScorer(folder, InstructEditing(), shards, metric="psnr_insid")
    other = ShardSet.open(build_scenes(tmp_path / "other", count=2))
    with pytest.raises(DataError, match="is not the set the candidates were painted for"):
        TaskScorer(folder, InstructEditing(), other)
    facts = folder.read("000000")
    strange = CandidateSample(
        **{name: getattr(facts, name) for name in facts.__dataclass_fields__} | {"key": "strange"}
    )
    with pytest.raises(DataError, match="has no sample 'strange', which sample 000000 was painted for"):
        TaskScorer(folder, InstructEditing(), shards)(strange)


def painted_folder(path, shards, task):
    """Candidates of a painting task: the untouched source, the painted truth, an image of nothing but gray."""
    settings = {"task": task.kind, "data": {"path": "", "fingerprint": shards.fingerprint}}
    with CandidateFolder.begin(path, settings) as folder:
        for number, place in enumerate(plan(shards, task.unit)):
            sample = shards.read(place.number)
            triplet = one_prompt(task, sample, place.item)
            pictures = [to_picture(triplet.source), to_picture(triplet.target), np.full((64, 64, 3), 128, np.uint8)]
            files = {f"candidate_{index:02d}.png": encode_png(picture) for index, picture in enumerate(pictures)}
            facts = CandidateSample(
                sample=f"{number:06d}", key=sample.key, item=place.item, instruction=triplet.instruction, caption="c",
                query=triplet.query, truth=None, source={"file": "source.png"},
                candidates=tuple(Candidate(file, 0, {}, digest(data)) for file, data in files.items()),
            )  # fmt: skip
            folder.write(facts, files | {"source.png": files["candidate_00.png"]})
    return folder


@pytest.mark.parametrize("task", [SemanticSegmentation(), KeypointDetection()], ids=lambda task: task.kind)
def test_painted_answers_are_decoded_and_the_painted_truth_wins(tmp_path, task):
    shards = ShardSet.open(build_scenes(tmp_path / "set", task=task.kind, count=6))
    folder = painted_folder(tmp_path / "folder", shards, task)
    scorer = TaskScorer(folder, task, shards)
    assert scorer.metric == {"segmentation": "mciou", "keypoints": "ap"}[task.kind]
    right = [choose(scorer(folder.read(name)))[:1] == [1] for name in folder.samples()]
    assert sum(right) >= len(right) - 1 and len(right) == 6


def test_joints_that_were_not_asked_for_do_not_count():
    task = KeypointDetection()
    sample = task.example(np.random.default_rng(0))
    triplet = task.queries(sample, 0)[0]
    truth, asked = task.truth(triplet.annotation), triplet.query["indices"]
    cut = task.truth_of_prompt(triplet.annotation, triplet.query)
    assert cut.keypoints[asked].equal(truth.keypoints[asked])
    others = [index for index in range(len(truth.keypoints)) if index not in asked]
    assert others and (cut.keypoints[others, 2] == 0).all()
    assert (truth.keypoints[others, 2] > 0).any()


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A small untrained CLIP in the hub's format, with the package's tokenizer."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from idiff.models.text import TextEncoder

    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = TextEncoder(config=sizes).tokenizer
    text = sizes | {
        "vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    torch.manual_seed(0)
    vision = sizes | {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_clip_sim_is_the_cosine_with_the_caption(folder, clip_folder):
    from PIL import Image
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    facts = folder.read("000000")
    scores = ClipScorer(folder, str(clip_folder))(facts)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = CLIPTokenizer.from_pretrained(clip_folder)([facts.caption], return_tensors="pt")
    files = ["source.png", *(one.file for one in facts.candidates)]
    pictures = [Image.open(folder.path / "samples" / "000000" / file) for file in files]
    pixels = CLIPImageProcessorPil.from_pretrained(clip_folder)(images=pictures, return_tensors="pt")
    with torch.no_grad():
        similar = model(**tokens, **pixels).logits_per_text[0] / model.logit_scale.exp()
    assert [scores.floor, *scores.candidates] == pytest.approx(similar.tolist(), abs=1e-4)


def test_a_clip_folder_without_a_tokenizer_is_named(folder, tmp_path):
    with pytest.raises(DataError, match=r"tokenizer\.json is missing: expected the tokenizer of a CLIP model"):
        ClipScorer(folder, str(tmp_path))
