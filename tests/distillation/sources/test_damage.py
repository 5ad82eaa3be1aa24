import re

import pytest
import torch

from distillation.datasets import open_images
from distillation.sources.damage import DamageLog


@pytest.fixture
def images(tmp_path, files):
    """20 images of which 3, 4 and the last cannot be read."""
    folder = tmp_path / "images"
    folder.mkdir()
    whole = [*files.values()] * 2
    for i, data in enumerate(whole):
        damage = {3: b"", 4: data[:100], 19: b"<html>\t\nnot found</html>"}
        (folder / f"{i:02d}.png").write_bytes(damage.get(i, data))
    return open_images([str(folder)])


def batch(*pairs):
    asked, used = zip(*pairs, strict=True)
    return torch.tensor(asked), torch.tensor(used)


def test_whole_images_leave_no_file(images, tmp_path):
    DamageLog(tmp_path / "damaged.txt", images, 0.0).record(*batch((0, 0), (7, 7)))
    assert not (tmp_path / "damaged.txt").exists()


def test_each_damaged_image_is_listed_once_with_its_place_and_the_reason(images, tmp_path):
    log = DamageLog(tmp_path / "damaged.txt", images, 0.5)
    log.record(*batch((5, 5), (4, 5), (3, 5), (19, 0)))
    log.record(*batch((3, 5), (19, 0)))
    lines = [line.split("\t") for line in (tmp_path / "damaged.txt").read_text().splitlines()]
    assert [(int(index), place) for index, place, _ in lines] == [(i, images.where(i)) for i in (4, 3, 19)]
    assert "truncated" in lines[0][2].lower() or "damaged" in lines[0][2]
    assert lines[1][2] == "zero bytes"
    assert lines[2][2].startswith("not an image")


def test_the_count_is_kept_over_an_interruption(images, tmp_path):
    path = tmp_path / "damaged.txt"
    DamageLog(path, images, 0.1).record(*batch((3, 5)))
    DamageLog(path, images, 0.1).record(*batch((4, 5)))
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(ValueError, match="3 of 20"):
        DamageLog(path, images, 0.1).record(*batch((19, 0)))
    assert len(path.read_text().splitlines()) == 3


def test_more_than_the_limit_stops_with_the_file_the_share_and_the_setting(images, tmp_path):
    path = tmp_path / "damaged.txt"
    message = f"3 of 20 cannot be read (15.00%), more than max_damaged = 0.1 allows; they are listed in {path}: repair"
    with pytest.raises(ValueError, match=re.escape(message)):
        DamageLog(path, images, 0.1).record(*batch((3, 5), (19, 0)))


def test_an_image_between_that_can_be_read_is_not_listed(images, tmp_path):
    log = DamageLog(tmp_path / "damaged.txt", images, 0.5)
    log.record(*batch((2, 5)))
    assert [line.split("\t")[0] for line in (tmp_path / "damaged.txt").read_text().splitlines()] == ["3", "4"]


def test_what_all_processes_found_together_is_compared_with_the_limit_and_counts_once(images, tmp_path):
    paths = [tmp_path / "damaged-0.txt", tmp_path / "damaged-1.txt"]
    first, second = (DamageLog(path, images, 0.1) for path in paths)
    first.record(*batch((3, 5)))  # 3 and 4
    second.record(*batch((4, 5)))
    with pytest.raises(ValueError, match=re.escape("3 of 20 cannot be read (15.00%)")) as refused:
        second.record(*batch((19, 0)))
    assert f"listed in {paths[0]}, {paths[1]}:" in str(refused.value)
    DamageLog(paths[0], images, 0.15).require_few()


def test_images_that_were_repaired_leave_the_list_and_no_longer_count(images, tmp_path, files):
    path = tmp_path / "damaged.txt"
    with pytest.raises(ValueError, match="3 of 20"):
        DamageLog(path, images, 0.1).record(*batch((3, 5), (19, 0)))
    (tmp_path / "images" / "03.png").write_bytes(files["dark/b.png"])
    DamageLog(path, images, 0.1).record(*batch((4, 5), (19, 0)))
    assert [line.split("\t")[0] for line in path.read_text().splitlines()] == ["4", "19"]
    for name in ("04.png", "19.png"):
        (tmp_path / "images" / name).write_bytes(files["dark/b.png"])
    DamageLog(path, images, 0.1)
    assert not path.exists()


def test_what_another_process_listed_counts_no_longer_once_it_was_repaired(images, tmp_path, files):
    DamageLog(tmp_path / "damaged-7.txt", images, 0.1).record(*batch((3, 5)))
    (tmp_path / "images" / "03.png").write_bytes(files["dark/b.png"])
    DamageLog(tmp_path / "damaged-0.txt", images, 0.1).record(*batch((19, 0)))
