import pytest

from idiff.tasks.common.referring_phrases import speaks_of_place


@pytest.mark.parametrize(
    "phrase",
    [
        "left guy", "man on right", "top pizza", "bottom-most bowl", "second from the left", "2nd from R", "far rt", "leftmost",
        "the middle one", "center", "person in the corner", "man behind the car", "dog in front", "the closest sheep",
        "biggest bear", "taller boy", "the other one", "boy next to the woman", "cup between plates", "at 9 o'clock",
        "the last slice", "northwest piece", "woman by the tree", "first in line", "UPPER LEFT", "the only cat", "nearest to us",
        "la voiture à gauche", "左边的人", "lower half", "furthest giraffe", "back row", "kid closer to the camera",
    ],
)  # fmt: skip
def test_places_order_and_comparison(phrase):
    assert speaks_of_place(phrase)


@pytest.mark.parametrize(
    "phrase",
    [
        "woman in a red vest", "bright green car", "man with white shirt", "striped cat", "sitting person", "the guest", "dog",
        "guy holding a bat", "all the sheep", "both people", "man on a bench", "chest of drawers", "two men in suits", "",
    ],
)  # fmt: skip
def test_looks_and_doings(phrase):
    assert not speaks_of_place(phrase)
