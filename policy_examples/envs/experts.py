"""Adroit's experts: the policies of DAPG (Rajeswaran et al., arXiv 1709.10087)."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policy_examples.envs.mjrl_pickles import read_network

COMMIT = "9a1de23df6574e1b94e1da742e3326eb1f61c013"
URL = f"https://raw.githubusercontent.com/aravindr93/hand_dapg/{COMMIT}/dapg/policies"
TIMEOUT_S = 30


@dataclass(frozen=True)
class _Source:
    """One policy's file, its sha256, the simulator's numbers that it reads, the actions that it gives."""

    file: str
    sha256: str
    observation_size: int
    action_size: int


_SOURCES = {
    "adroit-door": _Source(
        "door-v0.pickle", "288dd2131b905e40852d9eb032595bb9b3aa90b0502e9341e6b0e128b803478f", 39, 28
    ),
    "adroit-hammer": _Source(
        "hammer-v0.pickle", "14c6b603af09acf87247f8b45d58f9671790d8e4ca0c48c8db5e1f7c98126ef4", 46, 26
    ),
    "adroit-pen": _Source("pen-v0.pickle", "061dba4907a76b83139ae5a8d0809faa9774dd028d12ce869036b620bd728740", 45, 24),
}


@dataclass(frozen=True)
class Expert:
    """A tanh network from the simulator's observation to an action, its mean without noise."""

    layers: list[tuple[np.ndarray, np.ndarray]]
    """Weight (outputs, inputs) and bias (outputs,) each."""
    in_shift: np.ndarray
    in_scale: np.ndarray
    out_shift: np.ndarray
    out_scale: np.ndarray

    def act(self, observation: np.ndarray) -> np.ndarray:
        """(observation size,) float64 as gymnasium-robotics gives it -> (A,) float64, not clipped."""
        signal = (observation - self.in_shift) / (self.in_scale + 1e-8)
        for index, (weight, bias) in enumerate(self.layers):
            signal = weight @ (np.tanh(signal) if index else signal) + bias
        return signal * self.out_scale + self.out_shift


def load_expert(task: str, folder: Path | None = None) -> Expert:
    """The expert of an Adroit task.

    Args:
        folder: holds `door-v0.pickle` and so on, DAPG's or others that mjrl pickled; None takes DAPG's from the user's
            cache, downloaded if need be and checked against their sha256.

    Raises:
        ValueError: no network, a file that is missing, damaged, another one, or a policy for another task.
    """
    source = _SOURCES[task]
    path = cached_policy(source) if folder is None else folder / source.file
    parameters, scaling = read_network(path)
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    sizes = (len(scaling["in_shift"]), len(scaling["out_shift"]))
    if sizes != (source.observation_size, source.action_size):
        raise ValueError(
            f"expert: {path} reads {sizes[0]} numbers and gives {sizes[1]}, {task} has {source.observation_size} and "
            f"{source.action_size}; the files' names may be mixed up."
        )
    return Expert(layers, **{name: value.astype(np.float64) for name, value in scaling.items()})


def expert_sha256(task: str, folder: Path | None = None) -> str | None:
    """Of the file that `load_expert` takes, in hexadecimal; None where the folder has none."""
    source = _SOURCES[task]
    if folder is None:
        return source.sha256
    path = folder / source.file
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def cache_folder() -> Path:
    """The user's cache, where XDG_CACHE_HOME says or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xdistill-encoder" / f"dapg-{COMMIT[:12]}"


def cached_policy(source: _Source) -> Path:
    """The file in the cache, put there first if it is missing."""
    path = cache_folder() / source.file
    if not path.exists():
        download(f"{URL}/{source.file}", source.sha256, path)
    require_sha256(path.read_bytes(), source.sha256, f"{path} (delete it, it is downloaded again)")
    return path


def download(url: str, sha256: str, path: Path) -> None:
    """Put a file of known sha256 where it belongs, whole or not at all.

    Raises:
        ValueError: it cannot be downloaded, or is another one.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(
            f"expert: {url} could not be downloaded ({error}); where there is no network, name a folder that holds "
            f"{path.name} with --experts."
        ) from error
    require_sha256(content, sha256, url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def require_sha256(content: bytes, sha256: str, what: str) -> None:
    """Raise a ValueError where content is not what it is known to be."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"expert: expected sha256 {sha256}, got {found} of {what}; it was not opened.")
