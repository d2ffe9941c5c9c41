"""What the tests of collecting share: a small world, crawls of it, and a look at processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from starwise.collect.guest import Guest
from starwise.collect.reviews import COLUMNS, collect_reviews, read_reviews
from starwise.practice.server import serve
from starwise.practice.world import make_world

COMPANIES, REVIEWS = 12, 600
WORLD = make_world(companies=COMPANIES, reviews=REVIEWS)
BUSIEST = max(WORLD.companies, key=lambda one: len(WORLD.reviews_of(one.slug)))


def small_site(faults: str = "", **more):
    """Serve WORLD, well-behaved or not."""
    return serve(companies=COMPANIES, reviews=REVIEWS, faults=faults, **more)


def guest_at(running) -> Guest:
    return Guest("practice", running.url)


def companies_of(world, url: str) -> pd.DataFrame:
    """The table that Selenium would find, without a browser."""
    return pd.DataFrame({"company_url": [f"{url}/review/{one.slug}" for one in world.companies]})


def crawl(running, path: Path, guest: Guest | None = None, **options):
    """Collect all of WORLD from a running site; return the result and the lines told."""
    told: list[str] = []
    companies = companies_of(WORLD, running.url)
    guest = guest or guest_at(running)
    return collect_reviews(guest, companies, path, tell=told.append, **options), told


def in_world(world=WORLD) -> dict[str, tuple]:
    """Every review with text, by id."""
    return {one.id: (one.text, one.rating, one.title) for one in world.reviews if one.text.strip()}


def in_file(path: Path) -> dict[str, tuple]:
    frame = read_reviews(path)
    assert frame.columns.tolist() == COLUMNS and frame.id.is_unique
    rows = zip(frame.id, frame.comment, frame.rating, frame.title, strict=True)
    return {id: tuple(row) for id, *row in rows}


def rows_of(path: Path) -> pd.DataFrame:
    """A reviews.csv without where the site lay, to compare runs on different ports."""
    return read_reviews(path).replace(r"^http://[\w.]+:\d+", "", regex=True)


def start(program: str, *arguments: str) -> subprocess.Popen:
    """Start a Python program with arguments in a process of its own."""
    command = [sys.executable, "-P", "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen, number: int = signal.SIGKILL) -> None:
    os.kill(process.pid, number)
    process.communicate()


def processes() -> list[tuple[int, int, int]]:
    """(id, parent, group) of every process that still runs."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [tuple(map(int, row[:3])) for row in rows if not row[3].startswith("Z")]


def children_of(pid: int) -> list[int]:
    return [one for one, parent, _ in processes() if parent == pid]


def command_of(pid: int) -> str:
    asked = ["ps", "-ww", "-o", "args=", "-p", str(pid)]  # -ww: however long
    return subprocess.run(asked, capture_output=True, text=True).stdout


def drivers_of(pid: int) -> list[int]:
    """The drivers of browsers that a process has started; each leads a group of its own."""
    return [one for one in children_of(pid) if "chromedriver" in command_of(one)]


def alive(group: int) -> bool:
    return any(group in (pid, its_group) for pid, _, its_group in processes())


def gone_within(group: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def wait_until(happens, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)
