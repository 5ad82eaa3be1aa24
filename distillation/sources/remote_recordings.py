"""Robot recordings at fsspec URLs, fetched whole before they are read."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import fsspec
from filelock import FileLock
from tqdm import tqdm

from distillation.sources.frame_specs import parse_frame_spec
from distillation.sources.listing import version_of
from distillation.sources.retrying import Patience, retry


def at_hand(source: str, folder: Path, patience: Patience | None = None) -> str:
    """A source such as "zarr:s3://bucket/demos.zarr#img" -> the same of a local copy; a local source as it is.

    Args:
        source: see `parse_frame_spec`.
        folder: for the copies, which are kept and count towards no limit; processes and runs on one machine share it.
        patience: with the network; None: six tries in half a minute for each file.

    Raises:
        ValueError: nothing there, or an unknown kind of URL.
        OSError: a file cannot be fetched, or arrives damaged, each time.
    """
    spec = parse_frame_spec(source)
    if "://" not in spec.place:
        return source
    copy = fetch_whole(spec.place, folder, patience or Patience())
    return source.replace(spec.place, str(copy), 1)


def fetch_whole(url: str, folder: Path, patience: Patience) -> Path:
    """The copy of a file or folder at a URL, fetched where this version of it is not there yet."""
    try:
        fs, root = fsspec.url_to_fs(url)
        fs.invalidate_cache()
        found: dict[str, dict[str, Any]] = retry(
            lambda: {root: fs.info(root)} if fs.isfile(root) else fs.find(root, detail=True), f"listing {url}", patience
        )
    except (ImportError, ValueError) as error:  # "Install s3fs to access S3", "Protocol not known"
        raise ValueError(f"images: {url} cannot be opened: {error}") from error
    except FileNotFoundError:
        found = {}
    if not found:
        raise ValueError(f"images: nothing at {url}")
    facts = [f"{name} {each.get('size')} {version_of(each)}" for name, each in sorted(found.items())]
    key = hashlib.sha256("\n".join([url, *facts]).encode()).hexdigest()[:32]
    copy = folder / key / url.rstrip("/").rpartition("/")[2]
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        if not copy.exists():
            partial = copy.with_name(f".{copy.name}.partial")  # the lock keeps other processes away
            _remove(partial)  # of a process that was killed
            try:
                _download(fs, root, found, partial, url, patience)
                partial.replace(copy)
            finally:
                _remove(partial)
    return copy


def _remove(path: Path) -> None:
    """Delete a file or a folder, where there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _download(fs: Any, root: str, found: dict[str, dict[str, Any]], to: Path, url: str, patience: Patience) -> None:
    total = sum(each.get("size") or 0 for each in found.values())
    with tqdm(total=total, unit="B", unit_scale=True, desc=f"fetching {url}") as progress:
        for name, each in found.items():
            path = to if name == root else to / name.removeprefix(root).lstrip("/")
            if not path.resolve().is_relative_to(to.resolve()):  # names are the server's: "../../.bashrc"
                raise ValueError(f"images: {url} holds {name!r}, which lies outside of it; nothing of it is fetched.")
            path.parent.mkdir(parents=True, exist_ok=True)

            def attempt(name: str = name, path: Path = path, size: int | None = each.get("size")) -> None:
                fs.get_file(name, str(path))
                if size and path.stat().st_size != size:
                    raise OSError(f"{path.stat().st_size:,} of {size:,} bytes arrived")

            retry(attempt, f"fetching {fs.unstrip_protocol(name)}", patience)
            progress.update(each.get("size") or 0)
