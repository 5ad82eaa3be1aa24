import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policy_examples.formats.episodes import Selection
from policy_examples.formats.opening import open_episodes
from policy_examples.store import open_demonstrations
from tests.policy_examples.formats.lerobot_folders import LENGTHS, STEPS, grey, vectors, write_v2, write_v3


@pytest.fixture(params=[write_v2, write_v3], ids=["v2.1", "v3.0"])
def write(request):
    return request.param


@pytest.fixture
def several(write, tmp_path):
    return write(tmp_path / "several", tasks=("push", "pull"))


def set_task_index(root, values: list[int]) -> None:
    """Of all rows of the folder, in their order."""
    first = 0
    for path in sorted((root / "data").rglob("*.parquet")):
        table = pq.read_table(path)
        column = table.column_names.index("task_index")
        pq.write_table(table.set_column(column, "task_index", [values[first : first + len(table)]]), path)
        first += len(table)


def forget_task_index(root) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    del info["features"]["task_index"]
    (root / "meta/info.json").write_text(json.dumps(info))


def test_the_only_task_becomes_part_of_the_origin(write, tmp_path):
    root = write(tmp_path / "one")
    loaded = open_demonstrations(root)
    assert loaded.origin["recorded_task"] == "push"
    assert open_demonstrations(root, Selection(filter="push")).origin == loaded.origin


def test_several_tasks_are_refused_until_one_is_named(several):
    with pytest.raises(
        ValueError, match=r"holds 2 tasks, .*name the one .*--filter of .*--selection.filter of .*: 'pull', 'push'\."
    ):
        open_demonstrations(several)


def test_the_named_task_selects_its_episodes_in_rows_and_in_videos(several):
    loaded = open_demonstrations(several, Selection(filter="pull"))
    assert loaded.origin["recorded_task"] == "pull"
    assert loaded.episode_ends.tolist() == [LENGTHS[1]]
    assert np.array_equal(loaded.agent_pos, vectors()["observation.state"][LENGTHS[0] :])
    assert np.abs(loaded.images.astype(int) - grey(LENGTHS[0], LENGTHS[1])).max() < 6
    first = open_demonstrations(several, Selection(filter="push"))
    assert np.array_equal(first.actions, vectors()["action"][: LENGTHS[0]])


def test_a_task_that_is_not_there_is_answered_with_those_that_are(several, write, tmp_path):
    with pytest.raises(ValueError, match="filter: .* no episode that shows 'lift' alone; name one .*: 'pull', 'push'"):
        open_demonstrations(several, Selection(filter="lift"))
    with pytest.raises(ValueError, match=r"no episode that shows 'lift' alone; .* leave the filter out: 'push'\."):
        open_demonstrations(write(tmp_path / "one"), Selection(filter="lift"))


def test_an_episode_that_shows_two_tasks_is_taken_for_neither(several):
    set_task_index(several, [0] * 6 + [1, 1, 0, 0])
    assert open_episodes(several, Selection(filter="push")).lengths == LENGTHS[:1]
    with pytest.raises(ValueError, match="no episode that shows 'pull' alone"):
        open_episodes(several, Selection(filter="pull"))


def test_the_index_in_the_rows_counts_whatever_is_listed_with_the_episodes(several):
    set_task_index(several, [1] * 6 + [0] * 4)
    assert open_episodes(several, Selection(filter="pull")).lengths == LENGTHS[:1]


def test_rows_without_an_index_leave_the_list_of_episodes_to_tell(several):
    forget_task_index(several)
    with pytest.raises(ValueError, match="holds 2 tasks"):
        open_episodes(several, Selection())
    assert open_episodes(several, Selection(filter="pull")).lengths == LENGTHS[1:]


def test_a_data_set_that_names_no_task_is_one(tmp_path):
    root = write_v3(tmp_path / "unnamed")
    forget_task_index(root)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["tasks"]), path)
    episodes = open_episodes(root, Selection())
    assert episodes.lengths == LENGTHS
    assert "recorded_task" not in episodes.origin
    with pytest.raises(ValueError, match="leave the filter out: none is named there"):
        open_episodes(root, Selection(filter="push"))


def test_of_many_tasks_some_are_listed(tmp_path):
    root = write_v3(tmp_path / "many")
    words = [f"task {number:02d}" for number in range(STEPS)]
    pd.DataFrame({"task_index": range(STEPS)}, index=pd.Index(words)).to_parquet(root / "meta/tasks.parquet")
    set_task_index(root, list(range(STEPS)))
    with pytest.raises(ValueError, match=r"holds 10 tasks, .*'task 00', .*'task 07' and 2 others\."):
        open_episodes(root, Selection())


def test_words_in_a_column_of_their_own_are_read_too(tmp_path):
    root = write_v3(tmp_path / "several", tasks=("push", "pull"))
    pq.write_table(pa.table({"task_index": [1, 0], "task": ["pull", "push"]}), root / "meta/tasks.parquet")
    assert open_episodes(root, Selection(filter="pull")).lengths == LENGTHS[1:]


def test_a_list_of_tasks_that_is_lost_damaged_or_of_other_rows_is_refused(several):
    set_task_index(several, [0] * 6 + [7] * 4)
    with pytest.raises(ValueError, match=r"have task_index \[7\], not one of the 2 tasks of .*tasks\..*; copy"):
        open_episodes(several, Selection())
    (path,) = (several / "meta").glob("tasks.*")
    path.write_bytes(b"no list")
    with pytest.raises(ValueError, match=r"the list of tasks .*tasks\.\w+ is missing or damaged .*; copy it again"):
        open_episodes(several, Selection())
    path.unlink()
    with pytest.raises(ValueError, match=r"the list of tasks .*tasks\.\w+ is missing or damaged"):
        open_episodes(several, Selection())
