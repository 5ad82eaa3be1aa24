from pathlib import Path

import pytest

from distillation.publishing.hub_folder import encoder_folder, read_pictures, read_statement, write_folder

FILES = {"README.md": b"a card", "plots/curve.png": b"a curve"}


def content(folder: Path) -> dict[str, bytes]:
    """Path: content of all files below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what goes in


def test_the_folder_of_a_run_and_its_encoder_lead_to_the_same_encoder(tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").touch()
    assert encoder_folder(tmp_path) == encoder_folder(tmp_path / "encoder") == tmp_path / "encoder"


def test_a_statement_is_words_as_they_stand_or_those_of_a_text_file(tmp_path):
    (tmp_path / "terms.md").write_text(" Für *Köche*.\n", encoding="utf-8")
    assert read_statement("limits", str(tmp_path / "terms.md")) == " Für *Köche*.\n"
    assert read_statement("limits", "Kitchens only.") == "Kitchens only."
    assert read_statement("limits", None) is None


def test_a_statement_that_is_empty_or_no_text_is_refused_by_its_name(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "picture.md").write_bytes(b"\xff\xd8\xff")
    for empty in (" ", str(tmp_path / "empty.txt")):
        with pytest.raises(ValueError, match="limits: expected words, got an empty text"):
            read_statement("limits", empty)
    with pytest.raises(ValueError, match=r"limits: .*picture.md: not readable \(.*give the words, or a text file"):
        read_statement("limits", str(tmp_path / "picture.md"))
    with pytest.raises(ValueError, match=r"limits: terms.txt: not readable \(.*No such file.*give the words"):
        read_statement("limits", "terms.txt")


def test_pictures_come_by_their_path_in_the_folder(tmp_path):
    for name in ("curve.png", "Map.JPG"):
        (tmp_path / name).write_bytes(name.encode())
    found = read_pictures([tmp_path / "curve.png", tmp_path / "Map.JPG"])
    assert found == {"plots/curve.png": b"curve.png", "plots/Map.JPG": b"Map.JPG"}


def test_what_is_no_picture_or_would_replace_another_is_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "curve.png").touch()
    with pytest.raises(ValueError, match=r"plots: expected .png, .jpg, .jpeg, .svg, got .*kettles.json"):
        read_pictures([tmp_path / "kettles.json"])
    with pytest.raises(ValueError, match=r"plots: two pictures are named curve.png; rename one"):
        read_pictures([tmp_path / "a" / "curve.png", tmp_path / "b" / "curve.png"])
    with pytest.raises(ValueError, match=r"plots: .*nothing.png: not readable \(.*No such file"):
        read_pictures([tmp_path / "nothing.png"])


# ---- how it is written


def test_a_folder_appears_with_its_files_and_leaves_nothing_of_a_writing_that_was_killed(tmp_path):
    leftover = tmp_path / "runs" / ".hub.partial"
    leftover.mkdir(parents=True)
    (leftover / "half.bin").write_bytes(b"half")
    write_folder(tmp_path / "runs" / "hub", FILES)
    assert content(tmp_path) == {f"runs/hub/{path}": data for path, data in FILES.items()}


def test_a_writing_that_fails_makes_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"output: .*hub cannot be written \(.*File exists"):
        write_folder(tmp_path / "hub", FILES | {"README.md/inside.md": b"a file cannot hold a file"})
    assert not (tmp_path / "hub").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "hub", tmp_path / "file"):
        with pytest.raises(ValueError, match=rf"output: {folder} cannot be written \(.*Not a directory"):
            write_folder(folder, FILES)


def test_the_same_again_leaves_the_folder_and_anything_else_in_it_is_not_overwritten(tmp_path):
    folder = tmp_path / "hub"
    write_folder(folder, FILES)
    write_folder(folder, FILES)
    (folder / "README.md").write_bytes(b"by hand")
    (folder / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"output: .*hub holds other files.*: README.md, notes.txt; delete it.*--card"):
        write_folder(folder, FILES)
    assert content(folder) == FILES | {"README.md": b"by hand", "notes.txt": b""}


def test_a_folder_of_many_other_files_is_refused_in_one_line(tmp_path):
    for name in "abcd":
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"holds other files .*: README.md, a, b, c and 2 more;"):
        write_folder(tmp_path, FILES)  # the others: d, plots/curve.png


def test_the_folder_in_which_the_command_runs_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"output: . is the folder in which the command runs.*; name one to make in"):
        write_folder(Path("."), FILES)
