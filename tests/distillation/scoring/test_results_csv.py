import pytest

from distillation.scoring.results_csv import append_row, read_rows


def test_rows_append_and_missing_numbers_are_empty_cells(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    append_row(path, {"encoder": "a", "knn": 1.5})
    append_row(path, {"encoder": "b, c", "knn": None})
    assert read_rows(path) == [{"encoder": "a", "knn": "1.5"}, {"encoder": "b, c", "knn": ""}]


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "scores.csv"
    append_row(path, {"encoder": "a", "knn": 1.5})
    with pytest.raises(ValueError, match=r"has columns \['encoder', 'knn'\], the row has \['encoder'\]"):
        append_row(path, {"encoder": "c"})
    assert len(read_rows(path)) == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"csv: no file .*scores\.csv"):
        read_rows(tmp_path / "scores.csv")
