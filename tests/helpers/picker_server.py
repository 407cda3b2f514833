"""The picker's server as a process of its own, which can be killed and started again."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """`idiff align pick` on one port; can be killed and started again."""

    def __init__(self, folder, *words):
        self.folder, self.port, self.words, self.process = folder, free_port(), words, None
        self.address = f"http://127.0.0.1:{self.port}/"

    def start(self):
        command = [
            sys.executable,
            "-m",
            "idiff",
            "align",
            "pick",
            str(self.folder),
            "--port",
            str(self.port),
            *self.words,
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        wait_for(self._answers)

    def _answers(self):
        assert self.process.poll() is None, self.process.communicate()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}api/hello", timeout=5) as reply:
            return reply.status == 200
        return False

    def stop(self, signal):
        """Send a signal and wait for the end: exit code, stdout, stderr."""
        self.process.send_signal(signal)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def wait_for(condition, *, seconds=20):
    """Wait until a condition holds; returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{condition} did not hold within {seconds} s"
        time.sleep(0.03)
    return value
