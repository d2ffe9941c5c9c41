"""A good guest: who visits which site, what robots.txt allows, how fast to go.

guest = Guest("practice", "http://127.0.0.1:8000")
html = guest.fetch(guest.layout.categories_url(guest.url))
"""

import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from protego import Protego

from starwise import __version__
from starwise.collect.encoding import read_text
from starwise.collect.errors import CollectError
from starwise.collect.layouts import Layout, layout_of
from starwise.collect.pages import PageCache
from starwise.collect.waits import BUSY, LONGEST_WAIT_SECONDS, own_pause, wanted_pause

TIMEOUT_SECONDS = 15  # for an answer to begin, and for each further part of it
WHOLE_SECONDS = 60  # for a whole page
LARGEST_PAGE_BYTES = 10_000_000
TRIES = 5
REDIRECTS = 3
PAUSE_SECONDS = 1.5  # at least, between two pages of somebody else's site
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# The practice site writes it into its robots.txt: the same address may show another world later.
EDITION = re.compile(r"^# Edition: (\w+)", flags=re.MULTILINE)


@dataclass(frozen=True)
class Guest:
    """A visitor of one site. `url` is where the site lies ("" for the layout's own address).

    Any site that is not on this machine requires `contact`, an e-mail or web address at which its
    owner reaches whoever runs this, and is not asked for anything before `yes_really` is set.
    `cache` is a folder in which its pages are kept for a day. Raises CollectError.
    """

    site: str
    url: str = ""
    contact: str = ""
    yes_really: bool = False
    cache: str | Path | None = None

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

    @cached_property
    def pages(self) -> PageCache:
        return PageCache(self.cache)

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

    @property
    def pause(self) -> float:
        """Seconds between two pages: none here; elsewhere ours, or what robots.txt asks for."""
        if self.is_local:
            return 0.0
        return max(PAUSE_SECONDS, self._rules.crawl_delay(self.user_agent) or 0.0)

    @property
    def edition(self) -> str:
        """What of several things the site shows under its address, "" where it does not say."""
        found = EDITION.search(self.robots)
        return found[1] if found else ""

    def plan(self) -> str:
        """Say in a few sentences what the collection is going to do. Asks the site nothing."""
        if self.is_local:
            return f"We visit the {self.site} site at {self.url}, on this machine."
        plan = (
            f"We visit {self.url} as {self.user_agent!r}. We obey its robots.txt, stay on its "
            f"host, ask for one page at a time with at least {PAUSE_SECONDS} s between two, slow "
            "down when it does, wait when it says so, and keep pages for a day so that a second "
            "run does not ask again. Whether its terms allow collecting is yours to find out first."
        )
        return plan if self.yes_really else f"{plan} Nothing is asked of it yet: {self._consent}"

    @property
    def _consent(self) -> str:
        return "to begin, set the parameter `yes_really` to True."

    def agree(self) -> None:
        """Raise CollectError unless the site is on this machine or was agreed to in words."""
        if not self.is_local and not self.yes_really:
            raise CollectError(f"Nothing was asked of {self.host}: {self._consent} {self.plan()}")

    def relative(self, url: str) -> str:
        """Return an address of this site without its host, which may be elsewhere next time."""
        return url.removeprefix(self.url) if url.startswith(f"{self.url}/") else url

    def whole(self, url: str) -> str:
        """Return the whole address of a relative one; one that is whole already stays."""
        return self.url + url if url.startswith("/") and not url.startswith("//") else url

    def allowed(self, url: str) -> bool:
        """Tell whether the site's robots.txt lets us read `url`."""
        return self._rules.can_fetch(url, self.user_agent)

    def fetch(self, url: str) -> str:
        """Return the text of a page; raise CollectError when it is forbidden or cannot be had.

        The caller keeps it in `pages` once it has proved to be what it should be.
        """
        self.agree()
        if not self.allowed(url):
            raise CollectError(f"The robots.txt of {self.host} forbids {url}: nothing was read.")
        kept = self.pages.get(url)
        if kept is not None:
            return kept
        answer = self._get(url)
        if not answer.ok:
            raise CollectError(f"The page {url} answered {answer.status_code} {answer.reason}.")
        return read_text(answer.content, answer.headers.get("Content-Type", ""), url)

    @cached_property
    def robots(self) -> str:
        """The text of the site's robots.txt, "" when it has none: then everything is allowed."""
        self.agree()
        url = f"{self.url}/robots.txt"
        kept = self.pages.get(url)
        if kept is not None:
            return kept
        answer = self._get(url)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise CollectError(f"{self.host} cannot show its robots.txt; please try later.")
        # Whatever its bytes mean, a rule that we can read holds.
        text = answer.content.decode("utf-8-sig", "replace") if answer.ok else ""
        self.pages.put(url, text)
        return text

    @cached_property
    def _rules(self) -> Protego:
        return Protego.parse(self.robots)

    def _get(self, url: str) -> requests.Response:
        """Ask for a page, patiently: a busy or stumbling server is asked again after a while."""
        problem: Exception | None = None
        with requests.Session() as session:
            session.headers["User-Agent"] = self.user_agent
            # A proxy for the internet does not know this machine.
            session.trust_env = not self.is_local
            for tries in range(1, TRIES + 1):
                pause = own_pause(tries)
                try:
                    answer = self._follow(session, url)
                    problem = None
                    if answer.status_code not in BUSY:
                        return answer
                    asked = wanted_pause(answer.headers.get("Retry-After", ""))
                    if asked > LONGEST_WAIT_SECONDS:
                        return answer
                    pause = max(pause, asked)
                except requests.RequestException as error:
                    problem = error
                if tries < TRIES:
                    time.sleep(pause)
        if problem is not None:
            raise CollectError(f"The page {url} cannot be reached: {problem}.") from problem
        return answer

    def _follow(self, session: requests.Session, url: str) -> requests.Response:
        """Ask once, following redirects on the same host only."""
        for _ in range(REDIRECTS + 1):
            answer = session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True)
            if not answer.is_redirect:
                return _whole(answer)
            answer.close()
            url = urljoin(url, answer.headers["Location"])
            if urlsplit(url).netloc != urlsplit(self.url).netloc:
                raise CollectError(f"{self.host} sends us to another host, {url}: we did not go.")
        raise CollectError(f"{self.host} sends us from page to page without end: {url}.")


def _whole(answer: requests.Response) -> requests.Response:
    """Read the answer's body, in time and up to the largest page that we take."""
    parts, size, until = [], 0, time.monotonic() + WHOLE_SECONDS
    for part in answer.iter_content(65_536):
        parts.append(part)
        size += len(part)
        if size > LARGEST_PAGE_BYTES:
            answer.close()
            most = LARGEST_PAGE_BYTES // 1_000_000
            raise CollectError(f"The page {answer.url} is larger than {most} MB: refused.")
        if time.monotonic() > until:
            raise requests.Timeout(f"it was not whole after {WHOLE_SECONDS} s")
    answer._content = b"".join(parts)
    return answer
