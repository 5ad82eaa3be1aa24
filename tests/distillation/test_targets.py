import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from distillation import targets
from distillation.cache.store import TargetCache
from distillation.datasets import open_images
from distillation.targets import Config, build, push
from distillation.teachers import Teacher, load_teacher
from distillation.views import AUGMENTATIONS, random_view, render
from tests.xdistill_encoder.hub_server import WRITE_TOKEN, serving

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path, parquet, teacher_spec):
    """Two views of 24 images in shards of 10, 10 and 4 rows."""
    return Config(
        teacher=(teacher_spec,),
        teacher_image_size=None,
        images=(parquet,),
        output=tmp_path / "targets",
        views_per_image=2,
        seed=3,
        shard_rows=10,
        batch_size=4,
        workers=0,
        mixed_precision="no",
    )


@pytest.fixture(scope="module")
def teacher(teacher_spec) -> Teacher:
    return load_teacher(teacher_spec)


def command(config: Config) -> list[str]:
    given = {"teacher": config.teacher, "images": config.images}
    options = [word for name, values in given.items() for word in (f"--{name}", *values)]
    for name in ("output", "views_per_image", "seed", "shard_rows", "batch_size", "workers", "mixed_precision"):
        options += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    return [sys.executable, "-m", "distillation.targets", *options, "--teacher-image-size", "None"]


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("view-*/shard-*.parquet"))


def contents(folder: Path) -> dict[str, list]:
    return {file.relative_to(folder).as_posix(): pq.read_table(file).to_pylist() for file in shard_files(folder)}


def test_a_cache_holds_the_teachers_embedding_of_each_view(config, teacher):
    cache = build(config)
    images = open_images(config.images)
    for view, index in ((0, 0), (1, 23), (1, 9), (0, 10)):
        image = images.read(index)
        drawn = random_view(3, view, index, (image.shape[1], image.shape[2]), AUGMENTATIONS["paper"])
        expected = teacher(render(image, drawn, 32, teacher.preprocessing.interpolation)[None])
        torch.testing.assert_close(cache.read(view, [index]), expected, rtol=2**-11, atol=1e-6)  # float16
        stored, embedding = cache.stored(view, index)
        assert stored == drawn
        assert torch.equal(embedding, cache.read(view, [index])[0])


def test_a_cache_is_the_same_whatever_workers_batches_and_processes_made_it(config, tmp_path, monkeypatch):
    alone = build(config)
    shared = replace(config, output=tmp_path / "shared", workers=1, batch_size=7)
    for rank in ("1", "0", "2"):
        monkeypatch.setenv("SLURM_STEP_ID", "0")
        monkeypatch.setenv("SLURM_PROCID", rank)
        monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
        build(shared)
        if rank == "1":  # the second and fifth of six shards
            written = [file.relative_to(shared.output).as_posix() for file in shard_files(shared.output)]
            assert written == ["view-000/shard-00001.parquet", "view-001/shard-00001.parquet"]
    left, right = (
        np.stack([cache.read(v, range(24)) for v in (0, 1)]) for cache in (alone, TargetCache.open(shared.output))
    )
    np.testing.assert_allclose(left, right, rtol=2**-9, atol=1e-4)  # sums in another order, rounded to float16


def test_a_build_that_is_killed_leaves_no_half_shard_and_ends_as_an_undisturbed_one(config, tmp_path):
    config = replace(config, views_per_image=6, shard_rows=1, batch_size=1)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for number, (sent, status) in enumerate(((signal.SIGKILL, -9), (signal.SIGTERM, 143))):
        process = subprocess.Popen(command(config), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(shard_files(config.output)) <= 20 * number and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(sent)
        output, _ = process.communicate()
        assert process.returncode == status
        assert all(len(rows) == 1 for rows in contents(config.output).values())
        assert 0 < len(shard_files(config.output)) < 6 * 24
        if sent == signal.SIGTERM:
            assert b"SIGTERM: whole shards are kept; the same command computes the rest" in output
    build(config)
    undisturbed = replace(config, output=tmp_path / "undisturbed")
    build(undisturbed)
    found, expected = contents(config.output), contents(undisturbed.output)
    assert found.keys() == expected.keys()
    assert len(found) == 6 * 24
    for name, rows in found.items():
        (row,), (other,) = rows, expected[name]
        np.testing.assert_allclose(row.pop("embedding"), other.pop("embedding"), rtol=2**-9, atol=1e-4)
        assert row == other
    assert not list(config.output.rglob("*.partial"))


def test_damaged_images_are_marked_listed_and_stop_the_build_above_the_limit(config, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:200])
    (folder / "7.png").write_bytes(b"")
    config = replace(config, images=(str(folder),))
    with pytest.raises(ValueError, match="max_damaged"):
        build(config)
    cache = build(replace(config, max_damaged=0.2))
    for view in (0, 1):
        valid = pq.read_table(cache.file(view, 0), columns=["valid"])["valid"].to_pylist()
        assert [index for index in range(10) if not valid[index]] == [4, 7]
    listed = (config.output / "damaged-0.txt").read_text()
    assert "4.png" in listed
    assert "7.png" in listed
    assert len(listed.splitlines()) == 2


def test_once_images_are_repaired_the_same_command_computes_their_rows(config, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(128):  # of which the fingerprint reads the even ones
        Image.new("RGB", (40, 48), (number, 100, 100)).save(folder / f"{number:03}.png")
    whole = (folder / "005.png").read_bytes()
    (folder / "005.png").write_bytes(b"")
    config = replace(config, images=(str(folder),), shard_rows=64, batch_size=64)
    build(replace(config, max_damaged=0.1))
    (folder / "005.png").write_bytes(whole)
    kept = [config.output / f"view-00{view}" / "shard-00001.parquet" for view in (0, 1)]
    before = [file.stat().st_mtime_ns for file in kept]
    cache = build(replace(config, max_damaged=0.0))
    assert cache.read(0, [5]).isfinite().all()
    assert cache.read(1, [5]).isfinite().all()
    assert not (config.output / "damaged-0.txt").exists()
    assert [file.stat().st_mtime_ns for file in kept] == before


def test_several_teachers_lie_side_by_side_each_at_its_own_size(config, teacher_spec, teacher):
    cache = build(replace(config, teacher=(teacher_spec, teacher_spec), embedding="avg", patch_grid=1))
    width = teacher.num_features
    assert cache.facts.width == 2 * width
    both = cache.read(1, [5, 20])
    assert torch.equal(both[:, :width], both[:, width:])
    tokens = cache.read_patches(1, [5, 20])  # (2, P, 1, 1): pooled to one, which is what "avg" is
    torch.testing.assert_close(tokens.flatten(1), both[:, :width], rtol=2**-10, atol=1e-5)


def test_another_folders_cache_is_not_continued(config):
    build(config)
    with pytest.raises(ValueError, match=r"\(seed was 3, is 4\); repeat its settings, or give another folder"):
        build(replace(config, seed=4))


# ---- plan


def test_a_plan_states_rows_disk_and_hours_and_writes_nothing(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(targets, "PROBE_SECONDS", 0.05)
    build(replace(config, plan=True))
    told = capsys.readouterr().out
    assert "24 images x 2 views = 48, 48 of them missing" in told
    for word in ("disk", "decoding", "teacher", "minutes on 1 process"):
        assert word in told
    assert not config.output.exists()
    build(config)
    with pytest.raises(ValueError, match="is whole, nothing is left to compute"):
        build(replace(config, plan=True))


# ---- publishing


@pytest.fixture
def hub():
    """A Hub that answers at HF_ENDPOINT until the test ends."""
    with serving() as server:
        yield server


def test_a_cache_that_was_pushed_is_opened_from_the_hub(config, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    cache = build(replace(config, push="robots/targets"))
    cache.map()  # what is made on this machine is not published
    push(cache, "robots/targets")
    published = TargetCache.open("robots/targets")
    assert published.facts == cache.facts
    assert torch.equal(published.read(1, range(24)), cache.read(1, range(24)))
    files = next(reversed(hub.repositories["datasets/robots/targets"].commits.values()))
    assert sorted(files) == sorted(
        [".gitattributes", "README.md", "targets.json"]
        + [f"view-{view:03}/shard-{shard:05}.parquet" for view in range(2) for shard in range(3)]
    )
    card = files["README.md"].decode()
    for words in ("xdistill distill --targets robots/targets", "vit_random", "terms of both apply", "view_001"):
        assert words in card
    assert str(config.output) not in card


def test_a_cache_with_missing_shards_is_not_published(config, hub):
    cache = build(config)
    cache.file(1, 2).unlink()
    with pytest.raises(ValueError, match="1 of 6 shards are missing"):
        push(cache, "robots/targets")
    assert hub.requests == []


# ---- settings


def test_shards_at_a_url_are_fetched_into_the_folder_that_is_named(config, tmp_path, parquet):
    cache = build(replace(config, images=(f"file://{parquet}",), shard_cache=tmp_path / "shards"))
    assert len(list((tmp_path / "shards").glob("*.arrow"))) == 1
    local = build(replace(config, output=tmp_path / "local"))
    assert torch.equal(cache.read(1, range(24)), local.read(1, range(24)))
    with pytest.raises(ValueError, match="shard_cache_gb: expected a number above 0, got 0"):
        replace(config, shard_cache_gb=0)


def test_a_teacher_that_sees_another_size_than_its_own_is_told(config, capsys):
    build(config)
    assert "--teacher-image-size" not in capsys.readouterr().out
    build(replace(config, teacher_image_size=48, output=config.output / "resampled"))
    told = "teacher vit_random: its images have 48 px, its configuration says 32 px; --teacher-image-size None takes"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("field", ["views_per_image", "shard_rows", "batch_size", "patch_grid"])
def test_numbers_below_one_are_refused(config, field):
    with pytest.raises(ValueError, match=f"{field}: expected 1 or more.*got 0"):
        replace(config, **{field: 0})


@pytest.mark.parametrize("share", [-1, 5])
def test_a_share_of_damaged_images_outside_0_to_1_is_refused(config, share):
    with pytest.raises(ValueError, match=rf"max_damaged: expected a share in \[0, 1\], got {share}"):
        replace(config, max_damaged=share)
