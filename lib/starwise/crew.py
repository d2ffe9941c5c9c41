"""Several processes that score texts side by side.

with Crew(folder=None, processes=2) as crew:
    for table, scores in crew.scored((table, texts) for table, texts in parts):
        scores  # (len(texts), 5): the columns of ADDED; NaN for a text with nothing to read

Each has one thread and a model of its own: on small convolutions two such processes get more done
than one process with two threads, which wait for each other. This side needs no torch, and goes on
reading and writing meanwhile. Whatever ends this side, the others notice and end too.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeVar

import numpy as np

from starwise.classes import ADDED
from starwise.errors import StarwiseError

PIECE = 60_000  # characters that are sent at a time: a tenth of a second's work
ROWS = 512  # most texts that are sent at a time
BATCH = 4_000  # characters that the network reads at a time: what a core's own cache holds
READ = 2_048  # characters of a text that cost time, about: what the network reads of it
SENT = 2  # pieces that each process has before it: one at work, one to go on with
OPEN = 4  # parts that may be unfinished at a time, so that memory stays bounded

Part = TypeVar("Part")


def processes_at_most() -> int:
    """Return how many processes pay: one a core that we may use, up to 8 (200 MB each)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, 8)


class Crew:
    """Processes that hold the same model; to be closed, or used in a `with`.

    folder: of a model, None for the serving one. Raises StarwiseError where it cannot be loaded.
    """

    def __init__(self, folder: Path | None, processes: int):
        # A fresh interpreter each: a fork would copy locks that threads of ours hold just now.
        context = multiprocessing.get_context("spawn")
        self.members: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []
        try:
            with _interrupts_kept_away():
                for _ in range(processes):
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_work, args=(theirs, folder), daemon=True)
                    process.start()
                    theirs.close()  # so that its end alone is open, and closes with it
                    self.members.append((process, ours))
            names = [_received(connection) for _process, connection in self.members]
        except BaseException:
            self.close()
            raise
        if len(set(names)) > 1:
            self.close()
            raise StarwiseError("another model began to serve just now; start again")
        self.name: str = names[0]

    def scored(self, parts: Iterable[tuple[Part, list[str]]]) -> Iterator[tuple[Part, np.ndarray]]:
        """Yield each part of (anything, texts) with the scores of its texts, in their order.

        Texts of like length are scored together, so a part of some thousand rows suits best.
        """
        parts, more = iter(parts), True
        unfinished: deque[_Unfinished] = deque()
        pieces: deque[tuple[_Unfinished, np.ndarray]] = deque()
        sent: dict[Connection, deque] = {connection: deque() for _, connection in self.members}
        while unfinished or more:
            while more and len(pieces) < SENT * len(sent) and len(unfinished) < OPEN:
                found = next(parts, None)
                more = found is not None
                if found is not None:
                    unfinished.append(_Unfinished(*found))
                    pieces += [(unfinished[-1], rows) for rows in unfinished[-1].pieces]
            for connection, before in sent.items():
                while pieces and len(before) < SENT:
                    part, rows = pieces.popleft()
                    _send(connection, [part.texts[row] for row in rows])
                    before.append((part, rows))
            for connection in wait([one for one, before in sent.items() if before]):
                part, rows = sent[connection].popleft()
                part.scores[rows] = _received(connection)
                part.missing -= 1
            while unfinished and not unfinished[0].missing:
                done = unfinished.popleft()
                yield done.part, done.scores

    def close(self) -> None:
        for _process, connection in self.members:
            connection.close()
        for process, _connection in self.members:
            process.terminate()  # it may be in the middle of a piece that nobody waits for
            process.join()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_error) -> None:
        self.close()


class Alone:
    """The same in this process: for a few texts, scored before a crew would be there."""

    def __init__(self, folder: Path | None):
        from starwise.score import Scorer

        self.scorer = Scorer.load(folder)
        self.name = self.scorer.name

    def scored(self, parts: Iterable[tuple[Part, list[str]]]) -> Iterator[tuple[Part, np.ndarray]]:
        for part, texts in parts:
            whole = _Unfinished(part, texts)
            for rows in whole.pieces:
                whole.scores[rows] = columns_of(self.scorer, [texts[row] for row in rows])
            yield part, whole.scores

    def close(self) -> None:
        """There is nothing to close."""


class _Unfinished:
    """A part whose texts are being scored, in pieces of like length."""

    def __init__(self, part, texts: list[str]):
        self.part, self.texts = part, texts
        self.scores = np.full((len(texts), len(ADDED)), np.nan)
        self.pieces = in_pieces(texts)
        self.missing = len(self.pieces)


def in_pieces(texts: list[str]) -> list[np.ndarray]:
    """Return the rows of all texts that are not blank, those of like length together."""
    lengths = np.array([min(len(text), READ) for text in texts], dtype=int)
    told = np.array([row for row, text in enumerate(texts) if text.strip()], dtype=int)
    # The longest first, so that no process is left with a long piece at the end.
    told = told[np.argsort(-lengths[told], kind="stable")]
    pieces, start = [], 0
    while start < len(told):
        size = min(ROWS, max(1, PIECE // max(1, lengths[told[start]])))
        pieces.append(told[start : start + size])
        start += size
    return pieces


def columns_of(scorer, texts: list[str]) -> np.ndarray:
    """Return the columns of ADDED for texts that are not blank, (len(texts), 5), float64."""
    from starwise.score import sentiment_of, stars_of

    longest = max([1, *(min(len(text), READ) for text in texts)])
    size = max(4, BATCH // longest)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    probabilities = np.concatenate([scorer.probabilities(part) for part in parts])
    sentiment = sentiment_of(probabilities)
    return np.column_stack([probabilities, sentiment, stars_of(sentiment)])


def _work(connection: Connection, folder: Path | None) -> None:
    """Score what comes, in a process of its own, until nobody sends any more."""
    import torch

    from starwise.score import Scorer

    torch.set_num_threads(1)
    try:
        try:
            scorer = Scorer.load(folder)
        except StarwiseError as error:
            return connection.send(StarwiseError(str(error)))
        connection.send(scorer.name)
        while True:
            connection.send(columns_of(scorer, connection.recv()))
    except (EOFError, OSError):
        return  # the other side is gone


def _send(connection: Connection, texts: list[str]) -> None:
    try:
        connection.send(texts)
    except OSError:
        raise _gone() from None


def _received(connection: Connection):
    try:
        answer = connection.recv()
    except (EOFError, OSError):
        raise _gone() from None
    if isinstance(answer, StarwiseError):
        raise answer
    return answer


def _gone() -> StarwiseError:
    return StarwiseError(
        "a process that was scoring has ended (was it killed, or was there no memory left?), so "
        "nothing was written"
    )


@contextmanager
def _interrupts_kept_away() -> Iterator[None]:
    """Keep Ctrl-C from the processes started meanwhile: this side hears it, and ends them."""
    resource_tracker.ensure_running()  # else it starts meanwhile, and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
