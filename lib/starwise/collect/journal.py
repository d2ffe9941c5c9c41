"""What a collection knows so far, on disk line by line, so that a killed one goes on from there.

with Journal(path, of={"site": "practice", "companies": 320}) as journal:
    for fact in journal.facts():      # of the run that was cut off
        ...
    journal.add({"place": 3, "number": 1, "cards": [...]})

The first line says of what the journal is. A line is a whole fact (all of a page) or it is torn,
and a torn last line is cut off: so a kill costs the page that was being written, and no page is
half there. A journal of something else, or an old one, is begun anew.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from starwise.collect.errors import CollectError

VERSION = 1  # of the facts' form
HOURS = 24  # pages read longer ago have changed
WAIT_SECONDS = 5  # for the last breath of a process that was killed


class Journal:
    """A file of facts, one JSON object a line, that one process at a time may add to.

    `of` is anything JSON that tells one collection from another. `kept` says whether facts of a
    former run are there.
    """

    def __init__(self, path: Path | str, of: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._of = key_of(of)
        self._guard = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(
            self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
        )
        try:
            _lock(self._handle, self.path)
            self._begin()
        except BaseException:
            os.close(self._handle)
            raise

    def _begin(self) -> None:
        """Keep the whole lines of a journal of the same thing, or begin anew."""
        with open(self.path, "rb") as file:
            first = _fact(file.readline())
            ours = first.get("of") == self._of and first.get("version") == VERSION
            young = 0 <= time.time() - first.get("began", 0) < HOURS * 3600
            whole = _length_of_whole_lines(file) if ours and young else 0
        os.ftruncate(self._handle, whole)
        if not whole:
            self.add({"of": self._of, "version": VERSION, "began": time.time()})
        self.kept = any(True for _ in self.facts())

    def add(self, fact: Mapping[str, Any]) -> None:
        """Add a fact; it is with the system at once, and survives the death of this process."""
        line = memoryview(json.dumps(fact, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        with self._guard:
            end = os.lseek(self._handle, 0, os.SEEK_END)
            try:
                while line:
                    line = line[os.write(self._handle, line) :]
            except OSError as error:
                os.ftruncate(self._handle, end)  # a disk that is full took half of the line
                raise CollectError(f"{self.path} cannot be written: {error.strerror}.") from error

    def sync(self) -> None:
        """Have the system write what it holds, so that it survives a power cut as well."""
        os.fsync(self._handle)

    def copy(self, path: Path | str) -> None:
        """Add the facts of another journal of the same thing."""
        for fact in facts_of(path):
            self.add(fact)

    def facts(self) -> Iterator[dict[str, Any]]:
        return facts_of(self.path)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def key_of(of: Mapping[str, Any]) -> str:
    """Return a short name for what a journal is of."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def head_of(path: Path | str) -> dict[str, Any]:
    """Return the first line of a journal, {} where there is none."""
    try:
        with open(path, "rb") as file:
            return _fact(file.readline())
    except OSError:
        return {}


def facts_of(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yield the facts of a journal in the order in which they came."""
    return (fact for _, _, fact in located_facts(path))


def located_facts(path: Path | str, start: int = 0) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield each fact from byte `start` on, with the bytes at which its line begins and ends.

    A line that is being written is left for the next time.
    """
    with open(path, "rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            begin, start = start, start + len(line)
            fact = _fact(line)
            if fact and "of" not in fact:
                yield begin, start, fact


def fact_at(file: BinaryIO, begin: int) -> dict[str, Any]:
    """Return the fact whose line begins at a byte of an open journal."""
    file.seek(begin)
    return _fact(file.readline())


def _fact(line: bytes) -> dict[str, Any]:
    """Return the fact of a line, {} when the line is torn."""
    try:
        fact = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return fact if isinstance(fact, dict) else {}


def _length_of_whole_lines(file: BinaryIO) -> int:
    """Return at which byte the last whole line of an open file ends."""
    file.seek(0)
    end = 0
    for line in file:
        if not _fact(line):
            break
        end += len(line)
    return end


def _lock(handle: int, path: Path) -> None:
    """Keep the journal to this process until it ends; wait a moment for one that was killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > until:
                raise CollectError(
                    f"Another collection is writing to {path}; wait for it, or stop it."
                ) from error
            time.sleep(0.1)
