"""What can go wrong while collecting, each as a sentence."""

from starwise.errors import StarwiseError


class CollectError(StarwiseError):
    """The collection cannot begin, or too little of it came back."""


class LayoutError(CollectError):
    """A page is not what the site's layout says: names the page and what it lacks."""

    def __init__(self, url: str, selector: str) -> None:
        super().__init__(
            f"The page {url} does not look as expected: nothing on it matches {selector}. "
            "It may ask to log in, or the site may have changed."
        )
        self.url = url
        self.selector = selector
