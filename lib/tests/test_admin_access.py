"""The administrator's pages for everybody: phones and desktops, light and dark, screen readers."""

import random
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from selenium.webdriver.common.by import By
from services import running_service, until
from visitors import resize, tab, violations

from starwise.admin.pages import COOKIE
from starwise.store import StoredReview

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "a token of the administrator"
WIDTHS = (360, 1440)


def many(count: int) -> list[StoredReview]:
    """Return a month's reviews: long and short, with and without a suggestion, some overruled."""
    chance = random.Random(4)
    now = datetime.now(UTC)
    texts = ("Lovely people.", "line\n" * 40, "Donaudampfschifffahrt" * 20, "<b>שלום</b> 😀 & co")
    rows = []
    for number in range(count):
        suggested = chance.choice((1, 2, 3, 4, 5, None))
        rows.append(
            StoredReview(
                id=UUID(int=chance.getrandbits(128), version=4),
                created_at=now - timedelta(hours=chance.randrange(700)),
                brand=chance.choice(("Harbour", "Brightleaf Books", "Ärger & Söhne " * 8)),
                review=texts[number % 4],
                rating=chance.choice((suggested or 3, chance.randint(1, 5))),
                suggested_rating=suggested,
                sentiment=suggested and (suggested - 0.5) / 5,
                probabilities=suggested and {"bad": 0.2, "average": 0.3, "good": 0.5},
                model=suggested and "bundled",
            )
        )
    return rows


@pytest.fixture(scope="module")
def service(postgres):
    with running_service(postgres.start(), STARWISE_ADMIN_TOKEN=TOKEN) as (address, _):
        yield address


@pytest.fixture
def page(service, store, window):
    store.add(many(120))
    with tab(window):
        window.get(f"{service}/admin")
        yield window
        window.delete_all_cookies()


def sign_in(page) -> None:
    page.find_element(By.ID, "token").send_keys(TOKEN + "\n")
    until(lambda: page.get_cookie(COOKIE) and page.find_elements(By.ID, "brand"))


def check(page, scheme: str, where: str) -> None:
    # The browser gives a page as soon as it is read, which may be before its style sheet is.
    until(lambda: page.execute_script("return document.readyState === 'complete'"))
    for width in WIDTHS:
        resize(page, width, scheme)
        assert violations(page) == [], f"{where} at {width}, {scheme}"
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{where} at {width} scrolls sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page_of_the_administrator(page, service, scheme):
    check(page, scheme, "signing in")
    page.find_element(By.ID, "token").send_keys("wrong\n")
    until(lambda: page.find_elements(By.CSS_SELECTOR, ".notice.failed"))
    check(page, scheme, "a wrong token")
    sign_in(page)
    resize(page, 360, scheme)
    for summary in page.find_elements(By.TAG_NAME, "summary"):
        page.execute_script("arguments[0].click()", summary)  # the whole texts, the table of days
    assert page.find_elements(By.CSS_SELECTOR, "#volume, table.square, table.steps, table.brands")
    check(page, scheme, "the reviews, the overruled and the volume")
    (here,) = page.find_elements(By.CSS_SELECTOR, "[rel=next]")
    page.get(here.get_attribute("href"))
    check(page, scheme, "an older page")
    page.get(f"{service}/admin/?overruled=1&stars=1&stars=2&words=Lovely")
    check(page, scheme, "a filter")
    page.get(f"{service}/admin/?words=nobody+wrote+this")
    check(page, scheme, "nothing found")
    page.get(f"{service}/admin/?stars=9")
    check(page, scheme, "a refusal")
    page.get(f"{service}/admin/")
    page.find_element(By.CLASS_NAME, "delete").click()
    until(lambda: urlsplit(page.current_url).path.endswith("/delete"))
    until(lambda: page.find_elements(By.CLASS_NAME, "danger"))
    check(page, scheme, "before deleting")
    page.find_element(By.CLASS_NAME, "danger").click()
    until(lambda: page.find_elements(By.CSS_SELECTOR, ".notice.saved"))
    check(page, scheme, "after deleting")
