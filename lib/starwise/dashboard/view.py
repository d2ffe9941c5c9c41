"""The dashboard as a widget: it draws a `Visit` and passes on what the visitor does. No logic.

page = DashboardView(client, brands)
display(page.box)
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starwise.dashboard.brands import Brand
from starwise.dashboard.client import Client
from starwise.dashboard.form import Form
from starwise.dashboard.state import EXAMPLES, Visit
from starwise.service import REVIEW_LIMIT, is_blank

PRIVACY = (
    "Your text is scored while you write. Only when you press Submit are the text, its score, your "
    "stars, the brand and the time kept; nothing about you or your device. What you send is shown "
    "to nobody but the administrator."
)


class DashboardView:
    """One visitor's page; `box` is the widget to display."""

    def __init__(self, client: Client, brands: Sequence[Brand]) -> None:
        self.visit = Visit(client, brands, changed=self.draw)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._text = ""  # as last heard from the page, or shown on it
        fixed = {"limit": REVIEW_LIMIT, "examples": EXAMPLES, "privacy": PRIVACY}
        self.box = Form(fixed=fixed)
        self.draw()
        self._connect()

    def draw(self) -> None:
        """Show the visit as it is now, in one message; what has not changed is not sent."""
        if self.visit.text != self._text:
            self._show()
        with self.box.hold_sync():
            for name, value in _picture(self.visit).items():
                # A widget takes its time to find out that a value is the one it has.
                if getattr(self.box, name) != value:
                    setattr(self.box, name, value)

    def _connect(self) -> None:
        form, visit = self.box, self.visit
        form.listen("hello", self._hello)
        form.listen("text", self._write)
        form.listen("choose", lambda stars: visit.choose(stars))
        form.listen("follow", lambda: visit.follow())
        form.listen("submit", lambda: self._start(visit.submit))
        form.listen("another", lambda: visit.another_brand())

    def _hello(self, draft: Any = None) -> None:
        # A page that opens late, or a second one on the same kernel, asks what is written.
        if isinstance(draft, dict):
            self.visit.restore(draft)
        self._show(answer=True)

    def _write(self, text: Any) -> None:
        if isinstance(text, str):
            self._text = text
            self.visit.write(text)

    def _show(self, *, answer: bool = False) -> None:
        self._text = self.visit.text
        self.box.send({"kind": "show", "text": self._text, "answer": answer})

    def _start(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The loop keeps only a weak reference to a task.
        task = asyncio.ensure_future(action())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _picture(visit: Visit) -> dict[str, Any]:
    """Return a visit as the form's values."""
    reading = visit.reading
    return {
        "review": str(visit.id),
        "brand": _brand(visit.brand),
        "reading": reading and {"sentiment": reading.sentiment, "label": reading.label},
        "hint": _hint(visit),
        "scored": visit.scores,
        "marks": [[mark.word, mark.effect] for mark in visit.marks],
        "current": visit.marked == visit.text,
        "stars": {
            "rating": visit.rating or 0,
            "suggested": visit.suggested or 0,
            "chosen": visit.chosen is not None,
        },
        "phase": visit.phase,
        "ready": visit.can_submit,
        "notice": {"kind": visit.notice, "text": visit.message},
        "recent": [vars(sent) for sent in visit.recent],
    }


def _brand(brand: Brand) -> dict[str, str]:
    return {
        "name": brand.name,
        "website": brand.website,
        "label": brand.website_label,
        "logo": brand.logo,
    }


def _hint(visit: Visit) -> str:
    if visit.unread:
        return "No score just now: choose the stars yourself."
    if is_blank(visit.text):
        return "The score appears as you write."
    return "Too long to be scored." if visit.too_long else "Reading…"
