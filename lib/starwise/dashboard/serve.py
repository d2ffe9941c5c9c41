"""`starwise dashboard`: the page, its service and its database, started and stopped together.

python -m starwise dashboard --port 8866 --api-port 8000

Three processes that know each other by address only, so that each can as well run elsewhere:
the embedded Postgres (unless DATABASE_URL names a server), the REST service, and Voila.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

from starwise.dashboard.settings import SECRETS, base_url, dashboard_notebook
from starwise.errors import StarwiseError
from starwise.postgres import database
from starwise.serving import exit_on_sigterm, listening_socket

PATIENCE = 120  # seconds that a process may take until it answers


class ServeError(StarwiseError):
    """The dashboard cannot be started, or one of its processes ended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8866, help="port of the page (0: a free one)")
    parser.add_argument("--api-port", type=int, default=8000, help="port of the service")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens both to other machines")


def main(args: argparse.Namespace) -> int:
    exit_on_sigterm()
    dashboard_notebook()  # before anything starts
    port, api_port = _free_port(args.host, args.port), _free_port(args.host, args.api_port)
    if port == api_port:
        raise ServeError(f"the page and the service cannot both have port {port}.")
    # Children are reached from this machine, whatever they are opened to.
    near = "127.0.0.1" if args.host in ("0.0.0.0", "::") else args.host
    api_url = f"http://{near}:{api_port}"
    page_url = f"http://{near}:{port}{base_url().rstrip('/')}"

    with ExitStack() as stack:
        address = stack.enter_context(database())
        shared = [f"--host={args.host}", "--stop-with-parent"]
        service = stack.enter_context(
            _child(
                ["-m", "starwise", "api", f"--port={api_port}", *shared],
                {**os.environ, "DATABASE_URL": address},
            )
        )
        without_secrets = {key: value for key, value in os.environ.items() if key not in SECRETS}
        page = stack.enter_context(
            _child(
                ["-m", "starwise", "page", f"--port={port}", *shared],
                {**without_secrets, "STARWISE_API_URL": api_url},
                stdout=subprocess.DEVNULL,  # both addresses are said here, together
            )
        )
        children = {"the service": service, "the page": page}
        _wait_until(lambda: _answers(f"{api_url}/health"), children)
        _wait_until(lambda: _answers(f"{page_url}/health"), children)
        print(f"The dashboard is at {page_url}\nThe service is at   {api_url}", flush=True)
        print(_administrators_page(api_url), flush=True)
        print("Ctrl-C stops both.", flush=True)
        _report_model(api_url)
        try:
            while True:
                _check_alive(children)
                time.sleep(0.5)
        except KeyboardInterrupt:
            print("\nStopping.", flush=True)
    return 0


def _free_port(host: str, port: int) -> int:
    with listening_socket(host, port) as bound:
        return bound.getsockname()[1]


@contextmanager
def _child(arguments: list[str], environment: dict[str, str], stdout: int | None = None):
    """Run this Python with the arguments, for as long as the context; it ends with us, too."""
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments],  # -P: no folder of the caller's is imported
        env=environment,
        stdout=stdout,
        stdin=subprocess.PIPE,  # closes when we are gone: see serving.stop_with_parent
        start_new_session=True,  # Ctrl-C is for us; we stop the children in order
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()


def _check_alive(children: dict[str, subprocess.Popen]) -> None:
    for name, process in children.items():
        if process.poll() is not None:
            raise ServeError(f"{name} ended by itself (status {process.returncode}): see above.")


def _wait_until(ready: Callable[[], bool], children: dict[str, subprocess.Popen]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        _check_alive(children)
        if time.monotonic() > deadline:
            raise ServeError(f"nothing answered within {PATIENCE} seconds: see above.")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _administrators_page(api_url: str) -> str:
    if os.environ.get("STARWISE_ADMIN_TOKEN"):
        return f"The administrator's page is at {api_url}/admin (STARWISE_ADMIN_TOKEN opens it)."
    return (
        "The administrator's page is closed: to open it, set STARWISE_ADMIN_TOKEN to a long random "
        "word, such as `openssl rand -hex 32` prints."
    )


def _report_model(api_url: str) -> None:
    with urllib.request.urlopen(f"{api_url}/health", timeout=10) as answer:
        model = json.load(answer)["model"]
    if model["state"] == "missing":
        print(f"Reviews are saved without a score. {model['detail']}", flush=True)
