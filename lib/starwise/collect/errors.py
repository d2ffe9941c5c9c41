"""What can go wrong while collecting, each as a sentence."""

from starwise.errors import StarwiseError


class CollectError(StarwiseError):
    """The collection cannot begin, or too little of it came back."""


class LayoutError(CollectError):
    """A page is not what any layout of its site says: names the page and what it lacks.

    `tried` holds a pair (layout, selector that found nothing) for each way of reading the page.
    """

    def __init__(self, url: str, selector: str, layout: str = "") -> None:
        self.url = url
        self.tried = ((layout, selector),)
        super().__init__(
            f"The page {url} does not look as expected"
            + (f" by the layout {layout!r}" if layout else "")
            + f": nothing on it matches {selector}. {HINT}"
        )

    @property
    def selector(self) -> str:
        """The first selector that found nothing."""
        return self.tried[0][1]

    @classmethod
    def of_all(cls, url: str, errors: list["LayoutError"]) -> "LayoutError":
        """Return one error of several layouts that were tried on the same page."""
        error = cls(url, "")
        error.tried = tuple(pair for each in errors for pair in each.tried)
        told = "; ".join(
            f"{layout} found nothing at {selector}" for layout, selector in error.tried
        )
        error.args = (f"The page {url} fits no layout that we know: {told}. {HINT}",)
        return error


class EncodingError(LayoutError):
    """A page whose bytes are not the text that they claim to be."""

    def __init__(self, url: str, encoding: str) -> None:
        super().__init__(url, f"its encoding, {encoding}")
        self.args = (
            f"The page {url} does not hold to its encoding, {encoding}: it is torn, or it was "
            "written in another one. Nothing was read from it.",
        )


HINT = "It may ask to log in, or the site may have changed."
