"""The folder of a published checkpoint: what goes in, how it is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from distillation.student_files import ENCODER_FOLDER
from xdistill_encoder.checkpoint_config import CONFIG_FILE

PICTURES = (".png", ".jpg", ".jpeg", ".svg")
TEXTS = (".md", ".txt")


def encoder_folder(folder: Path) -> Path:
    """The exported encoder in the folder of a run, or the folder itself.

    Raises:
        ValueError: neither is there.
    """
    for candidate in (folder, folder / ENCODER_FOLDER):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise ValueError(
        f"checkpoint: no {CONFIG_FILE} in {folder} or {folder / 'encoder'}; expected the folder of a run of "
        "`xdistill distill` that has ended, or one that save_pretrained() wrote"
    )


def read_statement(name: str, text: str | None) -> str | None:
    """A text as it stands, or what is in the .md or .txt file that it names.

    Raises:
        ValueError: the file cannot be read, or the text is empty.
    """
    if text is not None and text.endswith(TEXTS):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{name}: {text}: not readable ({error}); give the words, or a text file") from error
    if text is not None and not text.strip():
        raise ValueError(f"{name}: expected words, got an empty text")
    return text


def read_pictures(files: Sequence[Path]) -> dict[str, bytes]:
    """Pictures by their path in the published folder.

    Raises:
        ValueError: a file that is missing or no picture; two of one name.
    """
    pictures: dict[str, bytes] = {}
    for file in files:
        path = f"plots/{file.name}"
        if file.suffix.lower() not in PICTURES:
            raise ValueError(f"plots: expected {', '.join(PICTURES)}, got {file}")
        if path in pictures:
            raise ValueError(f"plots: two pictures are named {file.name}; rename one")
        try:
            pictures[path] = file.read_bytes()
        except OSError as error:
            raise ValueError(f"plots: {file}: not readable ({error})") from error
    return pictures


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files (path: content) as a folder that appears whole or not at all; one that holds just these stays.

    Raises:
        ValueError: the folder holds something else, or is the working directory; it cannot be written.
    """
    try:
        if folder.exists():
            differing = _differing(folder, files)
            if not differing:
                return
            if any(folder.iterdir()):
                shown = ", ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")
                raise ValueError(
                    f"output: {folder} holds other files or other versions of them: {shown}; "
                    "delete it, or give another --output (to publish a card that was edited, name it with --card)"
                )
        if not folder.name:
            raise ValueError(
                f"output: {folder} is the folder in which the command runs, which stays; name one to make in it"
            )
        partial = folder.with_name(f".{folder.name}.partial")
        rmtree(partial, ignore_errors=True)
        for path, content in files.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_bytes(content)
        partial.replace(folder)
    except OSError as error:
        raise ValueError(f"output: {folder} cannot be written ({error})") from error


def _differing(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Paths whose content is another, or that are only here or only there."""
    here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return sorted(
        path
        for path in here.keys() | files.keys()
        if path not in here or path not in files or here[path].read_bytes() != files[path]
    )
