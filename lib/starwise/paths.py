"""Where each file of a run lies, and how a file is written whole or not at all.

outputs = Outputs.default()
with whole_file(outputs.metrics) as temporary:
    temporary.write_text("{}")
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def project_root() -> Path:
    """Return the folder that holds `notebooks/` and `lib/` (the current one if installed apart)."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


@dataclass(frozen=True)
class Outputs:
    """The files of one run, below one folder (see the contracts in the README)."""

    root: Path

    @classmethod
    def default(cls) -> "Outputs":
        """Return $STARWISE_OUTPUTS if set, else the project's `outputs/`."""
        given = os.environ.get("STARWISE_OUTPUTS")
        return cls(Path(given).absolute() if given else project_root() / "outputs")

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).resolve())

    @property
    def companies(self) -> Path:
        return self.root / "companies.csv"

    @property
    def reviews(self) -> Path:
        return self.root / "reviews.csv"

    @property
    def collection(self) -> Path:
        """What was asked of the collection and what came back (JSON)."""
        return self.root / "collection.json"

    @property
    def labelled(self) -> Path:
        return self.root / "labelled.parquet"

    @property
    def data_card(self) -> Path:
        """What is in labelled.parquet, and what is doubtful about it (Markdown)."""
        return self.root / "data_card.md"

    @property
    def labels(self) -> Path:
        """Labels that people gave, one line of JSON an act; it only grows."""
        return self.root / "labels.jsonl"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def serving(self) -> Path:
        """Which model serves: written by notebook 04 (JSON); absent means the bundled one."""
        return self.models / "serving.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def notebooks(self) -> Path:
        """Executed notebooks, the log of the run."""
        return self.root / "notebooks"

    @property
    def report(self) -> Path:
        """The executed notebooks as a book of HTML pages."""
        return self.root / "report"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    A reader, or a run after a kill, sees the former file or the new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name starts with a dot and keeps the suffix: writers that look at the suffix still work.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes the file private to its owner; a result may be read like any other file.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    # The only way to read the mask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
