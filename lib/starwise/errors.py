"""The one error that is meant for a reader: its message is a sentence that says what to do."""


class StarwiseError(Exception):
    """What went wrong and what to do about it, in one plain sentence.

    Rooms subclass it (`ModelError`, `StoreError`, ...); the command line prints the sentence
    without a traceback, and a notebook shows it as the last line of the cell.
    """
