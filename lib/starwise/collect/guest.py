"""A good guest: who visits which site, what robots.txt allows, how fast to go.

guest = Guest("practice", "http://127.0.0.1:8000")
html = guest.fetch(guest.layout.categories_url(guest.url))
"""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

import requests
from protego import Protego
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from starwise import __version__
from starwise.collect.errors import CollectError
from starwise.collect.layouts import Layout, layout_of

TIMEOUT_SECONDS = 15
# A busy or stumbling server is asked again, after as long as its Retry-After says.
PATIENCE = Retry(
    total=4,
    backoff_factor=0.25,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Guest:
    """A visitor of one site. `url` is where the site lies ("" for the layout's own address).

    Any site that is not on this machine requires `contact`, an e-mail or web address at which
    its owner reaches whoever runs this. Raises CollectError without one.
    """

    site: str
    url: str = ""
    contact: str = ""

    def __post_init__(self) -> None:
        url = (self.url or self.layout.home).rstrip("/")
        if urlsplit(url).scheme not in ("http", "https"):
            raise CollectError(f"The site {self.site!r} needs an address that begins with http.")
        object.__setattr__(self, "url", url)
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise CollectError("The parameter `contact` may hold plain letters, digits and signs.")
        if not self.is_local and not self.contact.strip():
            raise CollectError(
                f"Collecting from {self.host} needs the parameter `contact`: an e-mail or web "
                "address at which the site's owner can reach you."
            )

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.site)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether the site is on this machine, where there is nobody to spare."""
        return self.host in LOCAL_HOSTS

    @property
    def user_agent(self) -> str:
        contact = f"; contact: {self.contact.strip()}" if self.contact.strip() else ""
        return f"Starwise/{__version__} (reads reviews to learn from them{contact})"

    def plan(self) -> str:
        """Say in a sentence or two what the collection is going to do."""
        if self.is_local:
            return f"We visit the {self.site} site at {self.url}, on this machine."
        return (
            f"We visit {self.url} as {self.user_agent!r}. We obey its robots.txt, ask for one page "
            "at a time with at least a second between two, and slow down when it does. "
            "Whether its terms allow collecting is yours to find out first."
        )

    def allowed(self, url: str) -> bool:
        """Tell whether the site's robots.txt lets us read `url`."""
        return Protego.parse(self.robots).can_fetch(url, self.user_agent)

    def fetch(self, url: str) -> str:
        """Return the text of a page; raise CollectError when it is forbidden or cannot be had."""
        if not self.allowed(url):
            raise CollectError(f"The robots.txt of {self.host} forbids {url}: nothing was read.")
        answer = self._get(url)
        if not answer.ok:
            raise CollectError(f"The page {url} answered {answer.status_code} {answer.reason}.")
        return answer.text

    @cached_property
    def robots(self) -> str:
        """The text of the site's robots.txt, "" when it has none: then everything is allowed."""
        answer = self._get(f"{self.url}/robots.txt")
        if answer.status_code >= 500:
            raise CollectError(f"{self.host} cannot show its robots.txt; please try later.")
        return answer.text if answer.ok else ""

    def _get(self, url: str) -> requests.Response:
        with requests.Session() as session:
            session.mount(self.url, HTTPAdapter(max_retries=PATIENCE))
            session.headers["User-Agent"] = self.user_agent
            # A proxy for the internet does not know this machine.
            session.trust_env = not self.is_local
            try:
                answer = session.get(url, timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                raise CollectError(f"The page {url} cannot be reached: {error}.") from error
        if "charset" not in answer.headers.get("Content-Type", ""):
            answer.encoding = "utf-8"
        return answer
