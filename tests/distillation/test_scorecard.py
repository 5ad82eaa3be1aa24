import csv
import sys

import pytest
import torch

from distillation.scorecard import Config, append_row, knn_accuracy, main, score


def test_near_neighbours_outvote_a_distant_majority():
    """Query (1, 0); one neighbour of class 1 at cosine 1, two of class 0 at cosine 0.6: e^(1/.07) > 2 e^(.6/.07)."""
    bank = torch.tensor([[2.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    labels = torch.tensor([1, 0, 0])
    query = torch.tensor([[1.0, 0.0]])
    assert knn_accuracy(bank, labels, query, torch.tensor([1]), neighbors=3) == 1
    assert knn_accuracy(bank, labels, query, torch.tensor([1]), neighbors=3, temperature=100.0) == 0


def test_more_neighbours_than_the_bank_holds_are_refused():
    with pytest.raises(ValueError, match="neighbors: expected 1 to 3, .* got 4"):
        knn_accuracy(torch.rand(3, 2), torch.tensor([0, 1, 0]), torch.rand(1, 2), torch.tensor([0]), neighbors=4)


def test_an_untrained_encoder_tells_dark_from_bright(parquet):
    row = score(Config((parquet,), (parquet,), encoder="random", image_size=32, neighbors=1, workers=0))
    assert row["encoder"] == "random"
    assert row["bank_images"] == row["query_images"] == 24
    assert row["knn1_percent"] == 100  # every query is its own nearest neighbour


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoder", "kettle"], "no checkpoint named 'kettle'"),
        (["--encoder", "random", "--teacher", "timm/vit_tiny_patch16_224"], "one of the two is scored, got both"),
    ],
)
def test_a_mistake_ends_the_command_in_one_line(parquet, monkeypatch, options, message):
    arguments = ["xdistill scorecard", "--bank", parquet, "--queries", parquet, *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=f"^xdistill scorecard: .*{message}"):
        main()


def test_rows_append_and_other_columns_are_refused(tmp_path):
    path = tmp_path / "scores.csv"
    append_row(path, {"encoder": "a", "knn": 1.5})
    append_row(path, {"encoder": "b", "knn": 2.5})
    with path.open() as file:
        assert list(csv.DictReader(file)) == [{"encoder": "a", "knn": "1.5"}, {"encoder": "b", "knn": "2.5"}]
    with pytest.raises(ValueError, match=r"has columns \['encoder', 'knn'\]"):
        append_row(path, {"encoder": "c"})
