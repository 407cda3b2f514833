"""Requests to stop: noted once, ended at once by a second signal, and given back."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from idiff.utils.signals import INTERRUPTED, TERMINATED, StopRequest, leave


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)])
def test_a_signal_is_noted_and_said(number, code, capfd):
    before = signal.getsignal(number)
    with StopRequest(number, said="stopping") as request:
        assert request.code is None
        os.kill(os.getpid(), number)
        assert request.code == code
    assert capfd.readouterr().err == "idiff: stopping\n"
    assert signal.getsignal(number) is before


def test_a_handler_may_leave():
    with pytest.raises(SystemExit) as stop, StopRequest(signal.SIGTERM, on_stop=leave):
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == TERMINATED


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", TERMINATED), ("SIGINT", INTERRUPTED)])
def test_a_second_signal_ends_the_process(number, code):
    script = (
        "import os, signal; from idiff.utils.signals import StopRequest\n"
        f"StopRequest(signal.{number}).start()\n"
        f"os.kill(os.getpid(), signal.{number}); print('goes on', flush=True); os.kill(os.getpid(), signal.{number}); print('no')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (code, "goes on\n")


def test_other_threads_listen_for_nothing():
    before = signal.getsignal(signal.SIGTERM)
    request = StopRequest(signal.SIGTERM)
    thread = threading.Thread(target=request.start)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    request.stop()
