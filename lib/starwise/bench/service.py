"""What the service carries: reviews submitted a second, connections to Postgres, memory.

A `starwise api` process on a Postgres of its own is given reviews by twenty visitors over HTTP,
each on a kept connection, for twelve times as many seconds as the other measurements take. Each
review is scored by the bundled model and answered after its commit; at the end they are counted.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from starwise.bench import Measure
from starwise.postgres import EmbeddedPostgres
from starwise.practice.world import make_world
from starwise.store import normalised

TITLE = "a service of its own on a Postgres of its own, asked over HTTP"
VISITORS = 50
SUBMITTERS = 20


def measures(seconds: float) -> Iterator[Measure]:
    texts = [r.text for r in make_world(seed=0, companies=40, reviews=2_000).reviews if r.text]
    # Not below a private folder: for root, Postgres runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="starwise-bench-", dir="/tmp"))
    postgres = EmbeddedPostgres(folder)
    try:
        address = postgres.start()
        with _service(address) as (port, process):
            yield from _submits(port, address, texts, 12 * seconds)
            yield _connections(port, address, texts)
            yield _memory(process)
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _service(address: str) -> Iterator[tuple[int, psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "starwise", "api", "--port", "0", "--stop-with-parent"],
        env={**os.environ, "DATABASE_URL": address},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline()
        yield int(line.rsplit(":", 1)[1]), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _submits(port: int, address: str, texts: list[str], seconds: float) -> Iterator[Measure]:
    sent: list[list[tuple[str, float]]] = [[] for _ in range(SUBMITTERS)]
    began = time.perf_counter()
    _all_at_once(SUBMITTERS, lambda n: _submit_for(port, texts, n, seconds, sent[n]))
    took = time.perf_counter() - began
    ids = {id for each in sent for id, _ in each}
    waits = sorted(wait for each in sent for _, wait in each)
    engine = create_engine(normalised(address))
    with engine.connect() as connection:
        stored = [str(id) for (id,) in connection.execute(text("SELECT id FROM reviews"))]
    engine.dispose()
    rate = len(ids) / took
    yield Measure(
        f"reviews submitted a second, over {took:.0f} s", "", f"{rate:,.0f}", "", "at least 200"
    )
    middle, slow = waits[len(waits) // 2], waits[int(0.95 * len(waits))]
    yield Measure(
        "a submit with its commit, ms, median / 95%", "", f"{1000 * middle:.0f} / {1000 * slow:.0f}"
    )
    lost, doubled = len(ids - set(stored)), len(stored) - len(set(stored))
    yield Measure(
        f"of {len(ids):,} submitted, lost / doubled", "", f"{lost} / {doubled}", "", "0 / 0"
    )


def _submit_for(port: int, texts: list[str], number: int, seconds: float, sent: list) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    deadline = time.perf_counter() + seconds
    place = number
    while (began := time.perf_counter()) < deadline:
        id = str(uuid.uuid4())
        _post(connection, {"id": id, "brand": "b", "review": texts[place], "rating": 5})
        sent.append((id, time.perf_counter() - began))
        place = (place + SUBMITTERS) % len(texts)
    connection.close()


def _connections(port: int, address: str, texts: list[str]) -> Measure:
    """Count the connections to Postgres while 50 visitors submit one review after the other."""
    stop = threading.Event()
    most = 0

    def watch() -> None:
        nonlocal most
        engine = create_engine(normalised(address))
        query = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with engine.connect() as connection:
            while not stop.wait(0.05):
                most = max(most, connection.execute(query).scalar_one())
                connection.rollback()
        engine.dispose()

    watcher = threading.Thread(target=watch)
    watcher.start()
    _all_at_once(VISITORS, lambda n: _submit_for(port, texts, n, 3.0, []))
    stop.set()
    watcher.join()
    return Measure(
        f"connections to Postgres, {VISITORS} visitors at once", "", f"{most}", "", "at most 10"
    )


def _memory(process: psutil.Process) -> Measure:
    megabytes = process.memory_full_info().pss / 1e6
    return Measure(
        "memory of the service after all that, PSS", "", f"{megabytes:.0f} MB", "", "at most 300 MB"
    )


def _post(connection: http.client.HTTPConnection, body: dict) -> None:
    """Submit until it is stored; a service that is busy is asked again, as the page does it."""
    data = json.dumps(body).encode()
    while True:
        connection.request("POST", "/api/reviews", data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status in (200, 201):
            return
        if answer.status != 503:
            raise RuntimeError(said.decode())
        time.sleep(0.05)


def _all_at_once(number: int, work) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
