import pytest
import torch

from policy_examples.explain.attribution.subjects import find_subjects, labels_of, policy_folders

ORIGIN = {"task": "reach", "render": "fast"}


@pytest.fixture(scope="module")
def runs(build_policy, tmp_path_factory):
    """Two runs of one encoder, one that is blind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, kind in (("a/seed-0", "resnet18-scratch"), ("a/seed-1", "resnet18-scratch"), ("b", "blind")):
        build_policy(kind).save(folder / name / "policy", ORIGIN)
    return folder


def test_a_folder_of_runs_is_searched_and_what_reads_no_image_is_left_out(runs, capsys):
    assert policy_folders(runs) == [runs / "a/seed-0/policy", runs / "a/seed-1/policy"]
    assert capsys.readouterr().out == f"left out: {runs}/b/policy, which reads no camera\n"


def test_a_policy_named_twice_is_explained_once(runs):
    first, second = find_subjects([runs / "a/seed-0/policy", runs / "a"])
    assert (first.label, second.label) == ("resnet18-scratch seed-0", "resnet18-scratch seed-1")
    assert (first.state_size, first.action_size, first.origin["task"]) == (9, 4, "reach")
    policy = first.load(torch.device("cpu"))
    assert not policy.training
    assert not any(parameter.requires_grad for parameter in policy.parameters())


def test_encoders_that_differ_go_by_their_names(tmp_path):
    folders = [tmp_path / name / "policy" for name in ("one", "two")]
    assert labels_of(["xdistill", "dinov2-s"], folders) == ["xdistill", "dinov2-s"]


def test_a_policy_that_reads_no_image_is_refused_with_what_it_reads(runs):
    with pytest.raises(ValueError, match=r"the one in .*b/policy reads no camera; train one with `xdistill finetune"):
        find_subjects([runs / "b/policy"])


def test_a_folder_without_policies_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"holds no policy that reads images; `xdistill finetune --output"):
        find_subjects([tmp_path])


def test_policies_of_two_tasks_are_refused(runs, build_policy, tmp_path):
    build_policy().save(tmp_path / "policy", {"task": "push", "render": "fast"})
    with pytest.raises(ValueError, match="learned from one task, got push, reach; name those of one"):
        find_subjects([runs / "a", tmp_path])
