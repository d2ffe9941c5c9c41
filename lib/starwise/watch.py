"""Which model serves, and another one in its place as soon as notebook 04 promotes it.

    with watching(service, Outputs.default()):
        ...                                     # service.scorer is exchanged when the verdict is

Requests under way end with the model they began with. A promoted model that cannot be loaded leaves
the former one in its place, and `service.why_not_promoted` says why.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starwise.paths import Outputs
from starwise.service import Service, load_scorer

log = logging.getLogger(__name__)

SECONDS = 2.0  # between two looks


@contextmanager
def watching(service: Service, outputs: Outputs, seconds: float = SECONDS) -> Iterator[None]:
    """Keep `service` on the promoted model for as long as the context."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(service, outputs, seconds, stop), name="watch model", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def _watch(service: Service, outputs: Outputs, seconds: float, stop: threading.Event) -> None:
    known = _mark(outputs)
    while not stop.wait(seconds):
        found = _mark(outputs)
        if found != known:
            known = found
            exchange(service, outputs)


def exchange(service: Service, outputs: Outputs) -> None:
    """Load the promoted model into `service`, or say there why the former one stays."""
    scorer, why_not = load_scorer(outputs)
    if scorer is not None:
        service.scorer, service.why_no_model, service.why_not_promoted = scorer, "", ""
        log.info("the model %s serves now", scorer.name)
    elif service.scorer is not None:
        service.why_not_promoted = why_not
        log.warning("the model %s goes on serving: %s", service.scorer.name, why_not)
    else:
        service.why_no_model = why_not


def _mark(outputs: Outputs) -> tuple:
    """Return what changes when another model is promoted, or the one that serves is replaced."""
    files = [outputs.serving, *sorted(outputs.models.glob("*/model.json"))]
    return tuple(_stat(path) for path in files)


def _stat(path) -> tuple:
    try:
        found = path.stat()
    except OSError:
        return (path.name,)
    return (path.parent.name, found.st_mtime_ns, found.st_size, found.st_ino)
