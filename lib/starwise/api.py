"""The REST service: scores texts, stores reviews, lists and deletes them for the administrator.

python -m starwise api --port 8000
curl -d '{"review": "Lovely people."}' -H 'Content-Type: application/json' \
     http://127.0.0.1:8000/api/predict

Every answer is JSON; whatever goes wrong is one sentence in {"detail": "..."}.
"""

import argparse
import logging
import os
import secrets
import uuid
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from starwise import __version__
from starwise.messages import (
    DatabaseHealth,
    Health,
    ModelHealth,
    Page,
    Problem,
    Review,
    Score,
    StoredReview,
    Text,
    WordEffect,
)
from starwise.paths import Outputs
from starwise.service import InputError, NoModelError, Service, load_scorer
from starwise.serving import (
    BodyLimit,
    RequestLog,
    exit_on_sigterm,
    listening_socket,
    stop_with_parent,
)
from starwise.store import Store, StoreError, UnknownReviewError, UnstorableError

# Room for the longest review, whose characters JSON may write as two escapes of six bytes.
BODY_LIMIT = 128 * 1024  # bytes

# The framework's own refusals are phrases; ours are sentences.
_PHRASES = {
    "Not Found": "There is nothing at this address.",
    "Method Not Allowed": "This address does not take this method.",
}


def create_app(service: Service, admin_token: str = "") -> FastAPI:
    """Return the application over `service`.

    `admin_token` opens the administrator's routes to who sends it; empty, they stay closed.
    """
    problems = {code: {"model": Problem} for code in (413, 422, 503)}
    # FastAPI's own page of documentation loads its scripts from elsewhere, so it is not served.
    app = FastAPI(
        title="Starwise",
        version=__version__,
        description="Scores reviews letter by letter and keeps them.",
        docs_url=None,
        redoc_url=None,
        responses=problems,
    )
    app.add_middleware(BodyLimit, limit=BODY_LIMIT)
    app.add_middleware(RequestLog)
    _answer_in_sentences(app)

    bearer = HTTPBearer(auto_error=False, description="The token of STARWISE_ADMIN_TOKEN.")

    def administrator(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]):
        # Compared as bytes, in constant time; the answer is the same whatever was wrong.
        token = given.credentials.encode() if given else b""
        if not (admin_token and secrets.compare_digest(token, admin_token.encode())):
            raise HTTPException(
                401,
                "This is for the administrator: send the administrator's token.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    for_administrator = {
        "dependencies": [Depends(administrator)],
        "responses": {401: {"model": Problem}},
    }

    @app.get("/health")
    def health() -> Health:
        """Say whether the model and the database are there."""
        try:
            service.store.check()
            database = DatabaseHealth(state="up", detail=None)
        except StoreError as error:
            database = DatabaseHealth(state="down", detail=str(error))
        if service.scorer is None:
            model = ModelHealth(state="missing", name=None, detail=service.why_no_model)
        else:
            model = ModelHealth(state="ready", name=service.scorer.name, detail=None)
        return Health(model=model, database=database)

    @app.post("/api/predict")
    def predict(text: Text) -> Score:
        """Score a text; nothing is stored."""
        return Score(**service.predict(text.review))

    @app.post("/api/explain")
    def explain(text: Text) -> list[WordEffect]:
        """Say which words moved the score of a text, and how far; nothing is stored."""
        return [WordEffect(**effect) for effect in service.explain(text.review)]

    @app.post("/api/reviews", status_code=201, responses={200: {"model": StoredReview}})
    def save(review: Review, response: Response) -> StoredReview:
        """Score a review and store it: 201, or 200 and the stored row when its id comes again."""
        row, new = service.save(review.id, review.brand, review.review, review.rating)
        response.status_code = 201 if new else 200
        return StoredReview.model_validate(row)

    @app.get("/api/reviews", **for_administrator)
    def page(
        limit: Annotated[int, Query(ge=1, le=200)] = 50, after: uuid.UUID | None = None
    ) -> Page:
        """List reviews, newest first, a page at a time."""
        rows = service.store.page(limit + 1, after)
        shown = [StoredReview.model_validate(row) for row in rows[:limit]]
        return Page(reviews=shown, next=shown[-1].id if len(rows) > limit else None)

    @app.delete("/api/reviews/{id}", status_code=204, **for_administrator)
    def delete(id: uuid.UUID) -> None:
        """Delete one review for good."""
        if not service.store.delete(id):
            raise HTTPException(404, "There is no review with this id.")

    return app


def _answer_in_sentences(app: FastAPI) -> None:
    """Turn every kind of error into its status and one sentence."""
    statuses = {
        InputError: 422,
        UnstorableError: 422,
        UnknownReviewError: 422,
        StoreError: 503,
        NoModelError: 503,
    }

    def problem(status: int, detail: str, headers: dict | None = None) -> JSONResponse:
        return JSONResponse({"detail": detail}, status, headers)

    for kind, status in statuses.items():

        @app.exception_handler(kind)
        async def sentence(_: Request, error: Exception, status: int = status) -> JSONResponse:
            return problem(status, str(error))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        detail = _PHRASES.get(str(error.detail), str(error.detail))
        return problem(error.status_code, detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be a review, or nothing that can be encoded.
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem(422, "The body is not JSON.")
        if len(first["loc"]) == 1:
            return problem(422, "The body is not a JSON object (Content-Type: application/json).")
        place = ".".join(str(part) for part in first["loc"][1:] if isinstance(part, str))
        if first["type"] == "extra_forbidden":
            return problem(422, "The body has a field that is not known here.")
        return problem(422, f"{place}: {first['msg']}.")

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return problem(500, "Something went wrong here, and it is not your doing.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="TCP port; 0 chooses a free one")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to other machines")
    # For the launcher of the dashboard: end when standard input closes.
    parser.add_argument("--stop-with-parent", action="store_true", help=argparse.SUPPRESS)


def main(args: argparse.Namespace) -> int:
    import torch
    import uvicorn

    from starwise.postgres import database

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("starwise").setLevel(logging.INFO)
    exit_on_sigterm()
    if args.stop_with_parent:
        stop_with_parent()
    # One text at a time: several threads of torch would only wait for one another.
    torch.set_num_threads(1)
    with listening_socket(args.host, args.port) as bound, database() as address:
        scorer, why_no_model = load_scorer(Outputs.default())
        service = Service(scorer, Store(address), why_no_model)
        app = create_app(service, os.environ.get("STARWISE_ADMIN_TOKEN", ""))
        print(f"The service answers at http://{args.host}:{bound.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            timeout_keep_alive=75,  # seconds: a visitor's pauses while typing
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[bound])
    return 0
