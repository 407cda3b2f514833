"""The running server against its own description."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serve_server import ServeServer

for package in ("gradio", "prometheus_client", "schemathesis"):
    pytest.importorskip(package, reason="idiff serve needs the extra idiff[serve], its fuzzing schemathesis")

HELPERS = str(Path(importlib.util.find_spec("serve_hooks").origin).parent)
PHASES = "coverage,fuzzing,stateful"


def test_requests_by_the_description_and_against_it_are_answered_as_it_says(tmp_path):
    server = ServeServer(tmp_path, "--seconds", "20")
    try:
        tool = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
        command = [
            tool, "run", f"{server.address}openapi.json", "--max-examples", "15", "--phases", PHASES, "--seed", "1",
            "--exclude-checks", "positive_data_acceptance", "--generation-database", "none",
        ]  # fmt: skip
        hooks = {"SCHEMATHESIS_HOOKS": "serve_hooks", "PYTHONPATH": os.pathsep.join([HELPERS, *sys.path])}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240, env=os.environ | hooks
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
        counted = server.get("metrics")[1].decode()
    finally:
        code, _, err = server.stop()
    statuses = {line.split('"')[1] for line in counted.splitlines() if line.startswith("idiff_responses_total{")}
    assert {"200", "202", "404", "405", "422"} <= statuses and not [each for each in statuses if each >= "500"]
    assert code == 0 and "Traceback" not in err
