import errno
import fcntl

import pytest

from xdistill_encoder.file_locks import can_lock


def test_a_lock_that_is_held_elsewhere_is_one(tmp_path):
    assert can_lock(tmp_path / "lock")
    with (tmp_path / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert can_lock(tmp_path / "lock")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_known(tmp_path, monkeypatch, code):
    def flock(file, operation):
        raise OSError(code, "as the kernel says it")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not can_lock(tmp_path / "lock")
