"""The page's own controls: text box, sentiment gauge, stars, notice. They show, and decide nothing.

stars = Stars(rating=4)
stars.on_choose(lambda stars: print(stars))     # a click, a touch or an arrow key

Each has its script in `static/`; whatever a visitor wrote is set as text there, never as markup.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


class Control(anywidget.AnyWidget):
    """A control whose script sends messages {"kind": ..., ...}."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._listeners: dict[str, list[Callable[..., None]]] = {}
        self.on_msg(self._hear)

    def listen(self, kind: str, listener: Callable[..., None]) -> None:
        """Call `listener` with the message's other entries when one of this kind comes."""
        self._listeners.setdefault(kind, []).append(listener)

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        # Anything may come from a browser: only the expected shape is passed on.
        if not isinstance(message, dict):
            return
        entries = {name: value for name, value in message.items() if name != "kind"}
        for listener in self._listeners.get(str(message.get("kind")), []):
            listener(**entries)


class TextBox(Control):
    """A text area that tells its text at every keystroke.

    The script waits for each text to be acknowledged before it sends the next, so that only the
    latest is on its way; but a click anywhere sends what is there at once, before the click is
    heard. So nobody can submit a text that lacks its last letters.
    """

    _esm = STATIC / "textbox.js"
    _css = STATIC / "starwise.css"

    name = traitlets.Unicode().tag(sync=True)  # what a screen reader calls it
    placeholder = traitlets.Unicode().tag(sync=True)
    limit = traitlets.Int().tag(sync=True)  # characters; a longer text is cut one beyond it
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.text = ""  # as last heard from the page, or shown on it
        # A page that opens late, or a second one on the same kernel, asks what is written.
        self.listen("hello", lambda **_: self._show(answer=True))

    def on_write(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the text whenever it changes on the page."""

        def heard(text: Any = "", **_: Any) -> None:
            self.send({"kind": "seen"})
            if isinstance(text, str):
                self.text = text
                listener(text)

        self.listen("text", heard)

    def show(self, text: str) -> None:
        """Replace the text on the page."""
        self.text = text
        self._show(answer=False)

    def _show(self, *, answer: bool) -> None:
        self.send({"kind": "show", "text": self.text, "answer": answer})

    def focus(self) -> None:
        self.send({"kind": "focus"})


class Gauge(Control):
    """A bar from bad to good with its number and its label."""

    _esm = STATIC / "gauge.js"

    sentiment = traitlets.Float(None, allow_none=True).tag(sync=True)  # 0 to 1; None: no score
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)  # shown in the place of a score


class Stars(Control):
    """Five stars: a group of radio buttons that shows a suggestion or a choice."""

    _esm = STATIC / "stars.js"

    rating = traitlets.Int(0).tag(sync=True)  # 0: none yet
    suggested = traitlets.Int(0).tag(sync=True)  # 0: no suggestion
    chosen = traitlets.Bool(False).tag(sync=True)  # by the visitor
    disabled = traitlets.Bool(False).tag(sync=True)

    def on_choose(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with 1 to 5 when the visitor chooses."""

        def heard(stars: Any = 0, **_: Any) -> None:
            if isinstance(stars, int) and 1 <= stars <= 5:
                listener(stars)

        self.listen("choose", heard)

    def on_follow(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the visitor gives the stars back to the suggestion."""
        self.listen("follow", lambda **_: listener())


class NoticeLine(Control):
    """One sentence about what happened, read aloud when it changes."""

    _esm = STATIC / "notice.js"

    kind = traitlets.Enum(("", "info", "saved", "failed"), "").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
