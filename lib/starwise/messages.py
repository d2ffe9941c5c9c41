"""The JSON that the service takes and gives, and with it the OpenAPI description.

Text(review="Lovely people.")
Health(model=..., database=...)
"""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from starwise.service import BRAND_LIMIT, REVIEW_LIMIT


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Text(_Body):
    """A text to score."""

    review: StrictStr = Field(description=f"Up to {REVIEW_LIMIT:,} characters; not empty.")


class Review(_Body):
    """A review to score and store."""

    id: uuid.UUID = Field(description="Made by the client; the same id never stores twice.")
    brand: StrictStr = Field(description=f"Up to {BRAND_LIMIT} characters; not empty.")
    review: StrictStr = Field(description=f"Up to {REVIEW_LIMIT:,} characters; not empty.")
    rating: StrictInt = Field(ge=1, le=5, description="The stars that the visitor chose.")


class Probabilities(BaseModel):
    bad: float
    average: float
    good: float


class Score(BaseModel):
    """What the model makes of a text."""

    sentiment: float = Field(description="From 0, bad, to 1, good.")
    stars: int = Field(
        description="From 1 to 5, steps of the sentiment: 3 from 0.3 on, 4 from 0.7 on."
    )
    label: Literal["bad", "average", "good"]
    probabilities: Probabilities
    model: str


class WordEffect(BaseModel):
    """How far one word moved the score of its text."""

    start: int = Field(description="Of the word, in code points of the text.")
    end: int = Field(description="Past its last code point.")
    effect: float = Field(
        description="Above 0: towards good. Sentiment with the word less without."
    )


class StoredReview(BaseModel):
    """A row of the reviews table. What the model said is null when none could be asked."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    created_at: datetime
    brand: str
    review: str
    rating: int
    suggested_rating: int | None
    sentiment: float | None
    probabilities: Probabilities | None
    model: str | None


class Page(BaseModel):
    """Reviews, newest first; `next` is the `after` of the next page, null on the last one."""

    reviews: list[StoredReview]
    next: uuid.UUID | None


class Problem(BaseModel):
    detail: str


class ModelHealth(BaseModel):
    state: Literal["ready", "missing"]
    name: str | None
    detail: str | None


class DatabaseHealth(BaseModel):
    state: Literal["up", "down"]
    detail: str | None


class Health(BaseModel):
    model: ModelHealth
    database: DatabaseHealth
