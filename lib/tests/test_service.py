"""The service under stress, beside the article's clients, and across a change of model."""

import json
import shutil
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from doubles import WordScorer
from fastapi.testclient import TestClient
from limits import parse
from services import running_service, until
from sqlalchemy import create_engine, text

from starwise import score
from starwise.api import create_app
from starwise.limits import BodyLimit, Capacity, LimitError, rate_allowed
from starwise.paths import Outputs
from starwise.service import InputError, Service
from starwise.store import Store
from starwise.watch import watching

SLOW = pytest.mark.slow


def review(**changes) -> dict:
    return {"id": str(uuid.uuid4()), "brand": "Brightleaf", "review": "Lovely!", "rating": 5} | (
        changes
    )


# ---- The article's clients -----------------------------------------------------------------


@pytest.fixture
def client(store) -> TestClient:
    return TestClient(create_app(Service(WordScorer(), store)))


@pytest.mark.parametrize("how", ["data", "files"])
def test_the_articles_client_gets_its_number(client, how):
    body = {"review": "lovely and kind"}
    sent = {"data": body} if how == "data" else {"files": {"review": (None, body["review"])}}
    answer = client.post("/api/predict", **sent)
    assert answer.status_code == 200
    assert answer.json() == client.post("/api/predict", json=body).json()["sentiment"]


def test_the_articles_client_stores_a_review_without_what_it_tells_of_the_visitor(client, store):
    form = {
        "review": "lovely",
        "rating": "4",
        "suggested_rating": "1",
        "sentiment_score": "0.01",
        "brand": "Brightleaf",
        "user_agent": "SecretBrowser/1.0",
        "ip_address": "203.0.113.9",
    }
    answer = client.post("/api/review", data=form)
    assert answer.status_code == 200
    (row,) = store.page()
    # Scored here, whatever the sender says.
    assert (row.review, row.rating, row.suggested_rating) == ("lovely", 4, 4)
    assert answer.json()["sentiment_score"] == row.sentiment > 0.5
    assert set(answer.json()) == {
        *("id", "created_date", "brand", "review", "rating", "suggested_rating"),
        "sentiment_score",
    }
    with store._engine.connect() as connection:
        everything = str(connection.execute(text("SELECT * FROM reviews")).all())
    assert "SecretBrowser" not in everything and "203.0.113" not in everything


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("predict", {"text": "x"}, "no field named review"),
        ("predict", {"review": ""}, "empty"),
        ("review", {"review": "x", "brand": "y"}, "rating"),
        ("review", {"review": "x", "brand": "y", "rating": "9"}, "rating"),
        ("review", {"review": "x", "brand": "y", "rating": "five"}, "rating"),
    ],
)
def test_a_form_that_lacks_something_is_refused_in_a_sentence(client, store, path, form, said):
    answer = client.post(f"/api/{path}", data=form)
    assert answer.status_code == 422
    assert said in answer.json()["detail"] and answer.json()["detail"].endswith(".")
    assert store.page() == []


# ---- Limits --------------------------------------------------------------------------------


def test_a_client_that_asks_too_often_is_told_when_to_come_again(store):
    app = create_app(Service(WordScorer(), store), rate=parse("5/minute"))
    stranger = TestClient(app, client=("203.0.113.9", 1))
    answers = [stranger.post("/api/predict", json={"review": "x"}) for _ in range(7)]
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["detail"].startswith("You ask too often: try again in ")
    # Neither another client nor this machine, where the dashboard asks for many, has to wait.
    for host in ("203.0.113.10", "127.0.0.1", "2001:db8::1"):
        other = TestClient(app, client=(host, 1))
        assert other.post("/api/predict", json={"review": "x"}).status_code == 200
    # One customer's many addresses of version 6 are one client.
    for last in range(4):
        answer = TestClient(app, client=(f"2001:db8::{last + 2}", 1)).get("/health")
    assert answer.status_code == 200
    assert TestClient(app, client=("2001:db8::99", 1)).get("/health").status_code == 429


def test_a_rate_that_is_none_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setenv("STARWISE_RATE_LIMIT", "often")
    with pytest.raises(LimitError, match=r"STARWISE_RATE_LIMIT is 'often': give a rate such as"):
        rate_allowed()
    monkeypatch.setenv("STARWISE_RATE_LIMIT", "off")
    assert rate_allowed() is None


def test_what_exceeds_the_capacity_is_turned_away_in_time_and_the_rest_served(store):
    class SlowScorer(WordScorer):
        def score(self, words):
            time.sleep(1.0)
            return super().score(words)

    app = create_app(Service(SlowScorer(), store))
    app.user_middleware = [
        each if each.cls is not Capacity else type(each)(Capacity, requests=10)
        for each in app.user_middleware
    ]
    client = TestClient(app)

    def ask(_) -> tuple[int, float, str]:
        began = time.monotonic()
        answer = client.post("/api/predict", json={"review": "x"})
        return answer.status_code, time.monotonic() - began, answer.headers.get("Retry-After")

    with client, ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    served = [a for a in answers if a[0] == 200]
    turned = [a for a in answers if a[0] == 503]
    assert len(served) + len(turned) == 40 and len(served) >= 10 and len(turned) >= 10
    assert all(again == "1" for _, _, again in turned)


def test_a_body_that_never_ends_does_not_keep_its_place(monkeypatch):
    import asyncio

    import starwise.limits as limits_module

    monkeypatch.setattr(limits_module, "_SLOWEST_BODY", 0.2)
    answered = []

    async def app(scope, receive, send):
        raise AssertionError("the application must not be asked")

    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message):
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(BodyLimit(app, 1000)(scope, receive, send))
    assert answered[0]["status"] == 408


# ---- Another model -------------------------------------------------------------------------


def test_the_promoted_model_serves_without_a_restart_and_a_damaged_one_does_not(store):
    outputs = Outputs.default()

    def promote(name: str, flip: bool = False) -> None:
        shutil.copytree(score.BUNDLED, outputs.models / name)
        card = json.loads((outputs.models / name / "model.json").read_text()) | {"name": name}
        (outputs.models / name / "model.json").write_text(json.dumps(card))
        if flip:
            weights = outputs.models / name / "model.safetensors"
            damaged = bytearray(weights.read_bytes())
            damaged[len(damaged) // 2] ^= 1
            weights.write_bytes(damaged)
        outputs.serving.write_text(json.dumps({"model": name}))

    service = Service(score.Scorer.load(score.BUNDLED), store)
    with TestClient(create_app(service)) as client, watching(service, outputs, seconds=0.05):
        health = lambda: client.get("/health").json()["model"]  # noqa: E731
        assert health() == {"state": "ready", "name": "bundled", "detail": None}
        promote("compact-7")
        until(lambda: health()["name"] == "compact-7")
        assert client.post("/api/predict", json={"review": "x"}).json()["model"] == "compact-7"
        promote("torn", flip=True)
        stays = until(lambda: health()["detail"])
        assert "damaged" in stays and health()["name"] == "compact-7"
        assert client.post("/api/predict", json={"review": "x"}).json()["model"] == "compact-7"


def test_a_brief_text_is_scored_where_it_arrives_as_elsewhere_and_a_long_one_is_not():
    service = Service(score.Scorer.load(score.BUNDLED), None)
    assert service.predict_if_brief("Lovely people.") == service.predict("Lovely people.")
    assert service.predict_if_brief("Lovely people. " * 50) is None
    with pytest.raises(InputError, match="is empty"):
        service.predict_if_brief(" ")
    assert Service(WordScorer(), None).predict_if_brief("Lovely people.") is None, "who knows"


# ---- A real process ------------------------------------------------------------------------


class CutAfterCommit:
    """A way to the service that is cut when its answer begins, which is after the commit."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            far.recv(1)  # the answer has begun: the row is committed
            for end in (near, far):
                end.shutdown(socket.SHUT_RDWR)  # the other thread still listens: close() would wait
                end.close()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(65536):
                far.sendall(data)
        except OSError:
            pass


@pytest.fixture(scope="module")
def served(debian_server):
    """A service on a Postgres reached over TCP with a password; its address, and the database's."""
    debian_server.start()
    database = debian_server.new_database()
    with running_service(database) as (url, process):
        yield url, database, process


def rows_of(database: str, columns: str = "id, brand, review") -> list:
    engine = create_engine(Store(database).url)
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM reviews")).all()
    engine.dispose()
    return found


@SLOW
def test_a_hundred_submits_of_twenty_sessions_are_a_hundred_rows_each_with_its_own_words(served):
    url, database, _ = served
    brand = f"load {uuid.uuid4()}"

    def session(number: int) -> None:
        with httpx.Client(timeout=60) as client:
            for turn in range(5):
                body = review(brand=brand, review=f"visitor {number} says {turn}")
                assert client.post(f"{url}/api/reviews", json=body).status_code == 201

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(session, range(20)))
    found = sorted(words for _, of, words in rows_of(database) if of == brand)
    assert found == sorted(f"visitor {n} says {t}" for n in range(20) for t in range(5))


@SLOW
def test_an_answer_that_is_lost_after_the_commit_does_not_store_twice(served):
    url, database, _ = served
    host, port = url.removeprefix("http://").split(":")
    body = review(brand="cut")
    cut = CutAfterCommit(host, int(port))
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"http://127.0.0.1:{cut.port}/api/reviews", json=body, timeout=30)
    cut.listening.close()
    assert httpx.post(f"{url}/api/reviews", json=body, timeout=30).status_code == 200
    assert [str(id) for id, brand, _ in rows_of(database) if brand == "cut"] == [body["id"]]


@SLOW
def test_fifty_visitors_share_ten_connections_and_memory_does_not_grow(served):
    url, database, process = served

    def visit(_: int) -> None:
        with httpx.Client(timeout=60) as client:
            for _ in range(4):
                answer = client.post(f"{url}/api/reviews", json=review(brand="crowd"))
                assert answer.status_code in (201, 503)

    def crowd() -> int:
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(visit, range(50)))
        return psutil.Process(process.pid).memory_info().rss

    crowd()
    before = crowd()
    assert crowd() < before + 30e6  # bytes; 200 further reviews
    name = Store(database).url.database
    engine = create_engine(Store(database).url)
    with engine.connect() as connection:
        count = connection.execute(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        ).scalar_one()
    engine.dispose()
    assert count - 1 <= 10  # one of them is ours


@SLOW
def test_a_wrong_password_is_in_no_answer_and_in_no_log(debian_postgres):
    database = Store(debian_postgres.new_database()).url.set(password="hunter2-is-wrong")
    address = database.render_as_string(hide_password=False)
    with running_service(address) as (url, process):
        health = httpx.get(f"{url}/health", timeout=30)
        answer = httpx.post(f"{url}/api/reviews", json=review(), timeout=30)
        assert health.json()["database"]["state"] == "down"
        assert answer.status_code == 503
        assert "password of DATABASE_URL" in answer.json()["detail"]
    said = health.text + answer.text + "".join(process.said)
    assert "hunter2" not in said


@SLOW
def test_what_is_drawn_from_the_openapi_description_never_breaks_the_service(store):
    schemathesis = pytest.importorskip("schemathesis")
    import hypothesis

    app = create_app(Service(score.Scorer.load(score.BUNDLED), store), admin_token="t")
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    tested = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=40, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        def attempt(case) -> None:
            answer = case.call(headers={"Authorization": "Bearer t"})
            assert answer.status_code < 500, (case.method, case.path, answer.status_code)

        attempt()
        tested += 1
    assert tested == sum(map(len, app.openapi()["paths"].values()))
