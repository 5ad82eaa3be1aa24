import errno

import pytest

from distillation.sources.retrying import Patience, retry


def fails(*errors: Exception):
    """An action that raises these errors, one a call, then answers with the number of its calls."""
    calls = []

    def action() -> int:
        calls.append(1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return len(calls)

    return action


def test_what_fails_twice_succeeds_at_the_third_try():
    assert retry(fails(ConnectionError("reset"), ValueError("odd bytes")), "reading", Patience(3, 0.0)) == 3


def test_the_last_error_is_told_on_one_line():
    with pytest.raises(OSError, match=r"^reading a failed 2 times, at last with: odd bytes$"):
        retry(fails(ConnectionError("reset"), ValueError("odd\n  bytes")), "reading a", Patience(2, 0.0))


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), PermissionError("no")])
def test_what_no_second_try_helps_is_raised_at_once(error):
    with pytest.raises(type(error), match=str(error)):
        retry(fails(error), "reading a", Patience(5, 100.0))


def test_a_full_disk_is_told_at_once():
    with pytest.raises(OSError, match="reading a failed: the local disk is full"):
        retry(fails(OSError(errno.ENOSPC, "No space left on device")), "reading a", Patience(5, 100.0))


def test_no_attempt_at_all_is_refused():
    with pytest.raises(ValueError, match="attempts: expected 1 or more, got 0"):
        retry(fails(), "reading a", Patience(0))
