"""The REST service: scores texts, stores reviews, lists and deletes them for the administrator.

python -m starwise api --port 8000
curl -d '{"review": "Lovely people."}' -H 'Content-Type: application/json' \
     http://127.0.0.1:8000/api/predict

Every answer is JSON; whatever goes wrong is one sentence in {"detail": "..."}.
"""

import argparse
import asyncio
import logging
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from limits import RateLimitItem
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from starwise import __version__
from starwise.admin import make_admin
from starwise.article_api import form_of, routes, text_or_form
from starwise.limits import REQUESTS, BodyLimit, Capacity, RateLimit, rate_allowed
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
from starwise.sentences import answer_in_sentences
from starwise.service import Service, load_scorer
from starwise.serving import (
    RequestLog,
    exit_on_sigterm,
    give_back_code,
    keep_memory_small,
    listening_socket,
    stop_with_parent,
)
from starwise.store import Store, StoreError, connections_allowed
from starwise.watch import watching

# Room for the longest review, whose characters JSON may write as two escapes of six bytes.
BODY_LIMIT = 128 * 1024  # bytes
SAVERS = 8  # threads that wait for the database, one for each of its connections


@asynccontextmanager
async def _few_threads(_: FastAPI) -> AsyncIterator[None]:
    # More would not be quicker, and each costs memory.
    to_thread.current_default_thread_limiter().total_tokens = SAVERS
    yield


def create_app(
    service: Service, admin_token: str = "", rate: RateLimitItem | None = None
) -> FastAPI:
    """Return the application over `service`.

    `admin_token` opens the administrator's routes to who sends it; empty, they stay closed. `rate`
    is what one client may ask; None: as much as it likes.
    """
    problems = {code: {"model": Problem} for code in (408, 413, 422, 429, 503)}
    # FastAPI's own page of documentation loads its scripts from elsewhere; this one brings them.
    app = FastAPIOffline(
        redoc_url=None,
        lifespan=_few_threads,
        title="Starwise",
        version=__version__,
        description="Scores reviews letter by letter and keeps them.",
        responses=problems,
    )
    app.add_middleware(BodyLimit, limit=BODY_LIMIT)
    app.add_middleware(Capacity, requests=REQUESTS)
    if rate is not None:
        app.add_middleware(RateLimit, rate=rate)
    app.add_middleware(RequestLog)
    answer_in_sentences(app)

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
            stays = service.why_not_promoted or None
            model = ModelHealth(state="ready", name=service.scorer.name, detail=stays)
        return Health(model=model, database=database)

    @app.post(
        "/api/predict",
        response_model=Score | float,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": Text.model_json_schema()},
                    **form_of(Text),
                },
            }
        },
    )
    async def predict(request: Request) -> Score | float:
        """Score a text; nothing is stored.

        A form, as the article's client sends it, is answered with the sentiment alone.
        """
        text, is_form = await text_or_form(request)
        score = service.predict_if_brief(text.review)
        if score is None:
            # In threads of its own: texts are scored also while savers wait for a database.
            score = await asyncio.wrap_future(service.predicting(text.review))
        return score["sentiment"] if is_form else Score(**score)

    @app.post("/api/explain")
    async def explain(text: Text) -> list[WordEffect]:
        """Say which words moved the score of a text, and how far; nothing is stored."""
        effects = await asyncio.wrap_future(service.explaining(text.review))
        return [WordEffect(**effect) for effect in effects]

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

    app.include_router(routes(service))

    @app.get("/admin", include_in_schema=False)
    def admin() -> RedirectResponse:
        return RedirectResponse("admin/")  # relative: a proxy may put us below any path

    app.mount("/admin", make_admin(service.store, admin_token))
    return app


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="TCP port; 0 chooses a free one")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to other machines")
    # For the launcher of the dashboard: end when standard input closes.
    parser.add_argument("--stop-with-parent", action="store_true", help=argparse.SUPPRESS)


def main(args: argparse.Namespace) -> int:
    # Texts have a thousand lengths, and torch's convolutions keep a program for each.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
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
    keep_memory_small()
    rate, outputs = rate_allowed(), Outputs.default()
    with ExitStack() as stack:
        bound = stack.enter_context(listening_socket(args.host, args.port))
        address = stack.enter_context(database())
        scorer, why_no_model = load_scorer(outputs)
        service = Service(scorer, Store(address, connections_allowed()), why_no_model)
        app = create_app(service, os.environ.get("STARWISE_ADMIN_TOKEN", ""), rate)
        give_back_code()
        stack.enter_context(watching(service, outputs))
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
