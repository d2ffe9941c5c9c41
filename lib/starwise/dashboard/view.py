"""The dashboard as widgets: it draws a `Visit` and passes on what the visitor does. No logic.

page = DashboardView(client, brands)
display(page.box)
"""

import asyncio
import html
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ipywidgets import HTML, Box, Button, Label

from starwise.dashboard.brands import Brand
from starwise.dashboard.client import Client
from starwise.dashboard.controls import Gauge, NoticeLine, Stars, TextBox
from starwise.dashboard.state import EXAMPLES, Visit
from starwise.service import REVIEW_LIMIT, is_blank

PRIVACY = (
    "Your text is scored while you write. Only when you press Submit are the text, its score, your "
    "stars, the brand and the time kept; nothing about you or your device."
)
LABELS = {"bad": "Reads as bad", "average": "Reads as average", "good": "Reads as good"}


class DashboardView:
    """One visitor's page; `box` is the widget to display."""

    def __init__(self, client: Client, brands: Sequence[Brand]) -> None:
        self.visit = Visit(client, brands, changed=self.draw)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._phase = self.visit.phase

        self.brand = HTML()
        self.text = TextBox(
            placeholder="Write as you would tell a friend…",
            limit=REVIEW_LIMIT,
        )
        self.examples = [Button(description=name) for name, _ in EXAMPLES]
        self.gauge = Gauge()
        self.stars = Stars()
        self.submit = Button(description="Submit", disabled=True)
        self.another = Button(description="Review another brand")
        self.notice = NoticeLine()
        self.box = self._laid_out()
        self._connect()
        self.draw()

    def draw(self) -> None:
        """Show the visit as it is now; what has not changed is not sent."""
        visit, writing = self.visit, self.visit.phase == "writing"
        self.brand.value = _brand_markup(visit.brand)
        self.text.name = f"Your review of {visit.brand.name}"
        self.text.disabled = not writing
        if visit.text != self.text.text:
            self.text.show(visit.text)
        self._tries.layout.display = "none" if visit.text or not writing else ""
        with self.gauge.hold_sync():
            self.gauge.sentiment = visit.reading.sentiment if visit.reading else None
            self.gauge.label = LABELS[visit.reading.label] if visit.reading else ""
            self.gauge.hint = _hint(visit)
        with self.stars.hold_sync():
            self.stars.rating = visit.rating or 0
            self.stars.suggested = visit.suggested or 0
            self.stars.chosen = visit.chosen is not None
            self.stars.disabled = not writing
        self.submit.disabled = not visit.can_submit
        self.another.disabled = visit.phase == "saving"
        with self.notice.hold_sync():
            self.notice.kind, self.notice.text = visit.notice, visit.message
        self._follow_phase()

    def _follow_phase(self) -> None:
        before, self._phase = self._phase, self.visit.phase
        if before == self._phase:
            return
        self.submit.layout.display = "none" if self._phase == "saved" else ""
        self.another.button_style = "primary" if self._phase == "saved" else ""
        # The keyboard's place on the page would be lost with the button that was just pressed.
        if self._phase == "saved":
            self.another.focus()
        elif before == "saved":
            self.text.focus()
        elif before == "saving":
            self.submit.focus()

    def _connect(self) -> None:
        self.text.on_write(self.visit.write)
        self.stars.on_choose(self.visit.choose)
        self.stars.on_follow(self.visit.follow)
        for button, (_, text) in zip(self.examples, EXAMPLES, strict=True):
            button.on_click(lambda _, text=text: self.visit.write(text))
        self.submit.on_click(lambda _: self._start(self.visit.submit))
        self.another.on_click(lambda _: self.visit.another_brand())

    def _start(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The loop keeps only a weak reference to a task.
        task = asyncio.ensure_future(action())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _laid_out(self) -> Box:
        self._tries = _block("sw-examples", Label("Or try one of these:"), *self.examples)
        self.submit.button_style = "primary"
        privacy = HTML(f"<p>{PRIVACY}</p>")
        privacy.add_class("sw-privacy")
        return _block(
            "starwise",
            self.brand,
            _block("sw-writing", self.text, self._tries),
            _block("sw-result", self.gauge, self.stars),
            _block("sw-actions", self.submit, self.another),
            self.notice,
            privacy,
        )


def _block(name: str, *children: Any) -> Box:
    box = Box(list(children))
    box.add_class(name)
    return box


def _brand_markup(brand: Brand) -> str:
    # The name was collected from the web: escaped, it is only ever text.
    name = html.escape(brand.name)
    link = ""
    if brand.website:
        link = (
            f'<a href="{html.escape(brand.website)}" target="_blank" '
            f'rel="noopener noreferrer nofollow">{html.escape(brand.website_label)}</a>'
        )
    return (
        f'<div class="sw-brand"><img src="{brand.logo}" alt="" width="64" height="64">'
        f"<div><h1>What do you think of <em>{name}</em>?</h1>{link}</div></div>"
    )


def _hint(visit: Visit) -> str:
    if visit.unread:
        return "No score just now: choose the stars yourself."
    if is_blank(visit.text):
        return "The score appears as you write."
    return "Too long to be scored." if visit.too_long else "Reading…"
