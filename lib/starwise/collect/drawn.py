"""Reading one page of a list of companies in a browser: patiently, and only when it is whole.

reader = ListReader(driver, guest, ask, wait)
page = reader.read(url)
page.urls, page.next_url
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from urllib3.exceptions import HTTPError

from starwise.collect.errors import CollectError
from starwise.collect.guest import LARGEST_PAGE_BYTES, Guest
from starwise.collect.layouts import CompanyList
from starwise.collect.waits import BUSY, LONGEST_WAIT_SECONDS, own_pause, too_long
from starwise.collect.wire import Wire

WAIT_SECONDS = 10
POLL_SECONDS = 0.02  # Selenium's own half second is most of the time of a small page
BUSY_SECONDS = 30  # elsewhere, after a busy answer that does not say for how long
TRIES = 3
UNRESOLVED = "net::ERR_NAME_NOT_RESOLVED"  # another host: the browser knows the site's only


class BrowserDiedError(CollectError):
    """The browser or its driver is gone; another one may do."""


class EnoughError(CollectError):
    """Nothing more is to be asked of the site in this run; the message says why."""


class ListReader:
    """Reads pages of lists with one browser.

    `ask` is called before each page that is asked for, `wait` with the seconds of each pause; what
    they raise ends the reading.
    """

    def __init__(
        self,
        driver: Chrome,
        guest: Guest,
        ask: Callable[[], None],
        wait: Callable[[float], None],
    ) -> None:
        self.driver, self.guest, self.ask, self.wait = driver, guest, ask, wait
        self.wire = Wire(driver)

    def read(self, url: str) -> CompanyList:
        """Return what is on the page at `url`; ask again where that may help.

        Raises CollectError when it cannot be had or is none, EnoughError when the site asks for a
        longer pause than we make, BrowserDiedError.
        """
        if not self.guest.allowed(url):
            raise CollectError(f"The robots.txt of {self.guest.host} forbids {url}.")
        if urlsplit(url).hostname != self.guest.host:
            raise CollectError(f"The list leads to another host, {url}: we did not go.")
        kept = self.guest.pages.get(url)
        if kept is not None:
            return self.guest.layout.company_list(kept, url)
        for tries in range(1, TRIES + 1):
            self.ask()
            try:
                problem = self.open(url)
                if not problem:
                    return self.take(url)
            except TimeoutException:
                problem = "did not come in time"
            except WebDriverException as error:
                problem = _network_problem(url, error)
            except HTTPError as error:  # between Selenium and the driver
                raise BrowserDiedError(
                    f"The browser's driver ended before it read {url}."
                ) from error
            if tries < TRIES:
                self.wait(self.pause(url, tries))
        raise CollectError(f"The list {url} {problem}, after {TRIES} tries.")

    def open(self, url: str) -> str:
        """Open a page and wait until it is drawn; return what ails it for now, "" for nothing."""
        self.wire.open(url)
        self.wait(self.guest.pause)
        whole = self.wire.is_whole(WAIT_SECONDS)
        answer = self.wire.answer
        if answer.bytes > LARGEST_PAGE_BYTES:
            raise CollectError(f"The list {url} is larger than we take: refused.")
        if answer.status in BUSY:
            return f"answered {answer.status}"
        if answer.status >= 400:
            raise CollectError(f"The list {url} answered {answer.status}.")
        if not whole:
            # Chrome shows what came of a page that was cut short as if it were all of it.
            return "broke off before its end"
        try:
            wait = WebDriverWait(self.driver, WAIT_SECONDS, poll_frequency=POLL_SECONDS)
            drawn = wait.until(lambda driver: self.is_drawn() or self.is_put_off())
        except TimeoutException:
            return f"was not drawn: nothing on it matches {self.guest.layout.companies_drawn}"
        return "" if drawn is True else f"was not drawn: it asked for more, answered {drawn}"

    def is_drawn(self) -> bool:
        selector = self.guest.layout.companies_drawn
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def is_put_off(self) -> int:
        """Return the status with which a call of the page was put off, 0 when none was."""
        self.wire.listen()
        return self.wire.answer.busy

    def take(self, url: str) -> CompanyList:
        """Return what is on the page that the browser shows, and keep it."""
        html, here = self.driver.page_source, self.driver.current_url
        self.wire.listen()
        page = self.guest.layout.company_list(html, here)
        self.guest.pages.put(url, html)
        return page

    def pause(self, url: str, tries: int) -> float:
        """Return the seconds until the next try: at least as many as the site asks for."""
        answer = self.wire.answer
        if answer.pause > LONGEST_WAIT_SECONDS:
            raise EnoughError(too_long(url, answer.busy, answer.pause))
        unsaid = answer.busy and not answer.pause and not self.guest.is_local
        return max(answer.pause, BUSY_SECONDS * tries if unsaid else own_pause(tries))


def _network_problem(url: str, error: WebDriverException) -> str:
    """Return what the network did to a page; raise for what another try does not mend."""
    reason = (error.msg or "no reason given").splitlines()[0]
    if "net::ERR" not in reason:
        raise BrowserDiedError(f"The browser could not open {url}: {reason}.") from error
    if UNRESOLVED in reason:
        raise CollectError(f"The browser could not open {url}: {reason}.") from error
    return f"could not be opened ({reason})"
