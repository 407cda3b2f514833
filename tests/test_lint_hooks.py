"""The hooks of .pre-commit-config.yaml and `make lint` are the same commands."""

import re
import shutil
import subprocess

import pytest
import yaml
from small_models import ROOT


def hooks():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local"
    return local["hooks"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_hooks_run_what_make_lint_runs():
    words = ["make", "--dry-run", "--assume-old=.venv/.ready", "lint"]
    shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    commands = [line for line in shown.splitlines() if re.match(r"\.venv/bin/(ruff|mypy|idiff)\b", line)]
    assert commands and commands == [hook["entry"] for hook in hooks()]


def test_hooks_need_no_network_and_see_the_whole_tree():
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in hooks())
