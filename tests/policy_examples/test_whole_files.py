import pytest
from matplotlib.figure import Figure

from policy_examples.whole_files import whole, write_text


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("rows.csv", "new")]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.csv"
    write_text(path, "old ü")
    with pytest.raises(UnicodeEncodeError), whole(path) as partial:
        partial.write_text("\ud800", encoding="utf-8")  # half of a character
    assert path.read_bytes() == "old ü".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_what_goes_by_the_ending_finds_it(tmp_path):
    with whole(tmp_path / "curve.png") as partial:
        Figure().savefig(partial)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
