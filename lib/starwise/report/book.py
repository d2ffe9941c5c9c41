"""Chapters as pages of a book: an index, a page for each, one style sheet, no script.

first = write_book(chapters, outputs, outputs.report)

The pages work from a disk, without a server and without a network: their own policy forbids them
to load anything that is not beside them, and to run anything at all.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from pygments.formatters import HtmlFormatter

from starwise.batch.summary import minutes
from starwise.errors import StarwiseError
from starwise.paths import Outputs
from starwise.report.chapter import Chapter

# Colours of the code by day and by night: Pygments' styles of those names read well on our paper.
_DAY, _NIGHT = "xcode", "github-dark"
# How the models of metrics.json are called; those that are not here keep their own names.
_MODELS = {
    "network": "the network of this run",
    "bundled": "the bundled network",
    "tfidf_lr": "bag of words (TF-IDF, logistic regression)",
    "vader": "word list (VADER)",
    "majority": "always the majority",
}


class BookError(StarwiseError):
    """The book cannot be written there."""


def write_book(chapters: Sequence[Chapter], outputs: Outputs, folder: Path) -> Path:
    """Write the book to `folder`, whole or not at all, and return its first page.

    A book that was there before is replaced. Raises `BookError` for a folder of something else.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "book.css").exists():
        raise BookError(f"{folder} holds something that is no report: name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    files = pages(chapters, outputs)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        new.rename(folder)
    return folder / "index.html"


def pages(chapters: Sequence[Chapter], outputs: Outputs) -> dict[str, str]:
    """Return the files of the book by name."""
    environment = Environment(loader=PackageLoader("starwise.report"), autoescape=True)
    environment.filters["minutes"] = minutes
    environment.filters["markup"] = Markup  # for what `cells` made
    index = environment.get_template("index.html.j2")
    page = environment.get_template("chapter.html.j2")
    files = {
        "book.css": style_sheet(),
        "index.html": index.render(chapters=chapters, **results(outputs)),
    }
    for number, chapter in enumerate(chapters):
        files[f"{chapter.name}.html"] = page.render(
            chapters=chapters,
            chapter=chapter,
            before=chapters[number - 1] if number else None,
            after=chapters[number + 1] if number + 1 < len(chapters) else None,
        )
    return files


def results(outputs: Outputs) -> dict[str, Any]:
    """Return the measured models, and the verdict of notebook 04, as far as there are."""
    try:
        metrics = json.loads(outputs.metrics.read_text("utf-8"))
        rows = [
            (_MODELS.get(row["name"], row["name"]), row["balanced_accuracy"], row["macro_f1"])
            for row in metrics["models"]
        ]
        verdict = metrics.get("verdict", {})
    except (OSError, ValueError, KeyError, TypeError):
        return {"models": [], "verdict": {}}
    return {"models": sorted(rows, key=lambda row: row[1]), "verdict": verdict}


def style_sheet() -> str:
    """Return our own sheet and the colours of the code."""
    own = (Path(__file__).parent / "static" / "book.css").read_text("utf-8")
    day = HtmlFormatter(style=_DAY).get_style_defs(".highlight")
    night = HtmlFormatter(style=_NIGHT).get_style_defs(".highlight")
    return f"{own}\n{day}\n@media (prefers-color-scheme: dark) {{\n{night}\n}}\n"
