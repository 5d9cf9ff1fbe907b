"""Structured logs: one JSON object a line on standard error (or coloured text), with the request id of whatever is under way."""

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from structlog.typing import Processor

from app.errors import NoteFailure
from app.metrics import Metrics

# Without the values of local variables: they may be a customer's.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure_logs(*, level: str, style: str) -> None:
    """Sets up structlog and the standard library's logging (uvicorn, SQLAlchemy, asyncio) to speak with one voice."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Processor] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if style == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for chatty in ("sqlalchemy", "alembic", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


class Seldom:
    """Lets one in so many seconds be told, and counts the others: what is refused a thousand times a second is not worth a line each time."""

    def __init__(self, every_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._told_s = -math.inf
        self._untold = 0

    def untold(self) -> int | None:
        """None when it is not to be told now; else how many were not told since the last one."""
        now_s = self._clock()
        if now_s - self._told_s < self._every_s:
            self._untold += 1
            return None
        self._told_s = now_s
        untold, self._untold = self._untold, 0
        return untold


def failure_notes(metrics: Metrics) -> NoteFailure:
    """What background tasks call before they go on: counts every failure, and logs a task's failure when it is not the same as the last one."""
    log = structlog.get_logger("app.background")
    last: dict[str, str] = {}

    def note(task: str, error: BaseException) -> None:
        metrics.background_failures.at(task).n += 1
        said = f"{type(error).__name__}: {error}"
        fields: dict[str, Any] = {"task": task, "error": said}
        if last.get(task) == said:
            log.debug("background task failed again", **fields)
        else:
            last[task] = said
            log.warning("background task failed", **fields)

    return note
