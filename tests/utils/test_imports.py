"""Packages that are kept from being loaded, and are there again afterwards."""

import importlib.util
import sys

import pytest

from idiff.utils.imports import without

NAME = "colorsys"


@pytest.fixture
def not_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, NAME, raising=False)


@pytest.mark.usefixtures("not_loaded")
def test_a_package_looks_as_if_it_were_not_installed():
    with without(NAME):
        assert importlib.util.find_spec(NAME) is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(NAME)
    assert importlib.import_module(NAME).rgb_to_hsv(0, 0, 0) == (0, 0, 0)


@pytest.mark.usefixtures("not_loaded")
def test_it_is_there_again_after_an_error():
    with pytest.raises(ZeroDivisionError), without(NAME):
        raise ZeroDivisionError
    assert NAME not in sys.modules and importlib.util.find_spec(NAME)


def test_what_is_loaded_stays():
    with without("json"):
        import json
    assert sys.modules["json"] is json
