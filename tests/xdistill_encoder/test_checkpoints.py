import hashlib
import json
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import get_args

import pytest
import safetensors.torch
import torch
from torch.nn.utils import prune

from xdistill_encoder import CheckpointError, XDistillResNet18, bundled_checkpoints, checkpoints
from xdistill_encoder.checkpoint_config import CONFIG_FILE, FORMAT_VERSION
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS, WEIGHTS_FOLDER
from xdistill_encoder.norms import Norm


@pytest.fixture(scope="session")
def saved(random_encoder, tmp_path_factory):
    """norm, seed -> a folder written by save_pretrained(half=True), to be read only."""

    @lru_cache
    def save(norm="batch", seed=0):
        return random_encoder(norm, seed).save_pretrained(
            tmp_path_factory.mktemp("saved") / f"{norm}-{seed}", half=True
        )

    return save


@pytest.fixture
def folder(saved, tmp_path):
    """A checkpoint folder to damage."""
    return shutil.copytree(saved(), tmp_path / "encoder")


def message_of(name_or_path, **options) -> str:
    """The text of the CheckpointError that loading ends in."""
    with pytest.raises(CheckpointError) as caught:
        XDistillResNet18.from_pretrained(name_or_path, **options)
    return str(caught.value)


def edit_config(folder, **entries):
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(config | entries))


def edit_tensors(folder, edit):
    """Write what edit(tensors) leaves, with a checksum that fits."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    edit(tensors)
    content = safetensors.torch.save(tensors)
    (folder / WEIGHTS_FILE).write_bytes(content)
    edit_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())


# ---- round trips


def test_float32_weights_come_back_bit_for_bit(random_encoder, images, tmp_path):
    encoder = random_encoder()
    loaded = XDistillResNet18.from_pretrained(encoder.save_pretrained(tmp_path / "encoder"))
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in encoder.state_dict().items())
    assert torch.equal(loaded(images), encoder(images))
    assert torch.equal(loaded.teacher_embedding(images), encoder.teacher_embedding(images))


def test_half_stores_float16_and_loads_as_float32(random_encoder, tmp_path):
    encoder = random_encoder()
    folder = encoder.save_pretrained(tmp_path / "encoder", half=True)
    stored = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    assert {v.dtype for v in stored.values()} == {torch.float16, torch.int64}  # int64: num_batches_tracked
    for key, value in XDistillResNet18.from_pretrained(folder).state_dict().items():
        original = encoder.state_dict()[key]
        assert value.dtype == original.dtype
        assert torch.equal(value, original.half().to(original.dtype) if original.is_floating_point() else original)


def test_half_takes_half_the_bytes(random_encoder, tmp_path):
    encoder = random_encoder()
    full, half = (encoder.save_pretrained(tmp_path / str(h), half=h) / WEIGHTS_FILE for h in (False, True))
    assert half.stat().st_size == pytest.approx(full.stat().st_size / 2, rel=0.01)


def test_a_weight_beyond_float16_is_refused_under_half_and_stored_without(random_encoder, tmp_path):
    encoder = random_encoder()
    encoder.state_dict()["trunk.bn1.running_var"][0] = 70_000
    with pytest.raises(
        ValueError, match=r"half: trunk.bn1.running_var reaches 7e\+04, float16 ends at 65504; .*half=False"
    ):
        encoder.save_pretrained(tmp_path / "encoder", half=True)
    assert not (tmp_path / "encoder").exists()
    loaded = XDistillResNet18.from_pretrained(encoder.save_pretrained(tmp_path / "encoder"))
    assert loaded.state_dict()["trunk.bn1.running_var"][0] == 70_000


@pytest.mark.parametrize(("trained", "loaded"), [("batch", "frozen"), ("frozen", "frozen"), ("group", "group")])
def test_a_checkpoint_loads_with_the_norm_that_policies_need(saved, images, trained, loaded):
    """Live batch statistics ruin a policy whose weights are averaged, so they must be asked for."""
    encoder = XDistillResNet18.from_pretrained(saved(trained))
    assert encoder.norm == loaded
    before = {key: buffer.clone() for key, buffer in encoder.named_buffers()}
    features = encoder(images)
    torch.testing.assert_close(encoder.train()(images), features)
    assert all(torch.equal(buffer, before[key]) for key, buffer in encoder.named_buffers())


@pytest.mark.parametrize(("trained", "asked"), [("frozen", "batch"), ("batch", "frozen")])
def test_batch_and_frozen_share_weights(saved, images, trained, asked):
    as_trained, as_asked = (XDistillResNet18.from_pretrained(saved(trained), norm=norm) for norm in (trained, asked))
    assert as_asked.norm == asked
    torch.testing.assert_close(as_asked(images), as_trained(images))


def test_a_loaded_encoder_is_in_eval_mode_and_knows_its_checkpoint(random_encoder, tmp_path):
    provenance = {"teacher": "ViT-Ti/16", "scores": {"10-NN": 84.5}, "steps": 3}
    loaded = XDistillResNet18.from_pretrained(
        random_encoder().save_pretrained(tmp_path / "kettle", provenance=provenance, half=True)
    )
    assert not loaded.training
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.name == "kettle"
    assert loaded.checkpoint.provenance == provenance
    assert loaded.checkpoint.teacher_features == 8


def test_weights_saved_again_say_what_they_started_from_and_claim_no_scores_of_it(random_encoder, tmp_path):
    facts = {"scores": {"10-NN": 84.5}}
    random_encoder().save_pretrained(tmp_path / "first", provenance=facts, half=True)
    again = XDistillResNet18.from_pretrained(tmp_path / "first")
    again.save_pretrained(tmp_path / "second", name="again", half=True)
    first, second = (XDistillResNet18.from_pretrained(tmp_path / name).checkpoint for name in ("first", "second"))
    assert first
    assert second
    origin = {"name": "first", "weights_sha256": first.weights_sha256, "provenance": facts}
    assert (second.name, second.provenance) == ("again", {"started_from": origin})


def test_an_encoder_without_a_teacher_head_comes_back_without_one(images, tmp_path):
    encoder = XDistillResNet18("group").eval()
    loaded = XDistillResNet18.from_pretrained(encoder.save_pretrained(tmp_path / "encoder"))
    assert loaded.teacher_head is None
    assert torch.equal(loaded(images), encoder(images))


def test_a_folder_is_given_as_text_as_a_path_or_from_the_home_folder(saved, monkeypatch):
    monkeypatch.setenv("HOME", str(saved().parent))
    for given in (saved(), str(saved()), f"~/{saved().name}"):
        assert XDistillResNet18.from_pretrained(given).norm == "frozen"


# ---- bundled


@pytest.mark.parametrize(
    ("asked", "norm", "trained"),
    [(None, "frozen", "batch"), *((norm, norm, "group" if norm == "group" else "batch") for norm in get_args(Norm))],
)
def test_no_name_is_the_default_checkpoint_for_the_norm(asked, norm, trained):
    encoder = XDistillResNet18.from_pretrained(norm=asked)
    assert encoder.norm == norm
    assert encoder.checkpoint == bundled_checkpoints()[DEFAULT_CHECKPOINTS[trained]]


def test_every_default_is_bundled_and_was_trained_with_its_norm():
    bundled = bundled_checkpoints()
    assert {norm: bundled[name].norm for norm, name in DEFAULT_CHECKPOINTS.items()} == {
        "batch": "batch",
        "group": "group",
    }


@pytest.mark.parametrize("norm", ["batch", "frozen", "group"])
def test_what_a_local_checkpoint_is_can_be_asked_without_its_weights(saved, norm):
    loaded = XDistillResNet18.from_pretrained(norm=norm).checkpoint
    assert checkpoints.local_config(None, norm) == checkpoints.local_config(loaded and loaded.name) == loaded
    folder = saved("group" if norm == "group" else "batch")
    assert checkpoints.local_config(folder) == XDistillResNet18.from_pretrained(folder, norm=norm).checkpoint


def test_a_checkpoint_on_the_hub_is_no_local_one():
    assert checkpoints.local_config("org/name") is None
    with pytest.raises(CheckpointError, match="no checkpoint named 'nowhere'"):
        checkpoints.local_config("nowhere")


def test_a_home_folder_of_nobody_is_an_error_about_the_folder():
    assert "no folder '~nobody-at-all/encoder'" in message_of("~nobody-at-all/encoder")


def test_every_bundled_checkpoint_loads_by_its_name():
    assert bundled_checkpoints()
    for name, config in bundled_checkpoints().items():
        assert XDistillResNet18.from_pretrained(name).checkpoint == config


def test_a_bundled_name_that_is_a_folder_here_too_is_refused(random_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = DEFAULT_CHECKPOINTS["batch"]
    random_encoder().save_pretrained(name)
    assert f"say './{name}' for the folder" in message_of(name)
    assert XDistillResNet18.from_pretrained().checkpoint == bundled_checkpoints()[name]
    assert XDistillResNet18.from_pretrained(f"./{name}").teacher_embedding(torch.zeros(1, 3, 32, 32)).shape == (1, 8)


def test_a_bundled_name_loads_from_within_the_folder_of_the_weights(monkeypatch):
    monkeypatch.chdir(WEIGHTS_FOLDER)
    name = DEFAULT_CHECKPOINTS["batch"]
    assert XDistillResNet18.from_pretrained(name).checkpoint == bundled_checkpoints()[name]


# ---- which checkpoint


def test_a_norm_in_place_of_a_name_says_which_argument_it_is():
    told = "norm='group', and resnet18-gn-vit-ti16-augreg-97k the bundled checkpoint for it"
    assert message_of("group").endswith(told)


@pytest.mark.parametrize("name", ["resnet-18", "", "a/b/c", "no such name"])
def test_an_unknown_name_lists_the_known_ones(name):
    assert message_of(name) == (
        f"no checkpoint named {name!r}: bundled are {', '.join(bundled_checkpoints()) or 'none'}; "
        "otherwise give an existing folder, or 'org/name' on the Hugging Face Hub"
    )


def test_a_path_that_does_not_exist_is_not_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message_of(Path("robots/encoder")).startswith(
        "no folder 'robots/encoder'; a name on the Hub is given as text"
    )


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_file_in_place_of_a_folder_names_the_folder(folder, file):
    assert message_of(str(folder / file)) == (
        f"{folder / file} is a file; give the folder that holds config.json with model.safetensors: {str(folder)!r}"
    )


@pytest.mark.parametrize("value", [18, b"resnet18", ["resnet18"]])
def test_another_type_than_text_or_path_is_refused(value):
    assert message_of(value) == (
        f"name_or_path: expected a bundled name, a folder, 'org/name' on the Hub or None, got {type(value).__name__}"
    )


def test_a_folder_has_no_revisions(folder):
    message = message_of(folder, revision="v1")
    assert message.startswith(f"revision: 'v1' was asked for, and {str(folder)!r} is {folder}, which has no revisions")
    assert "leave revision out" in message


def test_a_bundled_checkpoint_has_no_revisions():
    assert "which has no revisions" in message_of(next(iter(bundled_checkpoints())), revision="v1")


# ---- norm


@pytest.mark.parametrize(("trained", "asked"), [("batch", "group"), ("frozen", "group"), ("group", "batch")])
def test_a_norm_it_was_not_trained_with_is_refused_with_the_reason(saved, trained, asked):
    message = message_of(saved(trained), norm=asked)
    assert message.startswith(
        f"checkpoint {trained}-0 was trained with norm={trained!r} and norm={asked!r} was asked for: "
        "a swap ruins the weights, because"
    )
    assert f"load it with norm={trained!r}, or a checkpoint trained with {asked!r} (bundled: " in message


def test_an_unknown_norm_lists_the_known_ones(saved):
    with pytest.raises(ValueError, match="norm: expected one of batch, frozen, group, got 'layer'"):
        XDistillResNet18.from_pretrained(saved(), norm="layer")  # type: ignore[arg-type]


# ---- damaged or foreign files


def test_a_truncated_file_is_refused_with_its_path(folder):
    file = folder / WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:-1])
    message = message_of(folder)
    assert message.startswith(f"{file}: {file.stat().st_size} bytes with sha256 ")
    assert message.endswith("the file is truncated, damaged or of another checkpoint: copy the whole folder again")


def test_one_flipped_bit_is_refused_with_both_checksums(folder):
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    before = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)
    message = message_of(folder)
    assert f"sha256 {hashlib.sha256(content).hexdigest()}, config.json says {before}" in message
    assert "truncated, damaged or of another checkpoint" in message


def test_an_empty_weights_file_is_refused(folder):
    (folder / WEIGHTS_FILE).write_bytes(b"")
    assert f"{folder / WEIGHTS_FILE}: 0 bytes with sha256" in message_of(folder)


def test_weights_that_are_no_safetensors_are_refused(folder):
    content = b"pickled protocol 4"
    (folder / WEIGHTS_FILE).write_bytes(content)
    edit_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())
    assert message_of(folder).startswith(f"{folder / WEIGHTS_FILE}: not readable as safetensors (")


def test_missing_keys_are_listed(folder):
    edit_tensors(folder, lambda tensors: tensors.pop("trunk.conv1.weight"))
    assert message_of(folder) == (
        "checkpoint batch-0: missing keys trunk.conv1.weight, surplus keys none; "
        "these are weights of another architecture"
    )


def test_surplus_keys_are_listed(folder):
    edit_tensors(folder, lambda tensors: tensors.update({"trunk.fc.weight": torch.zeros(2, 2)}))
    assert "missing keys none, surplus keys trunk.fc.weight;" in message_of(folder)


def test_many_wrong_keys_are_counted(folder):
    def drop_layer1(tensors):
        for key in [k for k in tensors if k.startswith("trunk.layer1.")]:
            del tensors[key]

    edit_tensors(folder, drop_layer1)  # 2 blocks x 2 x (1 kernel + 5 of batch norm) = 24 tensors, 4 of them named
    assert "and 20 more, surplus keys none" in message_of(folder)


def test_wrong_shapes_are_listed_beside_the_right_ones(folder):
    edit_tensors(folder, lambda tensors: tensors.update({"trunk.conv1.weight": torch.zeros(64, 4, 7, 7)}))
    assert message_of(folder) == (
        "checkpoint batch-0: wrong shapes: trunk.conv1.weight is (64, 4, 7, 7), expected (64, 3, 7, 7)"
    )


def test_a_folder_without_weights_is_refused(folder):
    (folder / WEIGHTS_FILE).unlink()
    assert (
        message_of(folder) == f"{folder}: config.json is there, model.safetensors is not; copy the whole folder again"
    )


def test_a_folder_without_a_config_is_refused(folder):
    (folder / CONFIG_FILE).unlink()
    assert message_of(folder) == (
        f"{folder}: no config.json, so this is no xdistill-encoder checkpoint; "
        "name a folder that save_pretrained() or `xdistill distill` wrote"
    )


def test_a_folder_around_a_checkpoint_says_where_it_is(folder):
    assert message_of(folder.parent).endswith(f"no xdistill-encoder checkpoint; there is one inside, {folder}")


@pytest.mark.parametrize("content", [b"", b'{"name": ', b"\xff\xfe"])
def test_a_config_that_is_no_json_is_refused_with_its_path(folder, content):
    (folder / CONFIG_FILE).write_bytes(content)
    message = message_of(folder)
    assert message.startswith(f"{folder / CONFIG_FILE}: not readable as JSON (")
    assert message.endswith("copy the whole folder again")


@pytest.mark.parametrize("content", ["{}", "[]", '{"architectures": ["ResNet"]}'])
def test_a_foreign_config_is_refused(folder, content):
    (folder / CONFIG_FILE).write_text(content)
    assert message_of(folder).endswith("config.json: no format_version, so this is no xdistill-encoder checkpoint")


def test_a_config_of_a_newer_format_asks_for_an_upgrade(folder):
    edit_config(folder, format_version=FORMAT_VERSION + 1, pyramid=True)
    assert message_of(folder) == (
        f"{folder / CONFIG_FILE}: format version 2, this xdistill-encoder reads 1; "
        "upgrade with: pip install --upgrade xdistill-encoder"
    )


@pytest.mark.parametrize("version", [0, "1", None])
def test_a_format_version_that_never_was_is_no_reason_to_upgrade(folder, version):
    edit_config(folder, format_version=version)
    assert message_of(folder).endswith(
        f"format version {version!r}, this xdistill-encoder reads 1; save it again with save_pretrained()"
    )


def test_missing_and_unknown_entries_of_a_config_are_listed(folder):
    config = json.loads((folder / CONFIG_FILE).read_text())
    del config["norm"]
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"normalisation": "batch"}))
    assert "missing entries ['norm'], unknown entries ['normalisation']" in message_of(folder)


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("architecture", "resnet50", "'resnet18'"),
        ("norm", "layer", "one of batch, frozen, group"),
        ("teacher_features", 0, "a whole number from 1 up, or null"),
        ("teacher_features", "192", "a whole number from 1 up, or null"),
        ("name", 18, "a string"),
        ("weights_sha256", None, "a string"),
        ("provenance", ["ViT"], "an object"),
    ],
)
def test_an_entry_outside_its_values_is_refused_with_both(folder, entry, value, expected):
    edit_config(folder, **{entry: value})
    assert message_of(folder) == f"{folder / CONFIG_FILE}: {entry}: expected {expected}, got {value!r}"


# ---- interrupted and failing writes


@pytest.mark.parametrize("replaced", [CONFIG_FILE, WEIGHTS_FILE])
def test_one_file_of_another_save_is_a_checksum_error(saved, folder, replaced):
    # what lies there once a process is killed after it moved one of the two files into place
    shutil.copy(saved(seed=1) / replaced, folder / replaced)
    assert "truncated, damaged or of another checkpoint" in message_of(folder)


def test_a_write_that_fails_leaves_the_old_checkpoint_alone(random_encoder, folder, images):
    before = XDistillResNet18.from_pretrained(folder)(images)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # bytes: a disk that is full after the first MB
    try:
        with pytest.raises(OSError, match="File too large"):
            random_encoder(seed=1).save_pretrained(folder, half=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    assert torch.equal(XDistillResNet18.from_pretrained(folder)(images), before)


def test_saving_over_a_checkpoint_replaces_it(random_encoder, folder, images):
    after = random_encoder(seed=1)
    after.save_pretrained(folder)
    assert torch.equal(XDistillResNet18.from_pretrained(folder)(images), after(images))


@pytest.mark.parametrize(("argument", "value"), [("name", Path("kettle")), ("provenance", ["a list"])])
def test_what_would_not_load_is_not_saved(random_encoder, tmp_path, argument, value):
    with pytest.raises(ValueError, match=f"{argument}: expected"):
        random_encoder().save_pretrained(tmp_path / "encoder", **{argument: value})
    assert not (tmp_path / "encoder").exists()


def test_weights_that_are_not_finite_are_not_saved(random_encoder, tmp_path):
    encoder = random_encoder()
    encoder.trunk.conv1.weight.data[0] = float("nan")
    with pytest.raises(ValueError, match=r"trunk.conv1.weight: holds NaN or infinity"):
        encoder.save_pretrained(tmp_path / "encoder")


def test_an_encoder_whose_classifier_was_put_back_is_not_saved(random_encoder, tmp_path):
    encoder = random_encoder()
    encoder.trunk.fc = torch.nn.Linear(512, 10)
    with pytest.raises(ValueError, match=r"surplus keys trunk.fc.bias, trunk.fc.weight; these are weights of another"):
        encoder.save_pretrained(tmp_path / "encoder")


def test_a_file_where_the_folder_should_be_is_named(random_encoder, tmp_path):
    (tmp_path / "encoder").touch()
    with pytest.raises(ValueError, match="encoder is a file; name a folder"):
        random_encoder().save_pretrained(tmp_path / "encoder")


def test_threads_may_save_to_one_folder(random_encoder, tmp_path):
    encoder, folder = random_encoder(), tmp_path / "encoder"
    with ThreadPoolExecutor() as threads:
        for save in [threads.submit(encoder.save_pretrained, folder) for _ in range(8)]:
            save.result()
    assert {path.name for path in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    XDistillResNet18.from_pretrained(folder)


def test_a_checkpoint_loads_while_a_training_replaces_it(random_encoder, tmp_path, monkeypatch):
    """Between its two files a whole new one comes to lie there."""
    folder, new = random_encoder().save_pretrained(tmp_path / "encoder"), random_encoder(seed=1)
    read_weights = checkpoints.read_weights

    def read_late(*arguments):
        monkeypatch.setattr(checkpoints, "read_weights", read_weights)
        new.save_pretrained(folder)
        return read_weights(*arguments)

    monkeypatch.setattr(checkpoints, "read_weights", read_late)
    assert torch.equal(XDistillResNet18.from_pretrained(folder).trunk.conv1.weight, new.trunk.conv1.weight)


@pytest.mark.parametrize("value", [float("nan"), torch.float32, {1, 2}])
def test_provenance_that_json_cannot_hold_is_refused_before_anything_is_written(random_encoder, tmp_path, value):
    with pytest.raises(ValueError, match="provenance: expected what JSON holds"):
        random_encoder().save_pretrained(tmp_path / "encoder", provenance={"loss": value}, half=True)
    assert not (tmp_path / "encoder").exists()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_checkpoint_does_not_overwrite_another_librarys_model(tmp_path, file):
    """LeRobot, transformers and timm give their files the same names."""
    if file == "config.json":
        (tmp_path / file).write_text(json.dumps({"type": "diffusion"}))
    else:
        safetensors.torch.save_file({"unet.weight": torch.ones(3)}, tmp_path / file)
    before = (tmp_path / file).read_bytes()
    with pytest.raises(ValueError, match="holds another model .* give the checkpoint a folder of its own"):
        XDistillResNet18("frozen").save_pretrained(tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_checkpoint_replaces_one_of_ours_and_what_is_left_of_one(tmp_path):
    for left in ("model.safetensors", "config.json"):
        XDistillResNet18("frozen").save_pretrained(tmp_path)
        (tmp_path / left).unlink()
        encoder = XDistillResNet18("group")
        encoder.save_pretrained(tmp_path)
        assert XDistillResNet18.from_pretrained(tmp_path).norm == "group"


def test_a_name_that_no_file_can_have_is_refused_like_other_unknown_ones():
    with pytest.raises(CheckpointError, match="no checkpoint named 'xxx.*: File name too long"):
        XDistillResNet18.from_pretrained("x" * 300)


def test_weights_that_are_nowhere_are_not_saved(tmp_path):
    with torch.device("meta"):
        encoder = XDistillResNet18("frozen")
    with pytest.raises(ValueError, match=r"trunk.conv1.weight: is a Tensor on meta, which holds no plain values; of a"):
        encoder.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pruned_weights_say_how_they_become_plain(random_encoder, tmp_path):
    encoder = random_encoder()
    prune.l1_unstructured(encoder.trunk.conv1, "weight", amount=0.5)
    with pytest.raises(ValueError, match=r"surplus keys trunk.conv1.weight_mask.*torch\.nn\.utils\.prune\.remove"):
        encoder.save_pretrained(tmp_path / "out")


def test_the_lineage_of_a_checkpoint_is_all_that_it_started_from(random_encoder, tmp_path):
    random_encoder().save_pretrained(tmp_path / "first")
    for before, after in (("first", "second"), ("second", "third")):
        XDistillResNet18.from_pretrained(tmp_path / before).save_pretrained(tmp_path / after)
    found = XDistillResNet18.from_pretrained(tmp_path / "third").checkpoint
    assert found is not None
    assert found.lineage() == ("third", "second", "first")
    assert {found: 1}[found] == 1  # it can be hashed
