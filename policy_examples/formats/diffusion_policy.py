"""Reads zarr stores in the layout of Diffusion Policy, DP3's and ours among them."""

import math
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats import arrays
from policy_examples.formats.episodes import Episode, Episodes, Selection, camera_keys, option, with_cameras

LAYOUT = "data/img, data/state, data/action, meta/episode_ends"
_STATES, _ACTIONS = ("state", "agent_pos"), ("action", "actions")
_BESIDE_PUSHT_STATE = ("keypoint", "n_contacts")
"""Arrays of Push-T, whose `state` is the agent's x, y and the block's x, y, angle."""
_ROWS = 256
"""Steps that are read at once to verify a checksum."""


def open_zarr(path: Path, selection: Selection) -> Episodes:
    """A folder or a .zarr.zip: arrays of N steps in data/, one past the last step of each episode in meta/episode_ends.

    DP3's MetaWorld stores hold mirrored frames (see README). Push-T's state holds the block's pose and must be named.

    Raises:
        ValueError: no store, an array is missing, incomplete, damaged, of another shape or type, or must be named.
    """
    root = _open_group(path)
    ends = _episode_ends(root, path)
    found = _arrays_of_data(root, path)
    cameras = camera_keys(_cameras(found, selection, path))
    states = selection.state or (_guess_state(found, path),)
    action = selection.action or _guess(found, _ACTIONS, "action", path)
    vectors = [arrays.split_columns(name)[0] for name in (*states, action)]
    points = ["point_cloud"] if "point_cloud" in found else []
    _require_arrays(found, [*cameras, *vectors, *points], int(ends[-1]), path)
    _verify_checksums(root, path)
    _require_chunks(root, [f"data/{name}" for name in (*cameras, *vectors, *points)], path)
    scales = {name: _scale(found[name], f"data/{name} in {path}") for name in cameras}
    starts = [0, *ends[:-1].tolist()]

    def read(index: int) -> Episode:
        rows = slice(starts[index], int(ends[index]))

        def part(name: str) -> np.ndarray:
            return _rows(found, name, rows, path)

        where = f"in data/ of {path}"
        episode = {
            key: arrays.as_images(part(name), scales[name], selection.image_size_px, f"{name} {where}")
            for name, key in cameras.items()
        }
        episode["state"] = arrays.side_by_side(states, part, where)
        episode["action"] = arrays.side_by_side((action,), part, where)
        return episode | {name: arrays.as_points(part(name), f"{name} {where}") for name in points}

    lengths = tuple(int(end) - start for start, end in zip(starts, ends, strict=True))
    origin: Any = root.attrs.get("origin")
    if not isinstance(origin, dict):  # other people's, who may call anything so
        origin = {}
    return Episodes(lengths, read, _with_names(with_cameras(origin, cameras), states, action))


def _with_names(origin: dict[str, Any], states: Sequence[str], action: str) -> dict[str, Any]:
    """The origin with the names of the numbers that are taken, in their order; none where others are taken too."""
    named = {"state_names": ("state", states), "action_names": ("action", (action,))}
    kept = {name: value for name, value in origin.items() if name not in named}
    for key, (array, taken) in named.items():
        parts = [arrays.split_columns(part) for part in taken]
        if key in origin and all(name == array for name, _ in parts):
            kept[key] = [name for _, columns in parts for name in origin[key][columns]]
    return kept


def _open_group(path: Path) -> Any:
    import zarr
    from zarr.storage import ZipStore

    try:
        return zarr.open_group(ZipStore(path, mode="r") if path.is_file() else str(path), mode="r")
    except Exception as error:  # zarr, zipfile have errors of their own for each format
        raise ValueError(
            f"demonstrations: {path} is not a zarr group ({error}); `xdistill demos` writes one."
        ) from error


def _episode_ends(root: Any, path: Path) -> np.ndarray:
    import zarr

    if "meta/episode_ends" not in root or not isinstance(root["meta/episode_ends"], zarr.Array):
        raise ValueError(
            f"demonstrations: {path} has no array 'meta/episode_ends'; the layout of Diffusion Policy and DP3 is "
            f"{LAYOUT}."
        )
    ends = _rows({"episode_ends": root["meta/episode_ends"]}, "episode_ends", slice(None), path)
    if ends.ndim != 1 or len(ends) == 0 or ends.dtype.kind not in "iu" or np.any(np.diff(ends, prepend=0) <= 0):
        raise ValueError(
            f"demonstrations: meta/episode_ends in {path} must be whole numbers that rise, "
            f"got {ends.tolist() if ends.size < 100 else ends.shape}."
        )
    return ends.astype(np.int64)


def _arrays_of_data(root: Any, path: Path) -> dict[str, Any]:
    """Name -> array of everything in data/."""
    with suppress(ImportError):  # Diffusion Policy's stores of a real robot keep their images as JPEG 2000
        from imagecodecs.numcodecs import register_codecs  # type: ignore[import-not-found]

        register_codecs(verbose=False)
    try:
        found = dict(root["data"].arrays()) if "data" in root else {}
    except ValueError as error:  # numcodecs: "codec not available"
        raise ValueError(
            f"demonstrations: {path} cannot be read: {error}; codecs of images, such as JPEG 2000, come with the "
            "package imagecodecs: pip install imagecodecs"
        ) from error
    if not found:
        raise ValueError(
            f"demonstrations: {path} has no arrays in data/; the layout of Diffusion Policy and DP3 is {LAYOUT}."
        )
    return found


def _cameras(found: dict[str, Any], selection: Selection, path: Path) -> list[str]:
    if selection.cameras:
        return list(selection.cameras)
    images = [name for name, array in found.items() if array.ndim == 4 and 3 in (array.shape[1], array.shape[3])]
    ours = ["img", *sorted(name for name in found if name.startswith("img_"))] if "img" in found else []
    others = [name for name in images if name not in ours]
    if ours and not others:
        return ours
    if len(others) == 1 and not ours:
        return others
    films = path.parent / "videos"
    if not images and films.is_dir():
        raise ValueError(
            f"demonstrations: {path} holds no frames, which a recording of Diffusion Policy keeps as films in {films}; "
            "give the zarr that its real_world/real_data_conversion.py makes of both."
        )
    there = "the array 'data/img'" if ours else "no array 'data/img'"
    hint = "; frames are needed also where a policy reads the point clouds alone" if "point_cloud" in found else ""
    raise ValueError(
        f"demonstrations: {path} has {there}, and {len(others)} others look like images; name those to take, the main "
        f"camera first ({option('cameras')}){hint if not images else ''}. In data/: {_listing(found)}."
    )


def _guess(found: dict[str, Any], names: tuple[str, ...], field: str, path: Path) -> str:
    there = [name for name in names if name in found]
    if len(there) == 1:
        return there[0]
    if there:
        shapes = " and ".join(f"data/{name} {found[name].shape}" for name in there)
        raise ValueError(f"demonstrations: {path} has {shapes}; name the one to take ({option(field)}).")
    raise ValueError(
        f"demonstrations: {path} has no array {' or '.join(f'data/{name}' for name in names)}; "
        f"name what it has instead ({option(field)}). In data/: {_listing(found)}."
    )


def _guess_state(found: dict[str, Any], path: Path) -> str:
    """Not Push-T's: the block's pose, which no camera policy may read, only if it is named."""
    name = _guess(found, _STATES, "state", path)
    beside = [f"data/{other}" for other in _BESIDE_PUSHT_STATE if other in found]
    if name == "state" and beside and found[name].shape[1:] == (5,):
        raise ValueError(
            f"demonstrations: {path} has data/state {found[name].shape} beside {' and '.join(beside)}, as Push-T has: "
            "agent x, y, then block x, y, angle, which cameras are to find; name what the policy may read "
            f"({option('state')}), state[:2] for the agent alone, state for all."
        )
    return name


def _require_arrays(found: dict[str, Any], names: list[str], steps: int, path: Path) -> None:
    for name in names:
        if name not in found:
            raise ValueError(f"demonstrations: {path} has no array 'data/{name}'. In data/: {_listing(found)}.")
    different = {f"data/{name}": found[name].shape[0] for name in names if found[name].shape[0] != steps}
    if different:
        raise ValueError(
            f"demonstrations: {path} has arrays of different lengths: {different}, and meta/episode_ends ends at "
            f"{steps}."
        )


def _listing(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in sorted(found.items()))


def _scale(array: Any, where: str) -> float | None:
    """None for uint8, otherwise what multiplies its values, judged by eight frames."""
    if array.dtype == np.uint8:
        return None
    if array.dtype.kind != "f" or array.ndim != 4:
        raise ValueError(
            f"demonstrations: {where} must be (N, H, W, 3) uint8, or float in [0, 1] or [0, 255], "
            f"got {array.shape} {array.dtype}."
        )
    frames = range(0, array.shape[0], max(1, array.shape[0] // 8))
    return arrays.float_scale(np.stack([np.asarray(array[frame]) for frame in frames]), where)


def _rows(found: dict[str, Any], name: str, rows: slice, path: Path) -> np.ndarray:
    if found[name].dtype.kind not in "biuf":  # objects are pickled
        raise ValueError(f"demonstrations: {name} in {path} must hold numbers, got {found[name].dtype}.")
    try:
        return np.asarray(found[name][rows])
    except Exception as error:  # the decompressors raise whatever they like on damaged bytes
        raise ValueError(f"demonstrations: {name} in {path} is damaged ({error!r}); collect them again.") from error


def _verify_checksums(root: Any, path: Path) -> None:
    """Compare each array with the CRC-32 that `xdistill` wrote beside it; other people's stores have none."""
    written: dict[str, int] = dict(root.attrs.get("crc32", {}))
    for key, expected in written.items():
        if key not in root:
            raise ValueError(f"demonstrations: {path} has lost its array {key!r}; collect them again.")
        checksum = 0
        for first in range(0, root[key].shape[0], _ROWS):
            values = _rows({key: root[key]}, key, slice(first, first + _ROWS), path)
            checksum = zlib.crc32(np.ascontiguousarray(values).data, checksum)
        if checksum != expected:
            raise ValueError(
                f"demonstrations: {key} in {path} is damaged: its CRC-32 is {checksum}, {expected} was written; "
                "collect them again."
            )


def _require_chunks(root: Any, keys: list[str], path: Path) -> None:
    """Refuse arrays of which zarr would make chunks up, unless they have a checksum."""
    for key in keys:
        if key not in root.attrs.get("crc32", {}) and not _is_whole(root[key]):
            raise ValueError(
                f"demonstrations: {key} in {path} has {root[key].nchunks_initialized} of {root[key].nchunks} chunks, "
                f"and zarr reads the others as {root[key].fill_value}; copy the store again. zarr 3 itself leaves out "
                "chunks that hold only the fill value: if the store is whole, rewrite it with write_empty_chunks=True."
            )


def _is_whole(array: Any) -> bool:
    sizes = zip(array.shape, array.shards or array.chunks, strict=True)
    files = math.prod(math.ceil(size / step) for size, step in sizes)
    # of an array in shards, some versions of zarr count these, others the chunks inside
    return array.nchunks_initialized == files or array.nchunks_initialized >= array.nchunks
