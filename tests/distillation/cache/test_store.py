import pytest
import torch

from distillation.cache.store import TargetCache


def test_rows_of_every_shard_come_back_in_the_order_asked(whole):
    indices = [10, 0, 3, 4, 0]
    for view in range(2):
        read = TargetCache.open(whole.folder).read(view, torch.tensor(indices))
        assert torch.equal(read, torch.tensor([[view, index, -0.5] for index in indices]))
        assert read.dtype == torch.float32


def test_reading_a_damaged_image_names_it(whole):
    with pytest.raises(ValueError, match="image 6 could not be read when .* was built"):
        whole.read(0, [5, 6])
    assert whole.stored(1, 6)[0] is None


def test_missing_shards_are_listed_and_refused_with_their_number_and_the_command(tmp_path, cache_facts, write_rows):
    cache = TargetCache.create(tmp_path, cache_facts())
    for shard in ((0, 0), (0, 2), (1, 1)):
        write_rows(cache, *shard)
    assert cache.missing() == [(1, 0), (0, 1), (1, 2)]
    with pytest.raises(ValueError, match=r"3 of 6 shards are missing in .*computes them: xdistill targets --seed 7"):
        TargetCache.open(tmp_path).read(0, [0])


@pytest.mark.parametrize("parts", [1, 2, 4, 9])
def test_processes_share_all_shards_and_each_reads_neighbouring_images_in_all_their_views(tmp_path, cache_facts, parts):
    cache = TargetCache(tmp_path, cache_facts())
    shares = [cache.share(part, parts) for part in range(parts)]
    assert (
        [shard for share in shares for shard in share]
        == cache.shards()
        == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    )
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_run_that_asks_for_something_else_is_told_what_was_and_what_is(whole, cache_facts):
    cache = TargetCache.open(whole.folder)
    cache.require(cache_facts(views=None))
    with pytest.raises(ValueError, match=r"is of something else \(seed was 7, is 8; views was 2, is 3\); repeat"):
        cache.require(cache_facts(seed=8, views=3))


def test_a_build_in_the_folder_of_another_is_refused_and_leaves_it_as_it_was(whole, cache_facts):
    for changes, told in (
        ({"precision": "no"}, "precision was bf16, is no"),
        ({"patch_grid": 2}, "patch_grid was None"),
    ):
        with pytest.raises(ValueError, match=told):
            TargetCache.create(whole.folder, cache_facts(**changes))
    assert TargetCache.open(whole.folder).facts == cache_facts()


def test_a_cache_that_other_code_goes_on_with_names_all_of_it(tmp_path, cache_facts):
    """`publish` refuses weights from a cache that code with uncommitted changes computed a part of."""
    begun = TargetCache.create(tmp_path, cache_facts(made={"commit": "aaaa", "device": "a GPU", "command": "xdistill"}))
    begun.add_launch({"commit": "aaaa", "device": "a GPU"})
    assert TargetCache.open(tmp_path).facts.made["commit"] == "aaaa"
    for commit, device in (("bbbb-dirty", "a GPU"), ("cccc", "a CPU"), ("cccc", "a CPU")):
        TargetCache.open(tmp_path).add_launch({"commit": commit, "device": device})
    made = TargetCache.open(tmp_path).facts.made
    assert made == {"commit": "aaaa, cccc, bbbb-dirty", "device": "a GPU; a CPU", "command": "xdistill"}
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["targets.json"]


def test_of_processes_that_begin_at_once_no_one_loses_what_another_noted(tmp_path, cache_facts):
    TargetCache.create(tmp_path, cache_facts(made={"commit": "aaaa", "device": "a GPU"}))
    opened = [TargetCache.open(tmp_path) for _ in range(2)]
    opened[0].add_launch({"commit": "bbbb-dirty", "device": "a GPU"})
    opened[1].add_launch({"commit": "aaaa", "device": "a CPU"})
    made = TargetCache.open(tmp_path).facts.made
    assert (made["commit"], made["device"]) == ("aaaa, bbbb-dirty", "a GPU; a CPU")


def test_patch_tokens_come_back_as_a_map_and_only_where_they_were_kept(tmp_path, whole, cache_facts, write_rows):
    cache = TargetCache.create(tmp_path / "patches", cache_facts(patch_grid=2))
    for shard in cache.missing():
        write_rows(cache, *shard)
    assert torch.equal(cache.read_patches(1, [3, 9]), torch.ones(2, 5, 2, 2))
    with pytest.raises(ValueError, match="--patch-grid"):
        whole.read_patches(0, [0])
    with pytest.raises(ValueError, match="repeat --patch-grid 2"):
        TargetCache.create(cache.folder, cache_facts())


def test_a_folder_without_facts_and_facts_of_another_format_are_refused(tmp_path, whole):
    with pytest.raises(ValueError, match="no targets.json in"):
        TargetCache.open(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        TargetCache.open(tmp_path / "nowhere")
    file = whole.folder / "targets.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"targets.json: format: expected 1, got 2"):
        TargetCache.open(whole.folder)


def test_a_view_that_does_not_exist_is_refused(whole):
    with pytest.raises(ValueError, match="view: expected 0 to 1, got 2"):
        whole.read(2, [0])


def test_a_sample_answers_for_every_image_from_the_first_shard_and_writes_nothing(whole):
    before = sorted(whole.folder.rglob("*"))
    whole.sample()
    assert whole.read(0, [1, 5, 10]).tolist() == [[0, 1, -0.5], [0, 1, -0.5], [0, 2, -0.5]]  # shards of 4 rows
    assert sorted(whole.folder.rglob("*")) == before
    whole.file(1, 2).unlink()
    with pytest.raises(ValueError, match="1 of 6 shards are missing"):
        whole.sample()
