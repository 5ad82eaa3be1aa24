"""Whether a file system can lock, which those of some clusters cannot."""

from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, whose file systems all can
    fcntl = None


def can_lock(file: Path) -> bool:
    """Whether locks of a file, which is created, are kept; one that another process holds is."""
    if fcntl is None:
        return True
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # it is held
            return True
        except OSError:  # NFS without its lock daemon, Lustre mounted without flock, some FUSE
            return False
    return True
