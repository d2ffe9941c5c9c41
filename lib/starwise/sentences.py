"""Whatever goes wrong in the service becomes a status and one sentence, {"detail": "..."}.

answer_in_sentences(app)
"""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from starwise.service import InputError, NoModelError
from starwise.store import StoreError, UnknownReviewError, UnstorableError

# The framework's own refusals are phrases; ours are sentences.
_PHRASES = {
    "Not Found": "There is nothing at this address.",
    "Method Not Allowed": "This address does not take this method.",
}


def answer_in_sentences(app: FastAPI) -> None:
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
