"""A notebook as a chapter: its title, its question, its sections, what its cells show.

chapters = read_chapters(outputs.notebooks)
chapters[0].title, chapters[0].question, chapters[0].sections
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat

from starwise.report.cells import code, prose, shown


@dataclass(frozen=True)
class Chapter:
    """One executed notebook, ready for its page."""

    name: str  # 01_collect
    title: str
    question: str
    body: str  # HTML
    sections: Sequence[tuple[str, str]]  # id and words of each heading of the second level
    finished: datetime | None
    seconds: float | None
    failed: bool
    picture: str  # HTML of the first figure, or nothing


def read_chapters(folder: Path) -> list[Chapter]:
    """Return the executed notebooks of a folder in the order of their names."""
    return [read_chapter(path) for path in sorted(Path(folder).glob("[0-9]*.ipynb"))]


def read_chapter(path: Path) -> Chapter:
    """Return one executed notebook as a chapter."""
    notebook = nbformat.read(path, as_version=4)
    parts, sections, heading, picture = [], [], path.stem, ""
    title, question = path.stem, ""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            text = prose(cell.source)
            for level, anchor, words in re.findall(r'<h([12]) id="([^"]*)">(.*?)</h\1>', text):
                heading = html.unescape(re.sub(r"<[^>]+>", "", words))
                if level == "1" and title == path.stem:
                    title = heading
                elif level == "2":
                    sections.append((anchor, heading))
            asked = re.search(r"<strong>(.*?)</strong>", text, re.DOTALL)
            if not question and asked:
                question = html.unescape(re.sub(r"<[^>]+>", "", asked[1]))
            parts.append(f'<section class="prose">{text}</section>')
        elif cell.cell_type == "code" and cell.source.strip():
            outputs = [shown(output, f"Figure: {heading}") for output in cell.outputs]
            picture = picture or next((text for text in outputs if 'class="picture"' in text), "")
            parts.append(_code_cell(cell, number, "".join(outputs)))
    run = notebook.metadata.get("papermill", {})
    return Chapter(
        name=path.stem,
        title=title,
        question=question,
        body="\n".join(parts),
        sections=sections,
        finished=_moment(run.get("end_time")),
        seconds=run.get("duration"),
        failed=bool(run.get("exception")),
        picture=picture,
    )


def _code_cell(cell: nbformat.NotebookNode, number: int, outputs: str) -> str:
    tags = cell.metadata.get("tags", [])
    note = ""
    if "injected-parameters" in tags:
        note = '<p class="note">The parameters of this run</p>'
    elif "parameters" in tags:
        note = '<p class="note">The parameters, as they are unless a run says otherwise</p>'
    shown_outputs = f'<div class="outputs">{outputs}</div>' if outputs else ""
    return (
        f'<section class="code" id="cell-{number}">{note}'
        f'<div class="source" tabindex="0">{code(cell.source)}</div>{shown_outputs}</section>'
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
