"""The page behind a real nginx: TLS, websockets, visitors who stay, limits, origins."""

import argparse
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from starwise import proxy
from starwise.collect.browser import browser

NGINX = [Path(folder) / "nginx" for folder in [*os.get_exec_path(), "/usr/sbin"]]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(Path.exists, NGINX)), reason="nginx is not on this machine"),
]

BASE = "/reviews/"
SCORE = "return document.querySelector('.sw-number')?.innerText ?? ''"
PARTNER = "https://partner.example"  # another origin whose pages may speak to ours


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(holds: Callable[[], object], seconds: float = 60) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about in time")


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@contextmanager
def running(arguments: list[str], log: Path, **settings: str) -> Iterator[subprocess.Popen]:
    """Run `starwise ...` until the block ends, its words in a file."""
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "starwise", *arguments],
            env=os.environ | settings,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Site:
    """Two dashboards behind one proxy."""

    port: int
    plain_port: int
    dashboards: list[int]
    pages: list[subprocess.Popen]
    folder: Path

    def log(self) -> str:
        return (self.folder / "proxy.log").read_text()

    def ask(self, path: str, *, method: str = "GET", seat: str = "", **headers: str):
        """Return status, headers and body, asking as somebody at 127.0.0.77."""
        return ask(self.port, path, method=method, seat=seat, **headers)

    def place(self, seat: str) -> int:
        """Return the port of the dashboard that a seat leads to, by the proxy's own log."""
        mark = secrets.token_hex(6)
        self.ask(f"{BASE}{mark}", seat=seat)
        line = until(lambda: re.search(rf'/{mark}" .* from 127\.0\.0\.1:(\d+)$', self.log(), re.M))
        return int(line[1])


def ask(port: int, path: str, *, method: str = "GET", seat: str = "", **headers: str):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if seat:
        given["Cookie"] = f"starwise_seat={seat}"
    connection = HTTPSConnection(
        "127.0.0.1",
        port,
        timeout=30,
        context=ssl._create_unverified_context(),
        source_address=("127.0.0.77", 0) if sys.platform == "linux" else None,
    )
    connection.request(method, path, headers=given)
    response = connection.getresponse()
    # Of a websocket that was opened there is no body to wait for.
    body = b"" if response.status == 101 else response.read()
    connection.close()
    return response.status, response.headers, body.decode(errors="replace")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    api, port, plain, *dashboards = (free_port() for _ in range(5))
    settings = {
        "STARWISE_API_URL": f"http://127.0.0.1:{api}",
        "STARWISE_BASE_URL": BASE,
        "STARWISE_ALLOW_ORIGIN": PARTNER,
        "STARWISE_OUTPUTS": str(folder / "outputs"),
        # Scores need no database, and no review is saved here.
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen:
            log = folder / f"{name}.log"
            return stack.enter_context(running([name.split("-")[0], *arguments], log, **settings))

        start("api", f"--port={api}")
        pages = [start(f"page-{number}", f"--port={number}") for number in dashboards]
        start("proxy", f"--port={port}", f"--plain-port={plain}",
              *(f"--dashboard=127.0.0.1:{number}" for number in dashboards))  # fmt: skip
        for number in (api, port, *dashboards):
            until(lambda number=number: answers(number))
        until(lambda: ask(port, f"{BASE}health")[0] == 200)
        yield Site(port, plain, dashboards, pages, folder)


@pytest.mark.browser
def test_a_visitor_writes_through_tls_and_websockets_to_the_dashboard_that_has_their_kernel(site):
    seats = set()
    with browser("", "--ignore-certificate-errors") as driver:
        for _ in range(2):
            driver.delete_all_cookies()
            driver.get(f"https://127.0.0.1:{site.port}{BASE}")
            box = until(lambda: driver.find_elements(By.CSS_SELECTOR, ".starwise textarea"))[0]
            box.send_keys("Excellent! Friendly people, quick delivery.")
            until(lambda: driver.execute_script(SCORE).strip())
            seat = driver.get_cookie("starwise_seat")
            assert seat["secure"] and seat["httpOnly"] and len(seat["value"]) == 32
            seats.add(seat["value"])
    assert len(seats) == 2, "without the cookie one is a new visitor"


def test_a_visitor_stays_with_their_dashboard_and_visitors_are_spread(site):
    seats = [secrets.token_hex(16) for _ in range(12)]
    first = [site.place(seat) for seat in seats]
    again = [site.place(seat) for seat in seats]
    assert first == again
    assert set(first) == set(site.dashboards), "twelve visitors use both"


def healths(site: Site) -> list[str]:
    """Return the dashboards that were asked for their health, by the proxy's log."""
    return re.findall(r'/health" 200 .* from 127\.0\.0\.1:(\d+)$', site.log(), re.M)


def test_the_seat_given_at_the_first_visit_is_the_place_of_that_visit(site):
    for _ in range(4):
        before = len(healths(site))
        _, headers, _ = site.ask(f"{BASE}health")
        seat = re.search(r"starwise_seat=([0-9a-f]{32})", headers["Set-Cookie"])[1]
        # The log comes a moment after the answer.
        lines = until(lambda n=before: len(healths(site)) > n and healths(site))
        assert int(lines[-1]) == site.place(seat)
    forged = site.ask(f"{BASE}health", seat="../../etc")
    assert "starwise_seat=" in forged[1]["Set-Cookie"], "a seat that is none is replaced"


def websocket(site: Site, origin: str, kernel: str, seat: str) -> int:
    key = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455's example
    return site.ask(
        f"{BASE}api/kernels/{kernel}/channels",
        seat=seat,
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key=key,
        Origin=origin,
    )[0]


def test_a_websocket_opens_for_our_own_and_the_allowed_origin_and_for_no_other(site):
    seat = secrets.token_hex(16)
    status, _, page = site.ask(BASE, seat=seat)
    kernel = re.search(r'(?:data-kernel="|"kernelId": ?")([0-9a-f-]{36})', page)[1]
    own = f"https://127.0.0.1:{site.port}"
    assert status == 200
    assert websocket(site, own, kernel, seat) == 101
    assert websocket(site, PARTNER, kernel, seat) == 101
    assert websocket(site, "https://evil.example", kernel, seat) == 403
    assert websocket(site, f"{PARTNER}.evil.example", kernel, seat) == 403
    # The kernel lives in one dashboard only: a seat that leads to the other finds none.
    strangers = (secrets.token_hex(16) for _ in range(100))
    other = next(stranger for stranger in strangers if site.place(stranger) != site.place(seat))
    assert websocket(site, own, kernel, other) == 404


def test_the_page_is_at_its_base_url_and_nowhere_else(site):
    assert site.ask("/")[1]["Location"].endswith(BASE)
    assert site.ask("/voila/static/voila.js")[0] == 404
    assert site.ask(f"{BASE}health")[0] == 200
    plain = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}",
         f"http://127.0.0.1:{site.plain_port}{BASE}?x=1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert plain.stdout == f"308 https://127.0.0.1:{site.port}{BASE}?x=1"
    assert "max-age" in site.ask(f"{BASE}health")[1]["Strict-Transport-Security"]


def test_too_many_pages_from_one_address_are_answered_with_429_and_a_sentence(site, tmp_path):
    port, plain = free_port(), free_port()
    arguments = [f"--port={port}", f"--plain-port={plain}", "--pages=1", "--burst=2",
                 f"--dashboard=127.0.0.1:{site.dashboards[0]}"]  # fmt: skip
    with running(["proxy", *arguments], tmp_path / "log", STARWISE_BASE_URL=BASE):
        until(lambda: answers(port))
        # HEAD starts no kernel, and counts.
        statuses = [ask(port, BASE, method="HEAD")[0] for _ in range(6)]
        assert statuses[:3] != [429] * 3 and statuses[3:] == [429] * 3
        status, headers, words = ask(port, BASE)
        assert status == 429 and "try again in a moment" in words and headers["Retry-After"]
        assert ask(port, f"{BASE}health")[0] == 200, "files of pages that are open still come"
        assert "127.0.0.77" not in (tmp_path / "log").read_text()


def test_the_log_tells_what_was_asked_and_nothing_about_who_asked(site):
    site.ask(f"{BASE}health?secret=word", X_Forwarded_For="203.0.113.9")
    log = until(lambda: "/health" in site.log() and site.log())
    assert "word" not in log and "127.0.0.77" not in log and "203.0.113.9" not in log
    for file in site.folder.glob("page-*.log"):
        assert "203.0.113.9" not in file.read_text()


# The last of those that use the site: it takes one dashboard away.
def test_without_their_dashboard_a_visitor_is_led_to_the_other_and_without_any_reads_why(site):
    seats = [secrets.token_hex(16) for _ in range(8)]
    gone, left = site.dashboards
    site.pages[0].kill()
    site.pages[0].wait()
    until(lambda: not answers(gone))
    assert all(site.ask(f"{BASE}health", seat=seat)[0] == 200 for seat in seats)
    site.pages[1].kill()
    site.pages[1].wait()
    until(lambda: not answers(left))
    status, headers, words = site.ask(f"{BASE}health", seat=seats[0])
    assert status == 503 and "try again in a moment" in words and headers["Retry-After"]


def given(**changes) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    proxy.add_arguments(parser)
    args = parser.parse_args([])
    for name, value in changes.items():
        setattr(args, name, value)
    return args


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dashboard": ["x:1; } evil {"]}, "is no address such as"),
        ({"dashboard": ["no-port"]}, "is no address such as"),
        ({"host": "a;b"}, "is no host such as"),
        ({"certificate": Path("a.pem")}, "go together"),
        ({"certificate": Path("a.pem"), "key": Path("b.pem")}, "cannot be read"),
        ({"name": "/CN=evil"}, "is no host name"),
    ],
)
def test_what_would_not_serve_is_refused_in_a_sentence(changes, says, tmp_path):
    with pytest.raises(proxy.ProxyError, match=says):
        args = given(**changes)
        files = proxy.certificate_of(args, tmp_path)
        proxy.configuration(args, str(tmp_path), *files)
