"""Every kind of error has its status, and what isn't ours to explain stays in the log."""

from __future__ import annotations

import logging

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from plugin_core import errors
from plugin_core.errors import IspError, LimitError, OptionError
from plugin_core.rpc.errors import DOMAIN, STATUS_CODES, status_of, translated_errors


def children(kind: type[IspError]) -> list[type[IspError]]:
    found = []
    for child in kind.__subclasses__():
        found += [child, *children(child)]
    return found


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def test_table_knows_every_class_and_no_other() -> None:
    ours = {kind for kind in children(IspError) if kind.__module__ == errors.__name__}
    assert set(STATUS_CODES) == ours
    assert len(ours) == len(errors.__all__) - 1


@pytest.mark.parametrize("kind", STATUS_CODES, ids=lambda kind: kind.__name__)
def test_status_carries_code_line_and_evidence(kind: type[IspError]) -> None:
    status = status_of(kind("a.dng: found 3,\n expected 4", "SOME_REASON", {"found": "3"}), "0123")
    info = info_of(status)
    assert status.code == STATUS_CODES[kind]
    assert status.message == "a.dng: found 3, expected 4"
    assert (info.reason, info.domain) == ("SOME_REASON", DOMAIN)
    assert dict(info.metadata) == {"found": "3", "job_id": "0123", "class": kind.__name__}


def test_child_of_a_known_class_has_its_code() -> None:
    class Special(OptionError):
        pass

    assert status_of(Special("x", "Y"), "0").code == code_pb2.INVALID_ARGUMENT


def test_retry_hint_becomes_retry_info() -> None:
    status = status_of(LimitError("full", "QUEUE_FULL", {"retry_after_s": "2.5"}), "0")
    hint = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(hint)
    assert hint.retry_delay == Duration(seconds=2, nanos=500_000_000)


@pytest.mark.parametrize("error", [ValueError("secret /etc/x"), KeyError("secret"), IspError("secret", "R")])
def test_bugs_say_only_the_job_id(error: Exception) -> None:
    status = status_of(error, "0123abcd")
    assert status.code == code_pb2.INTERNAL
    assert "0123abcd" in status.message
    assert "secret" not in str(status)


class FakeContext:
    """Records how a call was ended."""

    def abort_with_status(self, status: grpc.Status) -> None:
        self.status = status
        raise RuntimeError("aborted")


def test_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    context = FakeContext()
    with (
        caplog.at_level(logging.INFO, "neural_isp"),
        pytest.raises(RuntimeError, match="aborted"),
        translated_errors(context) as job_id,  # type: ignore[arg-type]
    ):
        raise ZeroDivisionError("oops")
    assert context.status.code is grpc.StatusCode.INTERNAL
    assert job_id in caplog.text
    assert "ZeroDivisionError: oops" in caplog.text
    assert "oops" not in context.status.details


def test_no_error_ends_nothing() -> None:
    context = FakeContext()
    with translated_errors(context) as job_id:  # type: ignore[arg-type]
        assert len(job_id) == 12
    assert not hasattr(context, "status")
