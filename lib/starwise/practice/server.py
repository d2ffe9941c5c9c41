"""Runs the practice site: by hand for the curious, or as a subprocess beside a notebook.

python -m starwise practice --port 8080

with serve(companies=12, reviews=300) as site:
    print(site.url)
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starwise.errors import StarwiseError


class PracticeError(StarwiseError):
    """The practice site could not be started."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `starwise practice` takes."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port, 0 for any free one")
    parser.add_argument("--seed", type=int, default=0, help="which world to write")
    parser.add_argument("--companies", type=int, default=320, help="how many companies")
    parser.add_argument("--reviews", type=int, default=24_000, help="how many reviews")
    parser.add_argument("--corpus", default="", help="serve the reviews of this CSV or parquet")
    parser.add_argument("--limit", type=int, default=0, help="rows of the corpus, 0 for all")
    parser.add_argument("--faults", default="", help="misbehave, for example 429,drop")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input closes"
    )


def main(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; print the address in one line as soon as pages can be read."""
    if args.exit_with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # Taken before the world is written: a port in use is said at once.
    listener = _listen(args.host, args.port)
    import uvicorn

    from starwise.practice.faults import misbehave, parse_faults
    from starwise.practice.site import make_site

    faults = parse_faults(args.faults)
    site = misbehave(make_site(_world(args)), faults)
    host = f"[{args.host}]" if ":" in args.host else args.host
    print(f"Practice site: http://{host}:{listener.getsockname()[1]}/", flush=True)
    if not args.exit_with_parent:
        print("Press Ctrl-C to stop it.", flush=True)
    config = uvicorn.Config(
        site, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


@dataclass(frozen=True)
class RunningSite:
    """A practice site that is being served; `url` has no slash at its end."""

    url: str
    pid: int


@contextmanager
def serve(
    seed: int = 0,
    companies: int = 320,
    reviews: int = 24_000,
    corpus: str = "",
    faults: str = "",
    limit: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[RunningSite]:
    """Serve the practice site in a process of its own, on a free port, while the block runs.

    The process ends with the block, and also when this process is killed: it watches its
    standard input. Raises PracticeError with the site's own sentence when it cannot start.
    """
    command = [sys.executable, "-m", "starwise", "practice", "--port=0", "--exit-with-parent"]
    command += [
        f"--host={host}",
        f"--seed={seed}",
        f"--companies={companies}",
        f"--reviews={reviews}",
    ]
    command += [f"--corpus={corpus}", f"--limit={limit}", f"--faults={faults}"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            # Of its own session: interrupting a cell does not take the site away.
            start_new_session=True,
        )
        try:
            address = process.stdout.readline().strip()
            if not address:
                process.wait()
                complaints.seek(0)
                raise PracticeError(_sentence(complaints.read()))
            yield RunningSite(address.removeprefix("Practice site: ").rstrip("/"), process.pid)
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _world(args: argparse.Namespace):
    if args.corpus:
        from starwise.practice.corpus import world_from_corpus

        return world_from_corpus(args.corpus, limit=args.limit, seed=args.seed)
    from starwise.practice.world import make_world

    try:
        return make_world(seed=args.seed, companies=args.companies, reviews=args.reviews)
    except ValueError as error:
        raise PracticeError(str(error)) from error


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Also tells a port in use on systems where binding twice is allowed.
        listener.listen(128)
    except (OSError, OverflowError) as error:
        raise PracticeError(
            f"The port {port} of {host} cannot be used ({error}): "
            "choose another with --port, or 0 for any free one."
        ) from error
    return listener


def _end_with_parent() -> None:
    # Not sys.stdin: a thread that waits in it makes Python's own shutdown fail.
    while os.read(0, 1024):
        pass
    # At once: there is nothing to save, and a request under way must not keep it alive.
    os._exit(0)


def _sentence(complaint: str) -> str:
    """Return the last line of what the process said, without the command's name."""
    lines = complaint.strip().splitlines() or ["The practice site ended before it could start."]
    return lines[-1].removeprefix("starwise practice: ")
