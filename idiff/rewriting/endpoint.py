"""A language model behind any service that speaks OpenAI's chat completions: asked politely, and never trusted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from idiff.errors import ConfigError, ServiceError
from idiff.rewriting.responses import Answer, Messages, ResponseCache

T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before an answer that could not be read is asked for again: doubled each time."""

_HERE = {"localhost", "127.0.0.1", "::1"}
_NO_KEY = "none"  # the client insists on one; services without keys ignore it


class Endpoint:
    """Ask a model, with pauses, repeats and a memory.

    The client repeats what fails on the way (no connection, time-outs, 408, 409, 429, 5xx), waits longer each time, and as long
    as `Retry-After` says. What arrives and cannot be used is asked for again here.

    Args:
        model: its name at the service.
        url: base address, up to and with `/v1`.
        answers: where answers are kept.
        temperature: of sampling.
        timeout: seconds to wait for an answer.
        retries: how often one request is repeated.
        per_minute: most requests a minute.
        sleep: waits for seconds; a test may give its own.

    Attributes:
        sent, cached: requests that went out, and that were answered from memory.
        asked, answered: tokens of prompts and answers of the requests that went out.

    Raises:
        ConfigError: the client is not installed, the address cannot be used, or the key is missing.
    """

    def __init__(
        self, model: str, *, url: str, answers: ResponseCache, temperature: float = 1.0, timeout: float = 60.0, retries: int = 5,
        per_minute: float = 60.0, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.model, self.answers, self.temperature, self.retries = model, answers, temperature, retries
        self.pause, self._sleep, self._last = 60.0 / per_minute, sleep, -float("inf")
        self.sent = self.cached = self.asked = self.answered = 0
        self._key = os.environ.get(KEY, "").strip()
        self.place = check_address(url, key=bool(self._key))
        try:
            import openai
        except ImportError:
            raise ConfigError(
                "rewriting needs the client of the chat-completions API: install it with pip install 'idiff[rewrite]'."
            ) from None
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key or _NO_KEY,
            base_url=url,
            timeout=timeout,
            max_retries=retries,
            organization="",
            project="",
        )

    def ask(self, messages: Messages, read: Callable[[str], T]) -> T | None:
        """Ask once, or take the answer from memory.

        Args:
            messages: the prompt.
            read: turns the text of an answer into what is wanted; raises ValueError where it cannot.

        Returns:
            what `read` made of it; None where no answer could be read, however often it was asked.

        Raises:
            ServiceError: the service cannot be reached or refuses.
        """
        found = self.answers.find(self.model, messages)
        if found is not None:
            try:
                value = read(found.text)
            except ValueError:
                pass
            else:
                self.cached += 1
                return value
        for attempt in range(self.retries + 1):
            if attempt:
                self._sleep(min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE))
            try:
                answer = self._send(messages)
                value = read(answer.text)
            except ValueError:
                continue
            self.answers.keep(self.model, messages, answer)
            return value
        return None

    def _send(self, messages: Messages) -> Answer:
        """One request over the network.

        Raises:
            ValueError: what came back is not a whole answer.
            ServiceError: nothing came back.
        """
        self._sleep(max(0.0, self._last + self.pause - time.monotonic()))
        self._last = time.monotonic()
        self.sent += 1
        sent: Any = [dict(message) for message in messages]
        try:
            reply: Any = self._client.chat.completions.create(
                model=self.model, messages=sent, temperature=self.temperature
            )
        except self._openai.APIResponseValidationError as error:
            raise ValueError("the reply has another shape") from error
        except self._openai.OpenAIError as error:
            raise self._failed(error) from None
        try:
            choice, usage = reply.choices[0], getattr(reply, "usage", None)
            text, whole = choice.message.content, choice.finish_reason != "length"
        except (AttributeError, TypeError, IndexError) as error:
            raise ValueError("the reply has another shape") from error
        answer = Answer(str(text or ""), _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
        self.asked += answer.asked
        self.answered += answer.answered
        if not whole:
            raise ValueError("the answer was cut")
        return answer

    def _failed(self, error: Exception) -> ServiceError:
        """One sentence about what the service did, without the key."""
        status = getattr(error, "status_code", None)
        known = {
            401: f"refused the key (401): set {KEY} to one that is valid here",
            403: f"refuses this use (403): the key in {KEY} may not do this",
            404: f"knows no model '{self.model}' or has another address (404): see --model and --base-url",
            429: f"still says 'too many requests' (429) after {self.retries} repeats: lower --per-minute, or see to the quota",
        }
        said = known.get(status or 0) or (f"failed with status {status}" if status else "gave no answer")
        more = "" if status in known else f" ({self._plain(str(error))})"
        return ServiceError(
            f"{self.place} {said}{more}. Answers so far are kept in {self.answers.path}: the same command goes on from there."
        )

    def _plain(self, text: str) -> str:
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return (text.replace(self._key, "***") if self._key else text)[:160]


def check_address(url: str, *, key: bool) -> str:
    """Return the host of a base address, for messages.

    Raises:
        ConfigError: it is not a http(s) address, a key would travel unencrypted, or OpenAI's own service would get none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or parts.scheme not in {"http", "https"} or not host or parts.username or parts.query:
        raise ConfigError(
            "--base-url is no address of a service: expected such as https://HOST/v1, without a name or a key in it."
        )
    if key and parts.scheme == "http" and host not in _HERE:
        raise ConfigError(
            f"--base-url http://{host}: the key in {KEY} would travel unencrypted. Use https, or unset it where no key is needed."
        )
    if not key and url.rstrip("/") == OPENAI:
        raise ConfigError(
            f"no key for {host}: set the environment variable {KEY}, or name a service of your own with --base-url."
        )
    return f"{host}:{port}" if port else host


def _count(usage: object, name: str) -> int:
    value = getattr(usage, name, 0)
    return value if isinstance(value, int) and value > 0 else 0
