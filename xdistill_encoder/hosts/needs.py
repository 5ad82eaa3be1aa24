"""Which versions of a host its adapter was tried with."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

TRIED = {
    "gymnasium": (("1.1.1", "2"),),
    "lerobot": (("0.4.4", "0.5"), ("0.6.1", "0.7")),
    "onnx": (("1.20.1", "2"),),
    "onnxruntime": (("1.24.4", "2"),),
    "onnxscript": (("0.6.2", "1"),),
    "robomimic": (("0.3", "0.4"),),
    "timm": (("1.0.21", "2"),),
    "torchrl": (("0.14.1", "0.15"),),
    "transformers": (("4.56.2", "6"),),
}
"""Distribution: versions from the first up to, without, the second; the extras of pyproject.toml say the same.

The first was tried. Where the second is the next major version, `make test` installs the newest below it."""


ALSO = {"onnxruntime": ("onnxruntime-gpu",)}
"""Distribution: others that bring the same package, in its versions."""


def require_host(distribution: str, install: str) -> None:
    """Raise an ImportError that says what to install where a host is missing, or of an untried version.

    Args:
        distribution: a key of `TRIED`, its name on the package index.
        install: the command that brings a version that was tried.
    """
    found = None
    for name in (distribution, *ALSO.get(distribution, ())):
        with suppress(PackageNotFoundError):
            found = found or version(name)
    if found is None:
        raise ImportError(f"needs {distribution}, which is not installed: {install}")
    if not any(_numbers(first) <= _numbers(found) < _numbers(before) for first, before in TRIED[distribution]):
        ranges = " or ".join(f"from {first} up to, without, {before}" for first, before in TRIED[distribution])
        raise ImportError(f"tried with {distribution} {ranges}; installed is {found}: {install}")


def require_onnx() -> None:
    """Raise an ImportError where what writes and runs ONNX files is missing, or of an untried version."""
    for library in ("onnx", "onnxruntime", "onnxscript"):
        require_host(library, "pip install 'xdistill-encoder[export]'")


def _numbers(text: str) -> list[int]:
    """ "1.10.2rc1" -> [1, 10, 2]."""
    return [int(part) for part in re.findall(r"\d+", text.partition("rc")[0])]
