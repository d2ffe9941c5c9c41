"""The form that visitors see, as one anywidget: it shows, and decides nothing.

form = Form(fixed={"limit": 10_000, "examples": [], "privacy": "..."})
form.listen("choose", lambda stars: print(stars))     # a click, a touch or an arrow key

Its scripts lie in `static/`, each a part of the form; whatever a visitor wrote is set as text
there, never as markup. One widget and not thirty: a visitor waits for one message instead of a
hundred.
"""

from collections.abc import Callable
from inspect import Signature, signature
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"
PARTS = ("textbox", "gauge", "marks", "stars", "saying", "form")  # each may use those before it


def script() -> str:
    """Return the form's script as one module, which is what anywidget wants."""
    return "\n".join((STATIC / f"{part}.js").read_text("utf-8") for part in PARTS)


def stylesheet() -> str:
    return (STATIC / "starwise.css").read_text("utf-8")


class Form(anywidget.AnyWidget):
    """What is shown now, as plain values; the scripts send messages {"kind": ..., ...} back."""

    _esm = script()
    _css = stylesheet()

    fixed = traitlets.Dict().tag(sync=True)  # limit (characters), examples, privacy
    review = traitlets.Unicode().tag(sync=True)  # the id of the review being written
    brand = traitlets.Dict().tag(sync=True)  # name, website, label, logo
    reading = traitlets.Dict(None, allow_none=True).tag(sync=True)  # sentiment, label
    hint = traitlets.Unicode().tag(sync=True)  # shown in the place of a score
    scored = traitlets.Int(0).tag(sync=True)  # counts the scores shown
    marks = traitlets.List().tag(sync=True)  # [word, effect] in the order of the text
    current = traitlets.Bool(False).tag(sync=True)  # whether the marks belong to the text
    stars = traitlets.Dict().tag(sync=True)  # rating, suggested (0: none), chosen
    phase = traitlets.Enum(("writing", "saving", "saved"), "writing").tag(sync=True)
    ready = traitlets.Bool(False).tag(sync=True)  # to be submitted
    notice = traitlets.Dict({"kind": "", "text": ""}).tag(sync=True)
    recent = traitlets.List().tag(sync=True)  # brand, text, stars of what this visitor has sent

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._listeners: dict[str, tuple[Callable[..., None], Signature]] = {}
        self.on_msg(self._hear)
        # The served page asks for what is shown, and not for scripts that it has already.
        self.listen("state", lambda: self.send_state(self.shown()))

    def shown(self) -> list[str]:
        """Return the names of the traits that are part of the page."""
        return [name for name in self.trait_names(sync=True) if name in Form.class_own_traits()]

    def listen(self, kind: str, listener: Callable[..., None]) -> None:
        """Call `listener` with the message's other entries when one of this kind comes."""
        self._listeners[kind] = listener, signature(listener)

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        # Anything may come from a browser: what does not fit its listener is dropped.
        if not isinstance(message, dict):
            return
        entries = {str(name): value for name, value in message.items() if name != "kind"}
        found = self._listeners.get(str(message.get("kind")))
        if found is None:
            return
        listener, takes = found
        try:
            takes.bind(**entries)
        except TypeError:
            return
        listener(**entries)
