"""What our servers share: a port or a sentence, an end in order, one log line a request.

server_socket = listening_socket("127.0.0.1", 8000)
app.add_middleware(RequestLog)
"""

import contextlib
import ctypes
import errno
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starwise.errors import StarwiseError

MADV_DONTNEED = 4  # madvise(2)

log = logging.getLogger("starwise.requests")


class PortError(StarwiseError):
    """The asked port cannot be listened on."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket (port 0: any free one); raises `PortError` in a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, since asyncio sends small answers at once (TCP_NODELAY) only then.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except (OSError, OverflowError) as error:
        bound.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise PortError(
                f"port {port} is in use on {host}: stop the other program, or choose another port."
            ) from None
        raise PortError(f"port {port} cannot be opened on {host}: {error}.") from None
    return bound


def stop_with_parent() -> None:
    """Ask this process to stop (SIGTERM) when its standard input closes.

    A parent that holds the other end needs no farewell: even when it is killed, this ends too.
    """

    def wait() -> None:
        # Not sys.stdin: its lock, held by a waiting thread, would be fatal at the end.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that what is open gets closed."""

    def leave(*_: object) -> None:
        # A second one must not interrupt the closing.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)


def keep_memory_small() -> None:
    """Have glibc share two heaps between all threads and give large pieces back at once.

    By itself it gives every thread a heap of its own and keeps what a long text needed for good.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        allocator = ctypes.CDLL(None)
        # See malloc.h and mallopt(3): M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (bytes).
        for setting, value in ((-8, 2), (-3, 512 * 1024), (-1, 1024 * 1024)):
            allocator.mallopt(setting, value)


def give_back_code() -> int:
    """Unmap the pages of libraries that only their start needed; return how many kilobytes went.

    While torch registers its operators it touches 90 MB of its files, and to score a text brings 20
    of them back. They lie in the cache that Linux keeps of files: no memory is lost to the machine
    while it has room, and none is held when it has not.
    """
    if sys.platform != "linux":
        return 0
    given = 0
    with contextlib.suppress(OSError, AttributeError):
        allocator, told = ctypes.CDLL(None), Path("/proc/self/smaps").read_text()
        for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", told):
            place = _CODE.match(mapping)
            # Only what is as it is in the file: a page with anything of ours in it would be lost.
            if place and re.search(r"^Anonymous: +0 kB$", mapping, re.MULTILINE):
                start, end = (int(address, 16) for address in place.groups())
                size = ctypes.c_size_t(end - start)
                if allocator.madvise(ctypes.c_void_p(start), size, MADV_DONTNEED) == 0:
                    given += sum(map(int, re.findall(r"^Rss: +(\d+)", mapping, re.MULTILINE)))
    return given


_CODE = re.compile(
    r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +/.*\.so[.\d]*$", re.MULTILINE
)


class RequestLog:
    """ASGI middleware: method, path, status and milliseconds of each request; never its content."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            # Escaped and cut: a path may hold line ends that would forge further lines.
            path = ascii(scope["path"])[1:-1][:200]
            took = 1000 * (time.perf_counter() - began)
            log.info("%s %s %d %.0f ms", scope["method"], path, status, took)
