"""Labels that people give, in a file that only grows: one line of JSON an act, on disk at once.

    journal = Journal(outputs.labels)
    with journal.locked():                       # other windows wait; what they wrote is read
        journal.append("label", "r17", "bad", text=frame_text)
    journal.labels                               # {"r17": "bad"}
    frame, by_hand = apply_labels(frame, outputs.labels)

A kill costs at most the line that was being written; an undo is a line as well, so that nothing
that anybody ever said is gone from the file.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import pandas as pd
from filelock import FileLock

from starwise.classes import CLASSES
from starwise.label.clean import folded

ACTS = ("open", "label", "undo", "skip")


@dataclass(frozen=True)
class Act:
    """One line: which window did what to which review, and what it shows next."""

    act: str
    window: str
    id: str
    label: str
    key: str  # of the text that was read: a label does not outlive a change of its text
    next: str  # id of the review that the window shows from now on, "" when none
    at: str  # UTC, to the second


class Journal:
    """The file of labels, as read so far, for one window."""

    def __init__(self, path: Path, window: str = "") -> None:
        self.path = Path(path)
        # The process first: whoever reads it can tell whether this window is still there.
        self.window = window or f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.torn = 0  # lines that could not be read
        self.acts: list[Act] = []
        self._given: dict[str, list[Act]] = {}  # labels of each review, the latest last
        self._read = 0  # bytes
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))

    @property
    def labels(self) -> dict[str, str]:
        """The label that stands for each review that has one."""
        return {key: given[-1].label for key, given in self._given.items() if given}

    @property
    def standing(self) -> dict[str, Act]:
        """The act behind each of these labels."""
        return {key: given[-1] for key, given in self._given.items() if given}

    def refresh(self) -> list[Act]:
        """Read and return what was written since the last time, by whomever.

        A last line without its end is left for later: somebody may be writing it.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self._read)
                fresh = file.read()
        except FileNotFoundError:
            return []
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        acts = [act for line in whole.split(b"\n") if line.strip() for act in self._parse(line)]
        for act in acts:
            self._apply(act)
        self.acts += acts
        return acts

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file while the block lasts, having read all that is in it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self.refresh()
            yield

    def append(self, act: str, id: str, label: str = "", text: str = "", next: str = "") -> Act:
        """Write one line and wait until it is on the disk. Only within `locked`."""
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        line = Act(act, self.window, id, label, text_key(text) if text else "", next, at)
        data = json.dumps(line.__dict__).encode() + b"\n"
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            end = os.fstat(file).st_size
            if end and os.pread(file, 1, end - 1) != b"\n":
                data = b"\n" + data  # a line torn by a kill ends here, and spoils no other
            while data:  # a write may be cut short; the rest then follows
                data = data[os.write(file, data) :]
            os.fsync(file)
        finally:
            os.close(file)
        self.refresh()
        return line

    def _parse(self, line: bytes) -> list[Act]:
        try:
            found = json.loads(line)
            act = Act(**{name: str(found.get(name, "")) for name in Act.__dataclass_fields__})
            good = act.act in ACTS and (act.act != "label" or act.label in CLASSES)
        except (ValueError, AttributeError):
            good = False
        if not good:
            self.torn += 1
            return []
        return [act]

    def _apply(self, act: Act) -> None:
        given = self._given.setdefault(act.id, [])
        if act.act == "label":
            given.append(act)
        elif act.act == "undo" and given:
            given.pop()


def text_key(text: str) -> str:
    """Return 16 hex digits that stand for a text, the same for copies of it."""
    return blake2b(folded(text).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def apply_labels(frame: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return `frame` with the labels that people gave, and how many there were of which kind.

    frame: id, text, label, label_source. A label whose review is not here, or whose text has
    changed since, is counted and not applied.
    """
    journal = Journal(path)
    journal.refresh()
    standing = journal.standing
    frame = frame.copy()
    rows = frame.index[frame["id"].isin(standing)]
    counts = {"applied": 0, "changed by a person": 0, "of another text": 0}
    for row in rows:
        act = standing[frame.at[row, "id"]]
        if act.key and act.key != text_key(frame.at[row, "text"]):
            counts["of another text"] += 1
            continue
        counts["applied"] += 1
        counts["changed by a person"] += act.label != frame.at[row, "label"]
        frame.at[row, "label"] = act.label
        frame.at[row, "label_source"] = "person"
    counts["not in this collection"] = len(standing) - len(rows)
    counts["torn lines"] = journal.torn
    return frame, counts
