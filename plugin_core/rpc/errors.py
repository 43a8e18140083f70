"""What a caller is told when something goes wrong: one table from our errors to gRPC's status codes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from plugin_core.errors import (
    FileFormatError,
    IspError,
    JobCancelledError,
    LimitError,
    ModelPackageError,
    NoModelError,
    OptionError,
)

__all__ = ["DOMAIN", "STATUS_CODES", "new_job_id", "refuse", "status_of", "translated_errors"]

DOMAIN = "neural-isp"
STATUS_CODES: dict[type[IspError], int] = {
    FileFormatError: code_pb2.INVALID_ARGUMENT,
    OptionError: code_pb2.INVALID_ARGUMENT,
    NoModelError: code_pb2.FAILED_PRECONDITION,
    ModelPackageError: code_pb2.FAILED_PRECONDITION,
    LimitError: code_pb2.RESOURCE_EXHAUSTED,
    JobCancelledError: code_pb2.CANCELLED,
}
RETRY_KEY = "retry_after_s"  # in IspError.metadata: also sent as google.rpc.RetryInfo

log = logging.getLogger("neural_isp")


def new_job_id() -> str:
    """Twelve hex digits that name one call in summaries, errors and the log."""
    return uuid.uuid4().hex[:12]


def _status(code: int, message: str, reason: str, metadata: dict[str, str]) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    status.details.append(_packed(info))
    if RETRY_KEY in metadata:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(float(metadata[RETRY_KEY]) * 1000))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def status_of(error: Exception, job_id: str) -> status_pb2.Status:
    """The status for an error: code, one line, ErrorInfo, and RetryInfo where it helps.

    ErrorInfo.metadata holds the error's own evidence, the job id, and its class, as two classes may share a code.

    Whatever is no IspError is a bug of ours: INTERNAL, nothing told but the job id.
    """
    for kind in type(error).__mro__:
        if isinstance(error, IspError) and kind in STATUS_CODES:
            # two classes share a code; clients raise the one that is named here
            metadata = {**error.metadata, "job_id": job_id, "class": kind.__name__}
            return _status(STATUS_CODES[kind], error.message, error.reason, metadata)
    return _status(
        code_pb2.INTERNAL, f"internal error; the server's log has job {job_id}", "INTERNAL", {"job_id": job_id}
    )


def refuse(context: grpc.ServicerContext, code: int, message: str, reason: str) -> NoReturn:
    """Ends the call with a status that no IspError stands for (the caller isn't who he should be)."""
    context.abort_with_status(rpc_status.to_status(_status(code, message, reason, {})))


@contextmanager
def translated_errors(context: grpc.ServicerContext) -> Iterator[str]:
    """Gives the block a job id, and turns what it raises into the call's status; a bug's traceback goes to the log."""
    job_id = new_job_id()
    try:
        yield job_id
    except Exception as error:
        status = status_of(error, job_id)
        if status.code == code_pb2.INTERNAL:
            log.exception("job %s failed", job_id)
        else:
            log.info("job %s: %s", job_id, status.message)
    else:
        return
    context.abort_with_status(rpc_status.to_status(status))
