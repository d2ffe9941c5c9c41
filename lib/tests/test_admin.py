"""The administrator's pages: who gets in, what they show and count, and what they never do."""

import csv
import io
import logging
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from doubles import WordScorer
from fastapi.testclient import TestClient
from limits import parse
from services import running_service, until
from sqlalchemy import create_engine

from starwise.admin import make_admin, sessions
from starwise.admin.export import neutral
from starwise.admin.pages import COOKIE
from starwise.admin.questions import Filters, agreement, agreement_by_brand, volume
from starwise.api import create_app
from starwise.service import Service
from starwise.store import Store, StoredReview

TOKEN = "a token of the administrator"
START = datetime(2025, 11, 20, 12, tzinfo=UTC)


def client_of(store: Store, token: str = TOKEN) -> TestClient:
    app = create_app(Service(WordScorer(), store), token)
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def client(store) -> TestClient:
    return client_of(store)


@pytest.fixture
def admin(client) -> TestClient:
    """A client that is signed in."""
    assert sign_in(client).status_code == 303
    return client


def sign_in(client: TestClient, token: str = TOKEN):
    return client.post("/admin/sign-in", data={"token": token})


def row(number: int = 0, **changes) -> StoredReview:
    """A review that was stored so many minutes after START."""
    given = {
        "id": uuid.uuid4(),
        "created_at": START + timedelta(minutes=number),
        "brand": "Brightleaf",
        "review": f"number {number}",
        "rating": 4,
        "suggested_rating": 4,
        "sentiment": 0.7,
        "probabilities": {"bad": 0.1, "average": 0.2, "good": 0.7},
        "model": "words",
    }
    return StoredReview(**(given | changes))


def texts(page: str) -> list[str]:
    return re.findall(r'<div class="text" dir="auto">(.*?)</div>', page, re.S)


def form_word(page: str) -> str:
    return re.search(r'name="form" value="([^"]+)"', page)[1]


PAGES = ("/admin/", "/admin/?brand=x", "/admin/reviews.csv", f"/admin/delete?id={uuid.uuid4()}")


# -- Who gets in


def test_with_no_token_set_the_pages_are_closed_in_a_sentence(store):
    store.add([row(review="private")])
    closed = client_of(store, token="")
    answers = [closed.get(page) for page in PAGES]
    answers += [sign_in(closed, token) for token in ("", "x")]
    answers += [closed.post("/admin/delete", data={"id": str(store.page()[0].id)})]
    assert {answer.status_code for answer in answers} == {404}
    assert all("it opens where STARWISE_ADMIN_TOKEN is set." in answer.text for answer in answers)
    assert all("private" not in answer.text for answer in answers) and len(store.page()) == 1


def test_who_is_not_signed_in_sees_the_same_form_on_every_page(client, store):
    store.add([row(review="private")])
    there = f"/admin/delete?id={store.page()[0].id}"
    answers = [client.get(page) for page in (*PAGES, there)]
    answers.append(client.post("/admin/delete", data={"id": str(store.page()[0].id)}))
    answers.append(client.post("/admin/sign-out"))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1 and "private" not in answers[0].text
    assert len(store.page()) == 1


def test_the_address_without_its_last_slash_leads_there(client):
    answer = client.get("/admin")
    assert (answer.status_code, answer.headers["location"]) == (307, "admin/")


def test_a_session_is_a_strict_cookie_that_no_script_reads_and_does_not_hold_the_token(client):
    answer = sign_in(client)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and client.get("/admin/").status_code == 200
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Max-Age=28800" in cookie
    assert TOKEN not in cookie and "Secure" not in cookie, "over plain http on this machine"
    secure = TestClient(client.app, base_url="https://example.org", follow_redirects=False)
    assert "Secure" in sign_in(secure).headers["set-cookie"]


@pytest.mark.parametrize("given", ["", "wrong", TOKEN + "x", TOKEN[:-1], "☃", "\x00"])
def test_a_wrong_token_is_refused(client, given):
    answer = sign_in(client, given)
    assert answer.status_code == 401 and "not the administrator" in answer.text
    assert "set-cookie" not in answer.headers


def test_attempts_with_a_wrong_token_are_limited_and_the_right_one_waits_too(store):
    limited = make_admin(store, TOKEN, parse("3/15 minutes"))
    client = TestClient(limited, follow_redirects=False)

    def attempt(token: str):
        return client.post("/sign-in", data={"token": token})

    assert [attempt("wrong").status_code for _ in range(2)] == [401, 401]
    assert attempt(TOKEN).status_code == 303, "and the count starts again"
    assert [attempt("wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    answer = attempt(TOKEN)
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 900
    assert "try again in 15 minutes." in answer.text
    elsewhere = TestClient(limited, client=("198.51.100.7", 1), follow_redirects=False)
    assert elsewhere.post("/sign-in", data={"token": TOKEN}).status_code == 303


def test_a_forged_expired_or_other_tokens_session_is_refused(client, monkeypatch):
    ours = sessions.Sessions(TOKEN)
    good = ours.begin()
    later = good.replace(good.split(".")[0], str(int(time.time()) + 10**6))
    notes = [
        later,
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        sessions.Sessions("another token").begin(),
        sessions.Sessions(TOKEN, seconds=-1).begin(),
        "",
        "..",
        "9999999999.x.",
        TOKEN,
        "é.é.é",
    ]
    for note in notes:
        headers = {"Cookie": f"{COOKIE}={note}".encode()}
        assert client.get("/admin/", headers=headers).status_code == 401, note
    headers = {"Cookie": f"{COOKIE}={good}"}
    assert client.get("/admin/", headers=headers).status_code == 200


def test_signing_out_ends_the_session_also_for_who_kept_the_cookie(admin):
    note = admin.cookies[COOKIE]
    word = form_word(admin.get("/admin/").text)
    assert admin.post("/admin/sign-out", data={"form": word}).status_code == 303
    assert admin.get("/admin/").status_code == 401
    again = TestClient(admin.app, cookies={COOKIE: note})
    assert again.get("/admin/").status_code == 401


def test_a_form_from_elsewhere_is_refused(admin, store):
    store.add([row()])
    id = str(store.page()[0].id)
    other = sessions.Sessions(TOKEN)
    for word in ("", "x", other.form_word(other.begin())):
        for page in ("delete", "sign-out"):
            answer = admin.post(f"/admin/{page}", data={"form": word, "id": id})
            assert answer.status_code == 403 and "does not come from your session" in answer.text
    assert len(store.page()) == 1 and admin.get("/admin/").status_code == 200


def test_every_answer_forbids_scripts_frames_copies_and_other_sites(admin, store):
    store.add([row(0)])
    addresses = [*PAGES, "/admin/nothing", "/admin/static/admin.css", "/admin/?stars=9"]
    for address in addresses:
        headers = admin.get(address).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';"), address
        assert "form-action 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "script-src" not in policy
        assert headers["cache-control"] == "no-store" and headers["x-frame-options"] == "DENY"
    page = admin.get("/admin/").text
    assert "<script" not in page and " style=" not in page
    links = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert links and not any(re.match(r"[a-z]+:|/", link) for link in links), "all are relative"


def test_the_log_tells_who_came_and_what_was_deleted_but_no_token_and_no_text(
    client, store, caplog
):
    store.add([row(review="private thoughts")])
    id = store.page()[0].id
    with caplog.at_level(logging.INFO, "starwise"):
        sign_in(client, "wrong secret")
        sign_in(client)
        note, word = client.cookies[COOKIE], form_word(client.get("/admin/?words=private").text)
        client.post("/admin/delete", data={"form": word, "id": str(id)})
        client.post("/admin/sign-out", data={"form": word})
    said = "\n".join(caplog.messages)
    for secret in (TOKEN, "wrong secret", note, word, "private"):
        assert secret not in said
    for event in ("with a wrong token", "signed in", f"deleted the review {id}", "signed out"):
        assert event in said


# -- What the pages show


def test_markup_formulas_and_templates_are_shown_as_text(admin, store):
    words = '<img src=x onerror=alert(1)></textarea><script>alert(1)</script> {{ 7*7 }} $x^2$ & "'
    store.add([row(review=words, brand=words, model=words)])
    page = admin.get("/admin/", params={"words": "onerror=alert", "brand": "<script>"}).text
    assert "<img" not in page and "<script" not in page and "{{ 7*7 }}" in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    assert 'value="&lt;script&gt;"' in page
    confirm = admin.get(f"/admin/delete?id={store.page()[0].id}").text
    assert "<img" not in confirm and "&lt;/textarea&gt;" in confirm


def test_a_long_review_is_cut_short_and_shown_whole_on_demand(admin, store):
    store.add([row(review="word " * 1999 + "the end"), row(1, review="\n" * 9999 + "x")])
    page = admin.get("/admin/").text
    assert page.count("<details><summary>The whole text") == 2 and "the end" in page
    assert max(part.count("\n") for part in texts(page)[::2]) <= 12


def test_pages_are_complete_and_without_overlap_under_a_filter_while_reviews_go_and_come(
    admin, store
):
    # Many at the same moment: the place is the time and the id.
    store.add([row(n // 40, review=f"{'odd' if n % 2 else 'even'} {n}") for n in range(150)])
    seen, address = [], "/admin/?words=odd"
    while address:
        page = admin.get(address).text
        seen += texts(page)
        # What comes meanwhile, and the deletion of the last one seen, move nothing.
        store.add([row(9999 + len(seen), review=f"odd new {len(seen)}")])
        (last,) = [r for r in store.everything() if r.review == seen[-1]]
        store.delete(last.id)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = following and "/admin/" + following[1].replace("&amp;", "&")[2:]
    assert len(seen) == 75 and set(seen) == {f"odd {n}" for n in range(1, 150, 2)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"brand": "BRIGHT"}, {0, 1}),
        ({"brand": "%"}, {2}),
        ({"brand": "_"}, {3}),
        ({"words": "post late"}, {0}),
        ({"words": "100%"}, {1}),
        ({"words": "a\\b"}, {3}),
        ({"words": "'); DROP TABLE reviews;--"}, set()),
        ({"stars": ["1", "2"]}, {0, 3}),
        ({"since": "2025-11-22"}, {2, 3}),
        ({"until": "2025-11-21"}, {0, 1}),
        ({"since": "2025-11-21", "until": "2025-11-22"}, {1, 2}),
        ({"overruled": "1"}, {0}),
        ({"overruled": "1", "stars": "5"}, set()),
        ({"brand": "", "words": " ", "since": "", "stars": ""}, {0, 1, 2, 3}),
    ],
)
def test_filters_find_what_was_asked_for_to_the_letter(admin, store, asked, found):
    day = 24 * 60
    store.add(
        [
            row(0, review="Late was the POST.", rating=1, suggested_rating=2),
            row(day, review="100% fine", rating=5, suggested_rating=5),
            row(2 * day, brand="50% off", review="1000 fine", rating=3, suggested_rating=None),
            row(3 * day, brand="a_b", review="a\\b", rating=2, suggested_rating=2),
        ]
    )
    reviews = {r.review: n for n, r in enumerate(store.everything())}
    page = admin.get("/admin/", params=asked)
    shown = [t.replace("&#39;", "'") for t in texts(page.text)]
    assert page.status_code == 200 and {reviews[words] for words in shown} == found
    exported = list(csv.reader(io.StringIO(admin.get("/admin/reviews.csv", params=asked).text)))
    assert {reviews[line[2]] for line in exported[1:]} == found


@pytest.mark.parametrize(
    "query",
    [
        "stars=6",
        "stars=x",
        "since=yesterday",
        "until=0001-01-01",
        "until=9999-12-31",
        "words=a%00b",
        "brand=" + "b" * 201,
        "after=x",
        "after=2025-11-24T00:00:00_" + str(uuid.UUID(int=7)),
        "after=2025-11-24T00:00:00%2B00:00_x",
        "&".join(f"stars={n}" for n in range(60)),
    ],
)
def test_what_cannot_be_looked_for_is_said_in_a_sentence(admin, query):
    for page in ("", "reviews.csv"):
        answer = admin.get(f"/admin/{page}?{query}")
        assert answer.status_code == 422 and 'role="alert"' in answer.text, answer.text


def test_deleting_asks_first_and_leads_back_to_where_one_was(admin, store):
    store.add([row(0, review="stays"), row(1, review="goes")])
    goes = store.page()[0].id
    page = admin.get("/admin/?words=goes&stars=4").text
    (link,) = re.findall(r'class="delete" href="([^"]+)"', page)
    confirm = admin.get("/admin/" + link.replace("&amp;", "&"))
    assert confirm.status_code == 200 and "Delete this review for good?" in confirm.text
    assert len(store.page()) == 2, "looking deletes nothing"
    (action,) = re.findall(r'action="(delete\?[^"]*)"', confirm.text)
    fields = {"form": form_word(confirm.text), "id": str(goes)}
    answer = admin.post("/admin/" + action.replace("&amp;", "&"), data=fields)
    assert answer.headers["location"] == "./?words=goes&stars=4&deleted=1"
    assert [r.review for r in store.page()] == ["stays"]
    assert "The review was deleted." in admin.get("/admin/?deleted=1").text
    for id in (str(goes), "nonsense", ""):
        assert admin.get(f"/admin/delete?id={id}").status_code == 404
        again = admin.post("/admin/delete", data={**fields, "id": id})
        assert again.status_code == 404 and "no review with this id" in again.text


def test_with_the_database_down_the_page_says_so():
    client = client_of(Store("postgresql://me:s3cret@127.0.0.1:1/none"))
    sign_in(client)
    for page in ("/admin/", "/admin/reviews.csv"):
        answer = client.get(page)
        assert answer.status_code == 503 and "does not answer just now" in answer.text
        assert "s3cret" not in answer.text


# -- What they count

KNOWN = [  # (brand, suggested, chosen): 3 of 8 overruled, by +1, -2 and +2
    *[("Brightleaf", 4, 4)] * 3,
    ("Brightleaf", 4, 5),
    ("Harbour", 5, 3),
    ("Harbour", 1, 3),
    ("Calm", 2, 2),
    ("Calm", 3, 3),
]


@pytest.fixture
def known(store) -> Store:
    rows = [row(n, brand=b, suggested_rating=s, rating=c) for n, (b, s, c) in enumerate(KNOWN)]
    store.add([*rows, row(99, suggested_rating=None, rating=1)])
    return store


def test_suggested_and_chosen_stars_are_compared_rightly(known):
    found = known.read(lambda connection: agreement(connection, Filters(overruled=True)))
    assert (found.scored, found.overruled, found.unscored) == (8, 3, 1)
    assert found.share == 3 / 8
    assert found.mean_step == pytest.approx(1 / 8)
    assert found.mean_distance == pytest.approx(5 / 3)
    assert found.table == {(4, 4): 3, (4, 5): 1, (5, 3): 1, (1, 3): 1, (2, 2): 1, (3, 3): 1}
    assert found.steps == {-4: 0, -3: 0, -2: 1, -1: 0, 0: 5, 1: 1, 2: 1, 3: 0, 4: 0}
    none = known.read(lambda connection: agreement(connection, Filters(brand="nobody")))
    assert (none.scored, none.share, none.mean_step, none.mean_distance) == (0, 0, 0, 0)


def test_brands_come_in_the_order_of_overruled_suggestions(known):
    found = known.read(lambda connection: agreement_by_brand(connection, Filters()))
    assert [(b.brand, b.overruled, b.scored, b.mean_step) for b in found] == [
        ("Harbour", 2, 2, 0.0),
        ("Brightleaf", 1, 4, 0.25),
    ]


def test_days_are_counted_in_utc_and_none_is_left_out(store):
    midnight = 12 * 60  # minutes after START
    store.add([row(midnight - 1, rating=1), row(midnight, rating=3), row(midnight, rating=5)])
    today = (START + timedelta(days=3)).date()

    def asked(filters=None, days=5):
        found = store.read(lambda connection: volume(connection, filters or Filters(), today, days))
        return [(day.day.day, day.bad, day.average, day.good) for day in found]

    assert asked() == [(19, 0, 0, 0), (20, 1, 0, 0), (21, 0, 1, 1), (22, 0, 0, 0), (23, 0, 0, 0)]
    engine = create_engine(store.url, connect_args={"options": "-c timezone=Asia/Tokyo"})
    with engine.connect() as connection:
        there = volume(connection, Filters(), today, 5)
    engine.dispose()
    assert [day.all for day in there] == [0, 1, 2, 0, 0], "whatever the session's time zone"
    day = datetime(2025, 11, 21).date()
    assert asked(Filters(since=day, until=day)) == [(21, 0, 1, 1)]
    assert asked(Filters(since=datetime(2027, 1, 1).date())) == []


def test_the_page_shows_the_numbers(admin, known):
    page = " ".join(admin.get("/admin/?until=2025-11-21").text.split())
    assert "<dd>37.5%</dd><dt>of 8 suggestions overruled</dt>" in page
    assert "<dd>+0.12</dd>" in page and "<dd>1.67</dd>" in page
    assert "1 without a suggestion" in page and "9 reviews that fit" in page
    assert 'aria-label="9 reviews from 23 Sep 2025 to 21 Nov 2025, 9 on the busiest day' in page
    assert page.count("<rect") == 3, "a bar of three colours on one day"


def test_an_empty_table_has_a_calm_page(admin):
    page = admin.get("/admin/")
    assert page.status_code == 200 and "Nobody has submitted a review yet." in page.text


# -- The CSV


@pytest.mark.parametrize(
    "cell", ['=HYPERLINK("http://example.com")', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
)
def test_a_formula_is_neutral_in_the_export_and_nothing_else_changes(admin, store, cell):
    plain = 'Fine, "really"\nfine; 😀 a=1 \'quoted'
    store.add([row(1, brand=cell, review=cell, model=cell), row(0, review=plain, brand="")])
    answer = admin.get("/admin/reviews.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="starwise-reviews-\d{4}-\d\d-\d\d.csv"',
        answer.headers["content-disposition"],
    )
    read = io.StringIO(answer.content.decode("utf-8-sig"), newline="")
    risky, calm = csv.DictReader(read)
    assert risky["brand"] == risky["review"] == risky["model"] == "'" + cell == neutral(cell)
    assert calm["review"] == plain and calm["rating"] == "4" and calm["good"] == "0.7"
    assert answer.content.startswith(b"\xef\xbb\xbf"), "Excel reads UTF-8 by this mark"


def test_the_export_is_whole_beyond_what_is_read_at_once(admin, store):
    store.add(row(n // 7) for n in range(2500))
    lines = list(csv.reader(io.StringIO(admin.get("/admin/reviews.csv").text)))
    ids = [line[-1] for line in lines[1:]]
    assert len(ids) == len(set(ids)) == 2500


# -- In a real service and a real browser


@pytest.mark.browser
def test_an_administrator_signs_in_filters_and_deletes_in_a_browser(postgres, store):
    from selenium.webdriver.common.by import By

    from starwise.collect.browser import browser

    store.add([row(0, brand="Harbour", review="stays"), row(1, review="goes <b>away</b>")])
    with (
        running_service(postgres.start(), STARWISE_ADMIN_TOKEN=TOKEN) as (address, process),
        browser() as driver,
    ):

        def shows(selector: str, words: str) -> bool:
            """Say whether that is all the page shows of this kind; it may still be the old page."""
            script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
            return driver.execute_script(script, selector) == [words]

        driver.get(f"{address}/admin")
        driver.find_element(By.ID, "token").send_keys(TOKEN + "\n")
        until(lambda: shows("h1", "Reviews"))
        driver.find_element(By.ID, "brand").send_keys("bright\n")
        until(lambda: shows(".review .text", "goes <b>away</b>"))
        driver.find_element(By.CLASS_NAME, "delete").click()
        until(lambda: shows("h1", "Delete this review for good?"))
        driver.find_element(By.CLASS_NAME, "danger").click()
        until(lambda: shows(".notice", "The review was deleted."))
        assert driver.find_element(By.ID, "brand").get_attribute("value") == "bright"
        assert driver.get_cookie(COOKIE)["path"] == "/admin"
        asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        until(lambda: driver.execute_script(asked))
        names = driver.execute_script(asked)
        assert names and all(name.startswith(f"{address}/admin/static/") for name in names)
        driver.find_element(By.CSS_SELECTOR, ".top button").click()
        until(lambda: shows("h1", "Sign in"))
        refused = [line for line in driver.get_log("browser") if "Security Policy" in str(line)]
        assert refused == []
        assert httpx.get(f"{address}/admin/").status_code == 401
    assert [r.review for r in store.page()] == ["stays"]
    said = "".join(process.said)
    assert "the administrator deleted the review" in said and TOKEN not in said
