"""The routes of the article's own service, for clients that were written for it.

Its client sends form fields and reads a number, or a row under the article's names. What we promise
otherwise comes first: a review is scored by the service and not by its sender, and the visitor's
address and browser, which the article's client sends along, are not stored.
"""

import json
import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from starwise.messages import Problem, Text
from starwise.service import Service

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class ArticleReview(BaseModel):
    """The form of the article's `POST /api/review`; what else it holds is ignored."""

    model_config = ConfigDict(extra="ignore")

    review: str
    rating: int = Field(ge=1, le=5)
    brand: str
    id: uuid.UUID = Field(
        default_factory=uuid.uuid4,
        description="Not the article's: with one, sending again does not store twice.",
    )


class ArticleRow(BaseModel):
    """A stored review under the article's names."""

    id: uuid.UUID
    created_date: str
    brand: str
    review: str
    rating: int
    suggested_rating: int | None
    sentiment_score: float | None


async def text_or_form(request: Request) -> tuple[Text, bool]:
    """Return the text of a body and whether it came as a form, as the article's client sends it."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in FORMS:
        return await _form(request, Text), True
    # As FastAPI reads a body: anything that is not said to be JSON is taken for bytes.
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestValidationError([{"type": "bytes", "loc": ("body",), "msg": ""}])
    try:
        return Text.model_validate(json.loads(await request.body())), False
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise _invalid(error) from None
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body", 0), "msg": ""}]
        ) from None


async def article_review(request: Request) -> ArticleReview:
    """Return the form of the article's client."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in FORMS:
        raise HTTPException(
            415, "Send form fields here, as the article's client does, or JSON to /api/reviews."
        )
    return await _form(request, ArticleReview)


async def _form(request: Request, kind: type[BaseModel]) -> Any:
    fields: dict[str, str] = {}
    async with request.form(max_files=0, max_fields=20) as form:
        for name, value in form.multi_items():
            if name in fields:
                raise HTTPException(422, "The form has a field twice.")
            fields[name] = value if isinstance(value, str) else ""
    if "review" not in fields:
        raise HTTPException(
            422, "The form has no field named review (JSON needs Content-Type: application/json)."
        )
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> RequestValidationError:
    return RequestValidationError(
        [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
    )


def form_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that is a form."""
    schema = kind.model_json_schema()
    return {form: {"schema": schema} for form in FORMS}


def routes(service: Service) -> APIRouter:
    """Return the article's route that has no counterpart among ours."""
    router = APIRouter(tags=["as in the article"])

    @router.post(
        "/api/review",
        openapi_extra={
            "requestBody": {"required": True, "content": form_of(ArticleReview)},
        },
        responses={415: {"model": Problem}},
    )
    async def review(request: Request) -> ArticleRow:
        """Store a review that comes as form fields: review, rating, brand.

        `suggested_rating` and `sentiment_score` are computed here; `user_agent` and `ip_address`
        are ignored and stored nowhere. Clients of today use `POST /api/reviews`.
        """
        given = await article_review(request)
        row, _ = await run_in_threadpool(
            service.save, given.id, given.brand, given.review, given.rating
        )
        return ArticleRow(
            id=row.id,
            created_date=row.created_at.isoformat(),
            brand=row.brand,
            review=row.review,
            rating=row.rating,
            suggested_rating=row.suggested_rating,
            sentiment_score=row.sentiment,
        )

    return router
