"""What each step was made from, so that a run after a kill, or a second one, redoes only the rest.

record = Record(outputs)
reason = record.reason_to_run(step)      # "" when its results stand
...
record.finished(step, seconds=41.0)

Files are compared by their content: a copy of an older file is noticed, a touch is not.
"""

import datetime
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import starwise
from starwise.batch.steps import Step
from starwise.paths import Outputs, whole_file


class Record:
    """The file `outputs/run.json`: one entry for each step that ran to its end."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.path = outputs.root / "run.json"
        try:
            self._steps = json.loads(self.path.read_text("utf-8"))["steps"]
        except (OSError, ValueError, KeyError, TypeError):
            self._steps = {}  # none yet, or spoilt by hand: then every step runs again

    def entry(self, step: Step) -> dict[str, Any]:
        """Return what is known of a finished step (`seconds`, `finished`, ...), or {}."""
        return self._steps.get(step.notebook.name, {})

    def reason_to_run(self, step: Step) -> str:
        """Return in words why the step must run (again), or "" when its results stand."""
        entry = self.entry(step)
        if not entry:
            return "not done yet"
        now = self._made_from(step)
        if entry.get("code") != now["code"]:
            return "the notebook has changed"
        if entry.get("starwise") != now["starwise"]:
            return "Starwise itself has changed"
        for name, value in now["parameters"].items():
            before = entry["parameters"].get(name)
            if before != value:
                return f"{name} was {before!r} and is now {value!r}"
        if name := _difference(entry["inputs"], now["inputs"]):
            return f"{name} has changed"
        for name, digest in entry["outputs"].items():
            if digest_of(self._outputs.root / name) != digest:
                return f"{name} is no longer what this notebook wrote"
        return ""

    def forget(self, step: Step) -> None:
        """Drop a step's entry: from now on, until `finished`, its results may be half made."""
        if self._steps.pop(step.notebook.name, None):
            self._save()

    def finished(self, step: Step, seconds: float, began: float) -> None:
        """Note that the step ran to its end in `seconds`; `began` is the time.time() before."""
        written = files_of(self._outputs.root, step.notebook.writes)
        self._steps[step.notebook.name] = {
            **self._made_from(step),
            "outputs": {
                self._short(path): digest_of(path)
                for path in written
                # A second of slack: some file systems keep whole seconds only.
                if path.stat().st_mtime >= began - 1
            },
            "seconds": round(seconds, 1),
            "finished": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        self._save()

    def _made_from(self, step: Step) -> dict[str, Any]:
        notebook = step.notebook
        parameters = {**notebook.defaults, **step.parameters}
        parameters.pop("outputs", None)  # a project may be moved
        # A corpus stands in for the usual input; what may be read besides (labels) still counts.
        patterns = notebook.may_read if step.corpus else notebook.reads + notebook.may_read
        inputs = files_of(self._outputs.root, patterns)
        inputs += [Path(step.corpus)] if step.corpus else []
        return {
            "code": hashlib.sha256("\0".join(notebook.code).encode()).hexdigest(),
            "starwise": digest_of_library(),
            "parameters": parameters,
            "inputs": {self._short(path): digest_of(path) for path in inputs},
        }

    def _short(self, path: Path) -> str:
        inside = path.is_relative_to(self._outputs.root)
        return path.relative_to(self._outputs.root).as_posix() if inside else str(path)

    def _save(self) -> None:
        with whole_file(self.path) as temporary:
            temporary.write_text(json.dumps({"steps": self._steps}, indent=1) + "\n", "utf-8")


def files_of(root: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files below `root` that the patterns mean; `figures/` means all that is in it."""
    found: set[Path] = set()
    for pattern in patterns:
        for path in root.glob(pattern.removesuffix("/")):
            found.update(path.rglob("*") if pattern.endswith("/") else [path])
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, "" when there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@cache
def digest_of_library() -> str:
    """Return one digest of every file of the installed library, its bundled weights included."""
    folder = Path(starwise.__file__).parent
    digests = [
        f"{path.relative_to(folder)} {digest_of(path)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _difference(before: dict[str, str], after: dict[str, str]) -> str:
    names = sorted(before.keys() | after.keys())
    return next((name for name in names if before.get(name) != after.get(name)), "")
