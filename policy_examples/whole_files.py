"""Files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The place to write to; what is written there takes the place of `path` at the end, unless something was raised.

    Its name ends as that of `path` does, by which matplotlib and ffmpeg know the format.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)  # it may be what filled the disk
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
