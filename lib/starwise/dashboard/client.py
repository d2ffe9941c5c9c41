"""How the dashboard reaches scorer and store: over REST, or in its own process.

client = make_client()               # REST when STARWISE_API_URL is set, else in this process
client.predict("Lovely people.")     # Reading(sentiment=0.93, stars=5, label='good')
client.save(uuid4(), "Brightleaf", "Lovely people.", 5)

With a service, nothing heavy is imported: a visitor costs a kernel with widgets and no more.
"""

import atexit
import contextlib
import http.client
import json
import os
import threading
import uuid
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from starwise.errors import StarwiseError
from starwise.paths import Outputs


class ClientError(StarwiseError):
    """The service refused or did not answer; the message is its sentence, or ours.

    `lasting` says that the same request would be refused again.
    """

    def __init__(self, sentence: str, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.lasting = lasting


@dataclass(frozen=True)
class Reading:
    """What the model makes of a text."""

    sentiment: float  # 0 (bad) to 1 (good)
    stars: int  # 1 to 5
    label: str  # bad, average or good


@dataclass(frozen=True)
class Mark:
    """A word of a text, and how far it moved the score."""

    word: str
    effect: float  # sentiment with the word less sentiment without; above 0: towards good


class Client(Protocol):
    """What the dashboard asks for; all calls block, and raise StarwiseError in a sentence."""

    def predict(self, text: str) -> Reading:
        """Score a text."""

    def explain(self, text: str) -> list[Mark]:
        """Say which words moved the score of a text; a client may go without it."""

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict[str, Any]:
        """Store a review, and return its row after the commit."""


class ServiceClient:
    """Speaks to the service over HTTP, each thread keeping one connection open."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ClientError("STARWISE_API_URL is not an address such as http://127.0.0.1:8000.")
        secure = address.scheme == "https"
        self._kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port = address.hostname, address.port
        self._base = address.path.rstrip("/")
        self._kept = threading.local()

    def predict(self, text: str) -> Reading:
        answer = self._post("/api/predict", {"review": text}, timeout=5)
        return Reading(answer["sentiment"], answer["stars"], answer["label"])

    def explain(self, text: str) -> list[Mark]:
        return _marks(text, self._post("/api/explain", {"review": text}, timeout=5))

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict[str, Any]:
        body = {"id": str(id), "brand": brand, "review": review, "rating": rating}
        return self._post("/api/reviews", body, timeout=15)

    def _post(self, path: str, body: dict[str, Any], timeout: float) -> Any:
        status, content = self._exchange(path, json.dumps(body).encode(), timeout)
        try:
            answer = json.loads(content)
            if status < 400:
                return answer
            sentence = str(answer["detail"])
        except (ValueError, KeyError, TypeError):
            sentence = f"The service answered with status {status}."
        raise ClientError(sentence, lasting=400 <= status < 500 and status not in (408, 429))

    def _exchange(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        # A kept connection may have been closed meanwhile, so a second attempt takes a new one.
        # Asking twice is harmless: a prediction stores nothing, and a review has its own id.
        for fresh in (False, True):
            connection = getattr(self._kept, "connection", None)
            if fresh or connection is None:
                connection = self._kind(self._host, self._port, timeout=timeout)
            self._kept.connection = None
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            try:
                connection.request("POST", self._base + path, body, headers)
                response = connection.getresponse()
                content = response.read()
            except TimeoutError:
                connection.close()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            self._kept.connection = connection
            return response.status, content
        raise ClientError("The service does not answer just now.")


class KernelClient:
    """Scores and stores in this process; model and database come at their first need."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._loading = threading.Lock()
        self._service: Any = None
        # What is open (the embedded Postgres) is closed when the kernel ends.
        self._open = contextlib.ExitStack()
        atexit.register(self._open.close)

    def predict(self, text: str) -> Reading:
        answer = self._loaded().predict(text)
        return Reading(answer["sentiment"], answer["stars"], answer["label"])

    def explain(self, text: str) -> list[Mark]:
        return _marks(text, self._loaded().explain(text))

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict[str, Any]:
        service = self._loaded()
        with self._loading:
            if service.store is None:
                from starwise.postgres import database
                from starwise.store import Store

                service.store = Store(self._open.enter_context(database()))
        row, _ = service.save(id, brand, review, rating)
        return row.as_json()

    def _loaded(self) -> Any:
        with self._loading:
            if self._service is None:
                from starwise.service import Service, load_scorer

                scorer, why_not = load_scorer(self._outputs)
                self._service = Service(scorer, None, why_not)
            return self._service


def _marks(text: str, effects: list[dict[str, Any]]) -> list[Mark]:
    # Half a character (a lone surrogate) is in no message that a kernel can send.
    words = [text[effect["start"] : effect["end"]] for effect in effects]
    whole = [word.encode("utf-8", "replace").decode() for word in words]
    return [Mark(word, effect["effect"]) for word, effect in zip(whole, effects, strict=True)]


def make_client(outputs: Outputs | None = None) -> Client:
    """Return the client of STARWISE_API_URL, or without it one that works in this process."""
    url = os.environ.get("STARWISE_API_URL")
    return ServiceClient(url) if url else KernelClient(outputs or Outputs.default())
