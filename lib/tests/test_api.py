"""The REST service: what it answers, what it refuses and how, and what it keeps to itself."""

import json
import logging
import re
import socket
import uuid

import pytest
from doubles import WordScorer
from fastapi.testclient import TestClient

from starwise.api import create_app
from starwise.cli import main
from starwise.service import REVIEW_LIMIT, Service, load_scorer
from starwise.store import Store

TOKEN = "a token of the administrator"


def client_of(service: Service, token: str = TOKEN) -> TestClient:
    return TestClient(create_app(service, token), raise_server_exceptions=False)


@pytest.fixture
def client(store) -> TestClient:
    return client_of(Service(WordScorer(), store))


@pytest.fixture
def admin(client) -> TestClient:
    return TestClient(client.app, headers={"Authorization": f"Bearer {TOKEN}"})


def review(**changes) -> dict:
    given = {"id": str(uuid.uuid4()), "brand": "Brightleaf", "review": "Lovely!", "rating": 5}
    return given | changes


def is_sentence(answer) -> bool:
    body = answer.json()
    return set(body) == {"detail"} and body["detail"].endswith(".") and "\n" not in body["detail"]


def test_a_text_is_scored(client):
    answer = client.post("/api/predict", json={"review": "lovely and kind"})
    score = answer.json()
    assert answer.status_code == 200
    assert set(score) == {"sentiment", "stars", "label", "probabilities", "model"}
    assert score["label"] == "good" and score["stars"] == 5 and 0.5 < score["sentiment"] <= 1
    assert sum(score["probabilities"].values()) == pytest.approx(1)


def test_the_words_that_moved_a_score_are_told_by_their_place_in_code_points(own_outputs):
    scorer, _ = load_scorer(own_outputs)
    client = client_of(Service(scorer, None))
    review = "😀 Lovely people."
    answer = client.post("/api/explain", json={"review": review})
    words = {review[span["start"] : span["end"]]: span["effect"] for span in answer.json()}
    assert answer.status_code == 200 and words["Lovely"] > 0
    for refused, status in ((client, 422), (client_of(Service(None, None)), 503)):
        text = "" if refused is client else review
        answer = refused.post("/api/explain", json={"review": text})
        assert answer.status_code == status and is_sentence(answer)


def test_a_review_is_scored_and_stored_and_the_same_id_stores_once(client, store):
    given = review()
    first, again = (client.post("/api/reviews", json=given) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    (row,) = store.page()
    assert (str(row.id), row.review, row.rating) == (given["id"], "Lovely!", 5)
    assert row.suggested_rating == 4 and row.model == "words"


@pytest.mark.parametrize("words", ["", "   \n", "\u200b\ufeff"])
def test_an_empty_text_is_neither_scored_nor_stored(client, store, words):
    for path, body in (("predict", {"review": words}), ("reviews", review(review=words))):
        answer = client.post(f"/api/{path}", json=body)
        assert answer.status_code == 422 and "empty" in answer.json()["detail"]
    assert store.page() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"review": 3, "id": 1}',
        json.dumps(review(rating=6)).encode(),
        json.dumps(review(rating="5")).encode(),
        json.dumps(review(rating=True)).encode(),
        json.dumps(review(rating=4.5)).encode(),
        json.dumps(review(id="not a uuid")).encode(),
        json.dumps(review(id=str(uuid.UUID(int=7)), brand="")).encode(),
        json.dumps(review(brand="b" * 201)).encode(),
        json.dumps(review(review="x" * (REVIEW_LIMIT + 1))).encode(),
        json.dumps(review(review="a\x00b")).encode(),
        json.dumps(review(review="half \ud83d")).encode(),
        json.dumps(review(colour="red")).encode(),
    ],
)
def test_bad_input_is_refused_in_a_sentence_and_not_stored(client, store, body):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/api/reviews", content=body, headers=headers)
    assert answer.status_code == 422 and is_sentence(answer), answer.text
    assert store.page() == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_ten_megabytes_is_refused_in_a_sentence(client, chunked):
    megabyte = b"x" * 1_000_000
    content = (megabyte for _ in range(10)) if chunked else 10 * megabyte
    answer = client.post("/api/predict", content=content)
    assert answer.status_code == 413 and is_sentence(answer)


def test_the_longest_review_fits_however_it_is_written(client):
    longest = review(review="😀" * REVIEW_LIMIT)
    assert len(json.dumps(longest)) > 100_000, "two escapes of six bytes for each"
    assert client.post("/api/reviews", json=longest).status_code == 201
    escaped = json.dumps(review(review="😀" * REVIEW_LIMIT)).encode()
    headers = {"Content-Type": "application/json"}
    assert client.post("/api/reviews", content=escaped, headers=headers).status_code == 201


def test_the_administrator_reads_page_by_page_and_deletes(client, admin):
    for number in range(5):
        client.post("/api/reviews", json=review(review=f"good {number}"))
    seen, after = [], None
    while True:
        page = admin.get("/api/reviews", params={"limit": 2, **({"after": after} if after else {})})
        assert page.status_code == 200
        seen += page.json()["reviews"]
        after = page.json()["next"]
        if after is None:
            break
    assert [row["review"] for row in seen] == [f"good {number}" for number in (4, 3, 2, 1, 0)]
    path = f"/api/reviews/{seen[0]['id']}"
    assert [admin.delete(path).status_code for _ in range(2)] == [204, 404]
    assert len(admin.get("/api/reviews").json()["reviews"]) == 4
    for bad in ("limit=0", "limit=201", "limit=x", "after=x", f"after={uuid.uuid4()}"):
        answer = admin.get(f"/api/reviews?{bad}")
        assert answer.status_code == 422 and is_sentence(answer)


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ☃"]
)
def test_without_the_token_the_administrators_routes_say_nothing(client, store, given):
    client.post("/api/reviews", json=review())
    (row,) = store.page()
    headers = {"Authorization": given.encode()} if given else {}
    answers = [
        client.get("/api/reviews", headers=headers),
        client.get("/api/reviews?limit=nonsense", headers=headers),
        client.delete(f"/api/reviews/{row.id}", headers=headers),
        client.delete(f"/api/reviews/{uuid.uuid4()}", headers=headers),
        client.delete("/api/reviews/nonsense", headers=headers),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert len(store.page()) == 1


def test_with_no_token_set_nobody_is_the_administrator(store):
    closed = client_of(Service(WordScorer(), store), token="")
    for given in ("", "Bearer", "Bearer ", "Bearer x"):
        answer = closed.get("/api/reviews", headers={"Authorization": given})
        assert answer.status_code == 401


def test_without_a_model_reviews_are_saved_unscored_and_health_says_so(store):
    client = client_of(Service(None, store, "Texts cannot be scored now: no file."))
    assert client.post("/api/predict", json={"review": "Lovely!"}).status_code == 503
    assert client.post("/api/reviews", json=review()).status_code == 201
    (row,) = store.page()
    unscored = (row.sentiment, row.suggested_rating, row.probabilities, row.model)
    assert unscored == (None, None, None, None)
    health = client.get("/health").json()
    assert health["model"]["state"] == "missing" and "no file" in health["model"]["detail"]
    assert health["database"]["state"] == "up"


def test_with_the_database_down_texts_are_scored_and_saving_says_so():
    client = client_of(Service(WordScorer(), Store("postgresql://me:s3cret@127.0.0.1:1/none")))
    assert client.post("/api/predict", json={"review": "Lovely!"}).status_code == 200
    answer = client.post("/api/reviews", json=review())
    assert answer.status_code == 503 and is_sentence(answer)
    health = client.get("/health")
    assert health.json()["database"]["state"] == "down"
    assert health.json()["model"] == {"state": "ready", "name": "words", "detail": None}
    assert "s3cret" not in answer.text + health.text


def test_a_mistake_of_ours_is_told_without_its_traceback(store):
    class Broken(WordScorer):
        def score(self, text):
            raise RuntimeError("secret of the house")

    answer = client_of(Service(Broken(), store)).post("/api/predict", json={"review": "x"})
    assert answer.status_code == 500 and is_sentence(answer)
    assert "secret" not in answer.text


def test_the_service_describes_itself_and_needs_no_other_site(client):
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/health",
        "/api/predict",
        "/api/review",
        "/api/explain",
        "/api/reviews",
        "/api/reviews/{id}",
    }
    for page in ("/redoc", "/nothing"):
        answer = client.get(page)
        assert answer.status_code == 404 and is_sentence(answer)
    docs = client.get("/docs").text
    wanted = re.findall(r"""(?:src|href)=["']([^"']+)|url: ["']([^"']+)""", docs)
    addresses = [one or other for one, other in wanted]
    assert len(addresses) >= 3 and "http" not in "".join(addresses)
    for address in addresses:
        assert client.get(address).status_code == 200, address


def test_the_log_has_a_line_a_request_and_no_texts(client, caplog):
    with caplog.at_level(logging.INFO, "starwise.requests"):
        client.post("/api/predict", json={"review": "my private thoughts"})
        client.get("/forged%0aline?text=private")
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("POST /api/predict 200 ")
    assert caplog.messages[1].startswith("GET /forged\\nline 404 ")
    assert "private" not in caplog.text


def test_a_port_in_use_is_one_clear_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["api", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"starwise api: port {port} is in use on 127.0.0.1: "
        "stop the other program, or choose another port.\n"
    )
