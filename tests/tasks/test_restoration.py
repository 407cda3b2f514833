import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.tasks import Deblur, Denoise, Dewatermark
from idiff.types import Prediction, Sample
from idiff.utils.images import to_tensor
from idiff.utils.seeds import numpy_rng

TASKS = [Denoise, Deblur, Dewatermark]


def sample(height=100, width=80, seed=0):
    """Two unlike images, so that a pixel out of place shows."""
    rng = np.random.default_rng(seed)
    image, target = (rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(2))
    return Sample(key="a", image=image, annotation={}, target=target)


def answer(task, triplets, pictures):
    queries = [triplet.query for triplet in triplets]
    return task.combine(task.decode(torch.stack(pictures), torch.stack(pictures), queries), queries)


@pytest.mark.parametrize(("kind", "task"), [("denoise", Denoise), ("deblur", Deblur), ("dewatermark", Dewatermark)])
def test_each_kind_asks_in_its_own_words(kind, task):
    task = task()
    assert (task.kind, task.headline, task.unit) == (kind, "psnr", "picture")
    data = sample(16, 16)
    asked = {task.encode(data, 0, numpy_rng(0, n), train=True).instruction for n in range(300)}
    known = {template.fill([{}]) for template in task.bank.templates}
    assert asked < known and len(asked) > 0.8 * len(known) > 80
    assert task.queries(sample(), 0)[0].instruction == task.bank.first().fill([{}])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", [(100, 80), (64, 64), (40, 90), (20, 30)])
def test_training_shows_the_same_pixels_of_both_unshrunk(task, shape):
    data, task, mirrored = sample(*shape), task(), set()
    for number in range(12):
        triplet = task.encode(data, 0, numpy_rng(0, number), train=True)
        (across, _, x), (_, down, y) = triplet.query["warp"]
        assert (abs(across), down) == (1, 1)
        mirrored.add(across < 0)
        places = [(r, c) for r in range(64) for c in range(64)]
        for row, column in places[::37]:
            line, place = round(row - y), round((column - x) / across)
            inside = 0 <= line < shape[0] and 0 <= place < shape[1]
            for shown, picture in ((triplet.source, data.image), (triplet.target, data.target)):
                expected = to_tensor(picture)[:, line, place] if inside else torch.zeros(3)
                assert torch.equal(shown[:, row, column], expected)
    assert mirrored == {True, False}


def test_flip_can_be_left_out():
    warps = [Denoise(flip=0.0).encode(sample(), 0, numpy_rng(0, n), train=True).query["warp"] for n in range(20)]
    assert all(warp[0][0] == 1 for warp in warps)
    assert len({str(warp) for warp in warps}) > 10


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("shape", "part"), [((100, 80), (18, 8, 64, 64)), ((40, 90), (0, 13, 40, 64)), ((9, 5), (0, 0, 9, 5))]
)
def test_answer_and_truth_are_the_same_part(task, shape, part):
    data, task = sample(*shape), task()
    (triplet,) = task.queries(data, 0)
    assert triplet.query["size"] == list(shape)
    top, left, height, width = part
    here = (slice(top, top + height), slice(left, left + width))
    truth = task.truth(triplet.annotation)
    assert torch.equal(truth.picture, to_tensor(data.target[here]))
    assert torch.equal(truth.source, to_tensor(data.image[here]))
    made = answer(task, [triplet], [triplet.target])
    assert torch.equal(made.picture, truth.picture)
    drawn = task.render(made, data.image)
    assert np.array_equal(drawn[here], data.target[here])
    outside = np.ones(shape, bool)
    outside[here] = False
    assert np.array_equal(drawn[outside], data.image[outside])


def test_metrics_are_those_of_the_part_seen():
    task, data = Denoise(), sample()
    (triplet,) = task.queries(data, 0)
    metrics = task.metrics()
    metrics.update(answer(task, [triplet], [triplet.source]), task.truth(triplet.annotation))
    seen = (slice(18, 82), slice(8, 72))
    error = ((data.image[seen].astype(float) - data.target[seen]) ** 2).mean()
    found = metrics.compute()
    assert float(found["psnr"]) == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert float(found["ssim"]) < 0.1


def test_a_picture_too_small_for_ssim_still_has_a_psnr():
    task = Denoise()
    (triplet,) = task.queries(sample(9, 30), 0)
    metrics = task.metrics()
    metrics.update(answer(task, [triplet], [triplet.target]), task.truth(triplet.annotation))
    found = metrics.compute()
    assert float(found["psnr"]) == 100 and torch.isnan(found["ssim"])


def test_no_answer_makes_sense_without_the_picture():
    assert Denoise().baseline([]) is None


def test_only_decoded_pictures_are_combined():
    (triplet,) = Denoise().queries(sample(), 0)
    with pytest.raises(ConfigError, match=r"expected an? ImagePrediction"):
        Denoise().combine([Prediction(query=triplet.query)], [triplet.query])


def wrong(**fields):
    data = sample()
    for name, value in fields.items():
        setattr(data, name, value)
    return data


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (wrong(target=None), "target: got none"),
        (wrong(target=np.zeros((100, 79, 3), np.uint8)), r"target: got uint8 \(100, 79, 3\)"),
        (wrong(target=np.zeros((100, 80, 3), np.float32)), "target: got float32"),
        (wrong(image=np.zeros((100, 80), np.uint8)), "image"),
    ],
)
def test_bad_samples_are_named(data, field):
    for call in (lambda: Denoise().encode(data, 0, numpy_rng(0), train=True), lambda: Denoise().queries(data, 0)):
        with pytest.raises(BadSampleError, match=f"a: {field}"):
            call()


@pytest.mark.parametrize("arguments", [{"size": 4}, {"flip": 1.5}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ConfigError):
        Denoise(**arguments)


def test_a_sentence_of_ones_own_has_no_slots(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Clean it, please.\n")
    assert Denoise(instructions=str(path)).queries(sample(), 0)[0].instruction == "Clean it, please."
    path.write_text("Clean the {object}.\n")
    with pytest.raises(ConfigError, match="slots"):
        Denoise(instructions=str(path))


@pytest.mark.parametrize("shape", [(100, 150), (64, 64), (40, 90), (9, 5), (129, 64)])
def test_a_whole_picture_is_asked_in_squares_and_put_together(shape):
    data, task = sample(*shape), Denoise(whole=True)
    triplets = task.queries(data, 0)
    assert len({triplet.key for triplet in triplets}) == len(triplets) >= -(-shape[0] // 64) * -(-shape[1] // 64)
    assert {triplet.query["group"] for triplet in triplets} == {"a/0"}
    truth = task.truth(triplets[0].annotation)
    assert torch.equal(truth.picture, to_tensor(data.target)) and torch.equal(truth.source, to_tensor(data.image))
    made = answer(task, triplets, [triplet.target for triplet in triplets])
    assert torch.equal(made.picture, truth.picture)
    assert np.array_equal(task.render(made, data.image), data.target)


def test_the_score_of_a_whole_picture_is_that_of_all_its_pixels():
    from skimage.metrics import peak_signal_noise_ratio

    data, task = sample(100, 150), Deblur(whole=True)
    data.target = np.clip(data.image.astype(int) + 20, 0, 255).astype(np.uint8)
    triplets, metrics = task.queries(data, 0), task.metrics()
    made = answer(task, triplets, [triplet.source for triplet in triplets])
    metrics.update(made, task.truth(triplets[0].annotation))
    expected = peak_signal_noise_ratio(data.target, data.image, data_range=255)
    assert float(metrics.compute()["psnr"]) == pytest.approx(expected, abs=1e-3)


def test_squares_share_an_overlap_that_can_be():
    assert len(Denoise(whole=True, overlap=0.0).queries(sample(64, 128), 0)) == 2
    assert len(Denoise(whole=True, overlap=0.5).queries(sample(64, 128), 0)) == 3
    with pytest.raises(ConfigError, match=r"overlap is 0\.6: expected 0 or more and at most 0\.5"):
        Denoise(overlap=0.6)
