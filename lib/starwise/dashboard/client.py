"""How the dashboard reaches scorer and store: over REST, or in its own process.

client = make_client()               # REST when STARWISE_API_URL is set, else in this process
client.predict("Lovely people.")     # Reading(sentiment=0.93, stars=5, label='good')
client.save(uuid4(), "Brightleaf", "Lovely people.", 5)

With a service, nothing heavy is imported: a visitor costs a kernel with widgets and no more.
"""

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import socket
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
    """What the dashboard asks for; all calls block, and raise StarwiseError in a sentence.

    A client may also have `predicting`: as `predict`, but a coroutine, which saves a letter the way
    through another thread.
    """

    def predict(self, text: str) -> Reading:
        """Score a text."""

    def explain(self, text: str) -> list[Mark]:
        """Say which words moved the score of a text; a client may go without it."""

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict[str, Any]:
        """Store a review, and return its row after the commit."""


class ServiceClient:
    """Speaks to the service over HTTP, and keeps the connections that it opened."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ClientError("STARWISE_API_URL is not an address such as http://127.0.0.1:8000.")
        secure = address.scheme == "https"
        self._kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port = address.hostname, address.port
        self._base = address.path.rstrip("/")
        self._named = address.netloc.rpartition("@")[2]
        self._kept: list[http.client.HTTPConnection] = []  # between two requests

    def predict(self, text: str) -> Reading:
        return _reading(self._post("/api/predict", {"review": text}, timeout=5))

    async def predicting(self, text: str) -> Reading:
        """Score a text as `predict` does; without a thread where a connection is open."""
        exchanged = await self._exchange_over_kept("/api/predict", _body({"review": text}), 5)
        if exchanged is None:
            return await asyncio.to_thread(self.predict, text)
        return _reading(_answer(*exchanged))

    def explain(self, text: str) -> list[Mark]:
        return _marks(text, self._post("/api/explain", {"review": text}, timeout=5))

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict[str, Any]:
        body = {"id": str(id), "brand": brand, "review": review, "rating": rating}
        return self._post("/api/reviews", body, timeout=15)

    def _post(self, path: str, body: dict[str, Any], timeout: float) -> Any:
        return _answer(*self._exchange(path, _body(body), timeout))

    def _exchange(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        # A kept connection may have been closed meanwhile, so a second attempt takes a new one.
        # Asking twice is harmless: a prediction stores nothing, and a review has its own id.
        for fresh in (False, True):
            connection = None if fresh else self._open()
            try:
                if connection is None:
                    connection = self._kind(self._host, self._port, timeout=timeout)
                    connection.connect()
                self._send(connection, path, body, timeout)
                return self._receive(connection)
            except TimeoutError:
                connection.close()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
        raise ClientError("The service does not answer just now.")

    async def _exchange_over_kept(
        self, path: str, body: bytes, timeout: float
    ) -> tuple[int, bytes] | None:
        """Return status and content, or None where no kept connection serves."""
        connection = self._open()
        if connection is None:
            return None
        try:
            self._send(connection, path, body, timeout)
            async with asyncio.timeout(timeout):
                await _readable(connection.sock)
            return self._receive(connection)
        except TimeoutError:
            connection.close()
            raise ClientError("The service does not answer just now.") from None
        except (OSError, http.client.HTTPException, NotImplementedError):
            connection.close()
            return None
        except BaseException:
            connection.close()  # what was asked on it may still be answered
            raise

    def _open(self) -> http.client.HTTPConnection | None:
        with contextlib.suppress(IndexError):
            return self._kept.pop()
        return None

    def _send(
        self, connection: http.client.HTTPConnection, path: str, body: bytes, timeout: float
    ) -> None:
        # In one piece, which http.client would send in two.
        head = (
            f"POST {self._base}{path} HTTP/1.1\r\nHost: {self._named}\r\n"
            f"Accept-Encoding: identity\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection.sock.settimeout(timeout)
        connection.sock.sendall(head.encode() + body)

    def _receive(self, connection: http.client.HTTPConnection) -> tuple[int, bytes]:
        response = http.client.HTTPResponse(connection.sock, method="POST")
        response.begin()
        content = response.read()
        if response.will_close:
            connection.close()
        else:
            self._kept.append(connection)
        return response.status, content


async def _readable(given: socket.socket) -> None:
    """Wait until something can be read from a socket, or its other end is gone."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(given, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(given)


def _body(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries).encode()


def _answer(status: int, content: bytes) -> Any:
    """Return what an answer of the service says; raises `ClientError` where it refused."""
    try:
        answer = json.loads(content)
        if status < 400:
            return answer
        sentence = str(answer["detail"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The service answered with status {status}."
    raise ClientError(sentence, lasting=400 <= status < 500 and status not in (408, 429))


def _reading(answer: dict[str, Any]) -> Reading:
    return Reading(answer["sentiment"], answer["stars"], answer["label"])


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
        return _reading(self._loaded().predict(text))

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
