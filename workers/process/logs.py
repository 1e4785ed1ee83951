"""Logging of a process: readable on a terminal, JSON where a collector reads it. In JSON every line is: those of libraries, of
Temporal's core, warnings, and tracebacks of what ends the process."""

import logging
import sys
import threading
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from structlog.types import Processor
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from schema.settings import Settings, settings_of_logs, unusable

log = structlog.get_logger("process")


def settings() -> Settings:
    """Sets up logging first, then reads the settings, so that the log says what is wrong with them. Exits with 2
    then."""
    configure(*settings_of_logs())
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        for setting, cause in unusable(error):
            log.error("a setting can not be used", setting=setting, cause=cause)
        raise SystemExit(2) from None


def configure(log_format: str, level: str = "info") -> None:
    """`level` is for our own lines. Libraries log from warnings on."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = _rendered(log_format)
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # One write a line: `print` makes two, and a library's line of another thread came between them.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _of_libraries([*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()], rendered)
    _of_ends()


def _rendered(log_format: str) -> list[Processor]:
    if log_format != "json":
        return [structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]


def _json(value: Any, **_: Any) -> str:
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a character in a name
        return orjson.dumps({key: ascii(held) for key, held in value.items()}).decode()


def _of_libraries(before: list[Processor], rendered: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporal.core"))
    logging_of_core = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding
    )
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logging_of_core)), error_if_already_set=False)


def _of_ends() -> None:
    """Errors that no code catches."""

    def of_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        log.critical("a thread ended by a defect", thread=name, exc_info=args.exc_value)

    def unraisable(args: Any) -> None:
        log.error("an error that nothing can catch", where=repr(args.object), exc_info=args.exc_value)

    def of_process(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("the process ends by a defect", exc_info=(kind, error, trace))

    threading.excepthook, sys.unraisablehook, sys.excepthook = of_thread, unraisable, of_process
