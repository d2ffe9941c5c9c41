"""How much the service takes on: bodies, requests at once, and requests of one client.

    app.add_middleware(BodyLimit, limit=131_072)
    app.add_middleware(Capacity, requests=64)
    app.add_middleware(RateLimit, rate="1200/minute")

What is refused is told in a sentence and, where waiting helps, with Retry-After.
"""

import asyncio
import ipaddress
import math
import os
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starwise.errors import StarwiseError

# A body that is too large is read and thrown away up to here, so that the sender gets to read
# why; beyond it the connection is simply closed.
_PATIENCE = 64 * 1024 * 1024  # bytes
_SLOWEST_BODY = 20.0  # seconds that a body may take to arrive

RATE = "1200/minute"  # of one client that is not on this machine
REQUESTS = 64  # under way at once


class LimitError(StarwiseError):
    """A limit that was set to something that is none."""


def rate_allowed() -> RateLimitItem | None:
    """Return $STARWISE_RATE_LIMIT ("1200/minute" unless set), or None where it is "off"."""
    given = os.environ.get("STARWISE_RATE_LIMIT", "") or RATE
    if given == "off":
        return None
    try:
        return parse(given)
    except ValueError:
        raise LimitError(
            f'STARWISE_RATE_LIMIT is {given!r}: give a rate such as "1200/minute", or "off".'
        ) from None


class RateLimit:
    """ASGI middleware: 429 for a client that asks more often than `rate`.

    A client is an address, kept in memory for the length of the rate's window and nowhere else.
    Clients on this machine are not counted: the dashboard asks from here for all its visitors.
    """

    def __init__(self, app: ASGIApp, rate: RateLimitItem) -> None:
        self.app, self.rate = app, rate
        self.limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = network(scope) if scope["type"] == "http" else None
        if address is None or await self.limiter.hit(self.rate, address):
            return await self.app(scope, receive, send)
        window = await self.limiter.get_window_stats(self.rate, address)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        return await _refuse(429, "You ask too often", wait)(scope, receive, send)


def network(scope: Scope) -> str | None:
    """Return what one client has: its address, in IPv6 its network; None for this machine."""
    try:
        address = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return None  # a socket file, or a test
    if address.is_loopback:
        return None
    if address.version == 6:  # one customer of a provider holds at least so many addresses
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Capacity:
    """ASGI middleware: 503 at once for what exceeds so many requests under way.

    A queue that only grows helps nobody: who is turned away knows when to come again.
    """

    def __init__(self, app: ASGIApp, requests: int = REQUESTS) -> None:
        self.app, self.requests, self.under_way = app, requests, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.under_way >= self.requests:
            return await _refuse(503, "The service is busy", 1)(scope, receive, send)
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1


def _refuse(status: int, what: str, seconds: int) -> JSONResponse:
    sentence = f"{what}: try again in {seconds} second{'s' if seconds > 1 else ''}."
    return JSONResponse({"detail": sentence}, status, {"Retry-After": str(seconds)})


class BodyLimit:
    """ASGI middleware: refuses bodies of more than `limit` bytes with 413 and a sentence."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        # The whole body is read here, limit + 1 chunk at most: then the application never has to
        # stop half way.
        try:
            async with asyncio.timeout(_SLOWEST_BODY):
                body, size = await self._read(receive)
        except TimeoutError:
            problem = {"detail": "The body took too long to arrive: send it again."}
            return await JSONResponse(problem, 408)(scope, receive, send)
        if body is None:
            return None
        if size > self.limit:
            problem = {"detail": f"The body is larger than {self.limit:,} bytes: send less."}
            return await JSONResponse(problem, 413)(scope, receive, send)

        given = False

        async def once() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, once, send)

    async def _read(self, receive: Receive) -> tuple[bytes | None, int]:
        """Return the body (None: the client went away; empty: beyond the limit) and its size."""
        body, size, more = b"", 0, True
        while more and size <= _PATIENCE:
            message = await receive()
            if message["type"] != "http.request":
                return None, size
            size += len(message.get("body", b""))
            body = body + message.get("body", b"") if size <= self.limit else b""
            more = message.get("more_body", False)
        return body, size
