import pytest
import torch

from policy_examples.explain.attribution.subjects import find_subjects, labels_of

ORIGIN = {"task": "reach", "render": "fast"}


@pytest.fixture(scope="module")
def runs(build_policy, tmp_path_factory):
    """Two runs of one encoder."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a/seed-0", "a/seed-1"):
        build_policy().save(folder / name / "policy", ORIGIN)
    return folder


def test_a_policy_named_twice_is_explained_once(runs):
    first, second = find_subjects([runs / "a/seed-0/policy", runs / "a"])
    assert (first.label, second.label) == ("resnet18-scratch seed-0", "resnet18-scratch seed-1")
    assert (first.cameras, first.state_size, first.action_size) == (("image",), 9, 4)
    assert first.origin["task"] == "reach"
    policy = first.load(torch.device("cpu"))
    assert not policy.training
    assert not any(parameter.requires_grad for parameter in policy.parameters())


def test_encoders_that_differ_go_by_their_names(tmp_path):
    folders = [tmp_path / name / "policy" for name in ("one", "two")]
    assert labels_of(["xdistill", "dinov2-s"], folders) == ["xdistill", "dinov2-s"]


def test_policies_of_two_tasks_are_refused(runs, build_policy, tmp_path):
    build_policy().save(tmp_path / "policy", {"task": "push", "render": "fast"})
    with pytest.raises(ValueError, match="learned from one task, got push, reach; name those of one"):
        find_subjects([runs / "a", tmp_path])
