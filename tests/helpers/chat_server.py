"""A server on this machine that speaks the chat-completions API and answers as a test says: well, badly, late or with malice."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep


class Reply:
    """One answer of the server.

    Args:
        content: the message's text; a list becomes `{"rewrites": [...]}`.
        status: of HTTP. body: raw bytes in place of a completion. headers: more of them.
        wait: seconds before it answers. finish: why the model stopped. cut: bytes of the body that are sent.
    """

    def __init__(self, content="", *, status=200, body=None, headers=None, wait=0.0, finish="stop", cut=None):
        self.content = content if isinstance(content, str) else json.dumps({"rewrites": content})
        self.status, self.body, self.headers = status, body, headers or {}
        self.wait, self.finish, self.cut = wait, finish, cut

    def bytes(self):
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": self.content, "type": "x", "code": "x"}}).encode()
        message = {"role": "assistant", "content": self.content}
        choices = [{"index": 0, "message": message, "finish_reason": self.finish}]
        usage = {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
        return json.dumps(whole).encode()


class Chat:
    """The running server: what it was asked, and when.

    Attributes:
        url: base address.
        requests: JSON bodies, each with its `time` and `authorization`.
    """

    def __init__(self, answer):
        self.answer, self.requests, self.url = answer, [], ""


@contextmanager
def chat(answer):
    """Serve.

    Args:
        answer: from the number of a request, counted from 0, and its body to a `Reply`.
    """
    state = Chat(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen = {"time": monotonic(), "authorization": self.headers.get("Authorization"), "path": self.path}
            state.requests.append(body | seen)
            reply = state.answer(len(state.requests) - 1, body)
            sleep(reply.wait)
            payload = reply.bytes()
            try:
                self.send_response(reply.status)
                for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload[: reply.cut])
            except OSError:  # who asked has gone
                pass

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
