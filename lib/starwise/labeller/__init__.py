"""The labelling desk: a person reads a review and says with one key how it was meant.

    desk = DeskView(Desk(doubtful, outputs.labels))
    desk                                  # the last line of a cell shows it

`desk` holds the state and the rules, without widgets; `view` shows it, without rules. Nothing
happens, and nothing is written, until a browser shows the desk: a batch run passes it by.
"""

from starwise.labeller.desk import Desk
from starwise.labeller.view import DeskView

__all__ = ["Desk", "DeskView"]
