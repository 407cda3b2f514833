"""`idiff serve` as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

from picker_server import free_port, wait_for


class ServeServer:
    """The server on a port, in a folder of its own."""

    def __init__(self, folder, *words):
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        command = [sys.executable, "-m", "idiff", "serve", "--port", str(self.port), *words]
        self.folder = folder
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        wait_for(self._answers, seconds=120)

    def _answers(self):
        assert self.process.poll() is None, self.process.communicate()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}health", timeout=5) as reply:
            return reply.status == 200
        return False

    def get(self, path):
        with urllib.request.urlopen(self.address + path.lstrip("/"), timeout=60) as reply:
            return reply.status, reply.read(), dict(reply.headers)

    def ask(self, fields, picture=None, *, path="api/answers", client="test"):
        """Send a form: status and what came as JSON."""
        mark = uuid.uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields
        ]
        if picture is not None:
            head = f'--{mark}\r\nContent-Disposition: form-data; name="picture"; filename="p.png"\r\n\r\n'
            parts.append(head.encode() + picture + b"\r\n")
        body = b"".join([*parts, f"--{mark}--\r\n".encode()])
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}", "X-Client": client}
        request = urllib.request.Request(self.address + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stop(self):
        """End it by Ctrl-C: exit code, stdout, stderr."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err
