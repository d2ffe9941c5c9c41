"""Makes the practice site misbehave on request, as real sites do, to test a collector.

site = misbehave(make_site(world), parse_faults("429,drop@/review/acme?page=2"))

A fault without an address strikes about one review page in ten, the same ones in every run.
A fault with `@/address` strikes the addresses that begin so. Most faults pass: the page is served
when it is asked for again.
"""

import asyncio
import email.utils
import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starwise.errors import StarwiseError

ONE_PAGE_IN = 10
SILENCE_SECONDS = 600  # longer than any client should wait
HUGE_BYTES = 50_000_000

# How often each fault strikes an address before the page is served (0: for ever).
STRIKES = {
    "429": 1,  # too many requests: come back in two seconds
    "429-date": 1,  # the same, saying when as a date
    "429-minute": 1,  # the same in a minute
    "503": 1,  # unavailable: come back in two seconds
    "429-long": 0,  # too many requests: come back in an hour
    "403": 0,  # forbidden
    "500": 2,  # a server error that passes
    "500-always": 0,
    "drop": 1,  # the connection is closed without an answer
    "cut": 1,  # the page ends in the middle
    "cut-always": 0,
    "silence": 1,  # headers, and then nothing
    "empty": 0,  # a page without any content
    "malformed": 0,  # markup that closes nothing and means nothing
    "latin": 0,  # Windows' bytes, called UTF-8
    "utf16": 0,  # two bytes a letter, called UTF-8
    "login": 0,  # a page that asks to log in
    "cards": 0,  # the first cards lack text or stars, or have odd stars
    "same-next": 0,  # "next page" is the page itself
    "endless": 0,  # there is always a next page
    "robots": 0,  # robots.txt allows nothing
    "redirect": 0,  # to another host
    "huge": 0,  # a page of 50 MB
    "flood": 0,  # the same, without saying so first
}


@dataclass(frozen=True)
class Fault:
    """One fault and the addresses it strikes ("" for one review page in ten)."""

    kind: str
    address: str = ""

    def strikes(self, address: str) -> bool:
        if self.kind == "robots":
            return address == "/robots.txt"
        if self.address:
            return address.startswith(self.address)
        if not address.startswith("/review/"):
            return False
        # A digest and not hash(): the same pages in every process.
        digest = hashlib.sha256(f"{self.kind} {address}".encode()).digest()
        return digest[0] % ONE_PAGE_IN == 0


def parse_faults(spec: str) -> list[Fault]:
    """Read "429,drop@/review/acme"; raise StarwiseError that names an unknown fault."""
    faults = []
    for word in filter(None, (part.strip() for part in spec.split(","))):
        kind, _, address = word.partition("@")
        if kind not in STRIKES:
            raise StarwiseError(f"There is no fault {kind!r}; known are {', '.join(STRIKES)}.")
        faults.append(Fault(kind, address))
    return faults


def misbehave(app: ASGIApp, faults: list[Fault]) -> ASGIApp:
    """Return `app` with these faults, or `app` itself when there are none."""
    return _Misbehaving(app, faults) if faults else app


class _Misbehaving:
    def __init__(self, app: ASGIApp, faults: list[Fault]) -> None:
        self.app = app
        self.faults = faults
        self.struck: Counter[tuple[Fault, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        address = scope["path"] + (f"?{query}" if query else "")
        for fault in self.faults:
            limit = STRIKES[fault.kind]
            if fault.strikes(address) and (not limit or self.struck[fault, address] < limit):
                self.struck[fault, address] += 1
                return await self._strike(fault.kind, scope, receive, send)
        return await self.app(scope, receive, send)

    async def _strike(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        if kind == "drop":
            # ASGI has no way to hang up: reach through uvicorn's request to its connection.
            return receive.__self__.transport.abort()
        if kind in ("cut", "cut-always", "silence"):
            return await self._break_off(kind, scope, receive, send)
        if kind == "endless":
            return await self._endless(scope, receive, send)
        if kind == "same-next" and scope["path"].startswith("/api/"):
            return await self._list(scope, receive, send, page=1, pages=2)
        if kind in ("latin", "utf16"):
            return await self._encoded(kind, scope, receive, send)
        if kind == "flood":
            return await _flood(send)
        if kind in ("cards", "same-next"):
            body = await self._body(scope, receive)
            change = _spoil_cards if kind == "cards" else _same_next
            answer = _html(change(body, scope))
        else:
            answer = _ANSWERS[kind]()
        return await answer(scope, receive, send)

    async def _break_off(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise the whole page, send a part of it (or nothing), and stop."""
        body = (await self._body(scope, receive)).encode()
        headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        part = b"" if kind == "silence" else body[: len(body) // 2]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        if kind == "silence":
            # Until the visitor gives up.
            await asyncio.wait([asyncio.ensure_future(_gone(receive))], timeout=SILENCE_SECONDS)
        receive.__self__.transport.close()

    async def _endless(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the first page under every number, always with a link to the next number."""
        page = re.search(rb"page=(\d+)", scope["query_string"])
        if scope["path"].startswith("/api/"):
            number = int(page[1]) if page else 1
            return await self._list(scope, receive, send, page=number, pages=number + 1)
        following = f"{scope['path']}?page={int(page[1]) + 1 if page else 2}"
        body = await self._body({**scope, "query_string": b""}, receive)
        await _html(_with_next(body, following))(scope, receive, send)

    async def _list(self, scope: Scope, receive: Receive, send: Send, **changes: int) -> None:
        """Serve the first page of a list of companies, with other numbers of pages."""
        query = re.sub(rb"page=\d+", b"page=1", scope["query_string"])
        found = json.loads(await self._body({**scope, "query_string": query}, receive))
        await JSONResponse(found | changes)(scope, receive, send)

    async def _encoded(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page in another encoding than it claims."""
        body = await self._body(scope, receive)
        encoding = {"latin": "cp1252", "utf16": "utf-16-le"}[kind]
        answer = Response(body.encode(encoding, "replace"), media_type="text/html")
        await answer(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> str:
        parts = []

        async def keep(message: Message) -> None:
            parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return b"".join(parts).decode()


async def _flood(send: Send) -> None:
    headers = [(b"content-type", b"text/html"), (b"transfer-encoding", b"chunked")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(HUGE_BYTES // 1_000_000):
        part = b"<p>more and more</p>" * 50_000
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _html(body: str) -> Response:
    return Response(body, media_type="text/html")


def _with_next(body: str, address: str) -> str:
    link = f'<nav class="pages"><a class="next-page" rel="next" href="{address}">Next</a></nav>'
    return re.sub(r'<nav class="pages".*?</nav>', link, body, flags=re.DOTALL)


def _same_next(body: str, scope: Scope) -> str:
    query = scope["query_string"].decode()
    return _with_next(body, scope["path"] + (f"?{query}" if query else ""))


def _spoil_cards(body: str, scope: Scope) -> str:
    """Spoil the first four cards: no text; no stars; "4,5 stars"; two ratings."""
    cards = re.split(r'(?=<article class="review-card")', body)
    stars = re.compile(r'<div class="review-stars".*?</div>', re.DOTALL)
    spoil = [
        lambda card: re.sub(r'<p class="review-text">.*?</p>', "", card, flags=re.DOTALL),
        lambda card: stars.sub("", card),
        lambda card: stars.sub(
            '<div class="review-stars" data-rating="4,5"><img alt="4,5 stars: Great"></div>', card
        ),
        lambda card: stars.sub(
            '<div class="review-stars" data-rating="1"><img alt="1 stars: Bad"></div>'
            '<div class="review-stars" data-rating="5"><img alt="5 stars: Excellent"></div>',
            card,
        ),
    ]
    for place, change in enumerate(spoil[: len(cards) - 1], start=1):
        cards[place] = change(cards[place])
    return "".join(cards)


def _date_in(seconds: int) -> str:
    """Return the date of a moment to come, as HTTP writes it: without parts of a second."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


_ANSWERS = {
    "429": lambda: PlainTextResponse("Too many requests", 429, {"Retry-After": "2"}),
    "429-date": lambda: PlainTextResponse("Too many", 429, {"Retry-After": _date_in(seconds=3)}),
    "429-minute": lambda: PlainTextResponse("Too many", 429, {"Retry-After": "60"}),
    "503": lambda: PlainTextResponse("Not now", 503, {"Retry-After": "2"}),
    "429-long": lambda: PlainTextResponse("Too many", 429, {"Retry-After": "3600"}),
    "403": lambda: PlainTextResponse("Not for you", 403),
    "malformed": lambda: _html("<html><body <<div class='><b>&nosuch;&#xFFFFFF;</p></i>" * 9),
    "500": lambda: PlainTextResponse("Something broke", 500),
    "500-always": lambda: PlainTextResponse("Something broke", 500),
    "empty": lambda: _html(""),
    "login": lambda: _html("<html><title>Log in</title><form>Please log in</form></html>"),
    "robots": lambda: PlainTextResponse("User-agent: *\nDisallow: /\n"),
    "redirect": lambda: Response(status_code=302, headers={"Location": "http://other.invalid/"}),
    "huge": lambda: _html("<p>more and more</p>" * (HUGE_BYTES // 20)),
}
