"""The labelling desk as a widget: it shows a `Desk` and passes on keys and clicks. No rules.

DeskView(Desk(doubtful, outputs.labels))
"""

import math
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from starwise.classes import CLASSES
from starwise.labeller.desk import Desk

STATIC = Path(__file__).parent / "static"


class DeskView(anywidget.AnyWidget):
    """The desk on a page; 1, 2, 3 label and go on, U takes back, S skips."""

    _esm = STATIC / "desk.js"
    _css = STATIC / "desk.css"

    shown = traitlets.Dict().tag(sync=True)  # all that the page draws
    classes = traitlets.List(list(CLASSES)).tag(sync=True)

    def __init__(self, desk: Desk, **traits: Any) -> None:
        super().__init__(**traits)
        self.desk = desk
        self.on_msg(self._hear)
        self._draw()

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        # Anything may come from a browser: only the expected shapes are passed on.
        if not isinstance(message, dict):
            return
        kind, id, label = (message.get(name) for name in ("kind", "id", "label"))
        try:
            # The desk opens when a browser shows it, so that a run without one leaves no trace.
            self.desk.open()
            if kind == "label" and isinstance(id, str) and isinstance(label, str):
                self.desk.label(id, label)
            elif kind == "skip" and isinstance(id, str):
                self.desk.skip(id)
            elif kind == "undo":
                self.desk.undo()
        except OSError as error:
            self._draw(f"Not kept: the file of labels cannot be written ({error.strerror}).")
            return
        self._draw()

    def _draw(self, failed: str = "") -> None:
        desk = self.desk
        done, total = desk.progress
        agreement = desk.agreement
        self.shown = {
            "id": desk.current.id if desk.current else "",
            "text": desk.current.text if desk.current else "",
            "company": desk.current.company if desk.current else "",
            "done": done,
            "total": total,
            "open": desk.is_open,
            "can_undo": desk.can_undo,
            "agreement": "" if math.isnan(agreement.share) else f"{agreement.share:.0%}",
            "kappa": "" if math.isnan(agreement.kappa) else f"{agreement.kappa:.2f}",
            "notice": failed or desk.notice,
            "failed": bool(failed),
        }

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        done, total = self.desk.progress
        # What an executed notebook keeps of it, where no browser shows the widget.
        data["text/plain"] = (
            f"A labelling desk: {total} reviews, {done} of them labelled. Open this notebook in "
            "JupyterLab to label them."
        )
        return bundle
