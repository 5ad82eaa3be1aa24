"""Which version of a host its adapter was tried with."""

import re
from importlib.metadata import PackageNotFoundError, version


def require_host(distribution: str, first: str, before: str, extra: str | None = None) -> None:
    """Raise an ImportError that says what to install where a host is missing, or of an untried version.

    Args:
        distribution: its name on the package index.
        first, before: tried are versions from the first up to, without, the second: "1.1", "2".
        extra: of this package that installs it; None: there is none.
    """
    wanted = f"pip install 'xdistill-encoder[{extra}]'" if extra else f"pip install '{distribution}>={first},<{before}'"
    try:
        found = version(distribution)
    except PackageNotFoundError as error:
        raise ImportError(f"this adapter needs {distribution}, which is not installed: {wanted}") from error
    if not _numbers(first) <= _numbers(found) < _numbers(before):
        raise ImportError(
            f"this adapter was tried with {distribution} from {first} up to, without, {before}; installed is {found}: "
            f"{wanted}"
        )


def _numbers(text: str) -> list[int]:
    """ "1.10.2rc1" -> [1, 10, 2]."""
    return [int(part) for part in re.findall(r"\d+", text.partition("rc")[0])]
