"""Finding the companies of a site: lists that JavaScript draws, read with Selenium.

found = find_companies(guest, read_categories(guest))
found.companies            # category, sub_category, company_url
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep

import pandas as pd
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait
from urllib3.exceptions import HTTPError

from starwise.collect.browser import browser
from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.layouts import CompanyList
from starwise.collect.progress import Progress, say

WAIT_SECONDS = 10
POLL_SECONDS = 0.02  # Selenium's own half second is most of the time of a small page
TRIES = 3
PAGES_A_LIST = 500  # a list that goes on for longer has no end
SECONDS_BETWEEN_PAGES = 1.5  # on somebody else's site


@dataclass
class CompaniesFound:
    """What came back: the table (category, sub_category, company_url), and how it went."""

    companies: pd.DataFrame
    pages: int = 0
    seconds: float = 0.0
    given_up: list[str] = field(default_factory=list)  # one sentence for each list cut short


def find_companies(
    guest: Guest,
    sub_categories: pd.DataFrame,
    max_companies: int = 0,
    min_coverage: float = 0.95,
    tell: Callable[[str], None] = say,
) -> CompaniesFound:
    """Visit every list in a headless browser, page after page, and return its companies.

    A company that stands in two lists is kept once, in the first. `max_companies` (0: no limit)
    ends the visit early. Raises CollectError when fewer lists than the share `min_coverage` (0 to
    1) could be read to their end, when no company is in any, or when the browser ends meanwhile.
    """
    found = CompaniesFound(pd.DataFrame())
    places: dict[str, tuple[str, str]] = {}
    progress = Progress("companies", tell)
    number = 0
    with browser(guest.user_agent) as driver:
        for number, row in enumerate(sub_categories.itertuples(), start=1):
            for url in _companies_of(driver, guest, row.url, found):
                places.setdefault(url, (row.category, row.sub_category))
            progress.show(f"{len(places):,} found", f"{number} of {len(sub_categories)} lists")
            if 0 < max_companies <= len(places):
                break
    whole = number - len(found.given_up)
    if whole < min_coverage * number:
        raise CollectError(
            f"Only {whole} of {number} lists of companies could be read to their end, and "
            f"min_coverage asks for {min_coverage:.0%}. {found.given_up[0]}"
        )
    rows = [(*place, url) for url, place in places.items()][: max_companies or None]
    if not rows:
        raise CollectError(f"No company was found on {guest.url}. {' '.join(found.given_up[:1])}")
    found.companies = pd.DataFrame(rows, columns=["category", "sub_category", "company_url"])
    found.seconds = progress.seconds
    progress.show(f"{len(rows):,} found", f"{found.pages:,} pages of lists", last=True)
    return found


def _companies_of(driver: Chrome, guest: Guest, url: str, found: CompaniesFound) -> list[str]:
    """Return the companies of one list, following its next page; note in `found` how it went."""
    urls: list[str] = []
    seen = set()
    while url and url not in seen and len(seen) < PAGES_A_LIST:
        seen.add(url)
        try:
            page = read_list(driver, guest, url)
        except CollectError as error:
            found.given_up.append(str(error))
            return urls
        urls += page.urls
        url = page.next_url
        found.pages += 1
        if not guest.is_local:
            sleep(SECONDS_BETWEEN_PAGES)
    if url:
        found.given_up.append(f"The list goes round in a circle or has no end: {url}.")
    return urls


def read_list(driver: Chrome, guest: Guest, url: str) -> CompanyList:
    """Open one page of a list, wait until it is drawn, and read it; try again when it is not."""
    if not guest.allowed(url):
        raise CollectError(f"The robots.txt of {guest.host} forbids {url}.")
    drawn = expected_conditions.presence_of_element_located(
        (By.CSS_SELECTOR, guest.layout.companies_drawn)
    )
    for _ in range(TRIES):
        try:
            driver.get(url)
            WebDriverWait(driver, WAIT_SECONDS, poll_frequency=POLL_SECONDS).until(drawn)
            return guest.layout.company_list(driver.page_source, driver.current_url)
        except TimeoutException:
            continue
        except WebDriverException as error:
            reason = (error.msg or "no reason given").splitlines()[0]
            raise CollectError(f"The browser could not open {url}: {reason}.") from error
        except HTTPError as error:  # between Selenium and the driver
            raise CollectError(f"The browser's driver ended before it opened {url}.") from error
    raise CollectError(f"The list {url} was not drawn after {TRIES} tries.")
