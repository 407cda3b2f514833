"""`idiff serve` where it cannot serve."""

import socket
import subprocess
import sys

import pytest

from idiff.cli import main


@pytest.mark.parametrize("missing", ["gradio", "prometheus_client", "fastapi"])
def test_a_missing_extra_is_named_with_the_command_that_brings_it(missing):
    script = f"import sys; sys.modules[{missing!r}] = None; from idiff.cli import main; sys.exit(main(['serve', '--port', '0']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f'idiff: idiff serve needs {missing}: install the extra with pip install "idiff[serve]".\n'


def test_a_port_that_is_taken_and_words_that_mean_nothing_are_refused(capsys):
    pytest.importorskip("gradio", reason="idiff serve needs the extra idiff[serve]")
    pytest.importorskip("prometheus_client", reason="idiff serve needs the extra idiff[serve]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"idiff: port {port} is taken by another program. Give another one: --port {port + 1}.\n"
    )
    for words, says in (
        (["--port", "99999"], "expected 0 to 65535"), (["--seconds", "0"], "0.1 or more"), (["--share"], "--share"),
        (["--checkpoint", "gone.ckpt", "--port", "0"], "gone.ckpt is missing"),
    ):  # fmt: skip
        assert main(["serve", *words]) == 2
        assert says in capsys.readouterr().err
