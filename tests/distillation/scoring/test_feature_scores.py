import numpy as np
import pytest
import torch
from torch import nn

from distillation.datasets import open_labelled
from distillation.scoring.corruptions import CORRUPTIONS
from distillation.scoring.feature_scores import (
    agreement_scores,
    knn_scores,
    robustness_scores,
    score_features,
    teacher_head_scores,
)
from xdistill_encoder import XDistillResNet18

ARGMAX = nn.Identity()
"""A classifier of three classes whose logits are the embedding."""


def test_a_network_in_training_is_scored_in_eval_mode_and_goes_on_as_it_was(parquet):
    torch.manual_seed(0)
    encoder = XDistillResNet18("batch", teacher_features=8).train()
    encoder.freeze("layer1")
    modes = [module.training for module in encoder.modules()]
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    random_state = torch.get_rng_state()
    images = open_labelled([parquet], "train")

    scores = score_features(encoder, images, images, 32, torch.device("cpu"), workers=0)
    assert list(scores) == ["knn10_percent", "knn20_percent", "effective_rank"]
    assert [module.training for module in encoder.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert scores == score_features(encoder.eval(), images, images, 32, torch.device("cpu"), workers=0)


def test_scores_are_per_cent():
    """Two clusters of twenty; one of four queries lies in the wrong one."""
    labels = torch.arange(40) % 2
    bank = torch.eye(2)[labels]
    queries, wanted = torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 0, 0])
    assert knn_scores(bank, labels, queries, wanted) == {"knn10_percent": 75, "knn20_percent": 75}


def test_the_drop_is_the_mean_over_corruptions_of_the_points_lost():
    """Of four queries noise takes two, the others none: (0 + 50 + 0) / 3."""
    labels = torch.arange(40) % 2
    bank = torch.eye(2)[labels]
    wanted = torch.tensor([0, 1, 0, 1])
    queries = dict.fromkeys(CORRUPTIONS, torch.eye(2)[wanted]) | {"noise": torch.eye(2)[[0, 0, 0, 0]]}
    assert robustness_scores(bank, labels, queries, wanted, clean_percent=100) == {
        "knn10_blur_percent": 100,
        "knn10_noise_percent": 50,
        "knn10_brightness_percent": 100,
        "robustness_drop_points": 16.67,
    }


def test_agreement_is_the_mean_over_teachers():
    targets = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    scores = agreement_scores([targets, -targets], [targets, targets])
    assert scores["teacher_cosine"] == pytest.approx(0)
    # 1 - MSE / variance of the second, whose error is 2 t: 1 - 4 mean(t^2) / variance
    second = 1 - 4 * targets.square().mean(dim=0).sum() / targets.var(dim=0, correction=0).sum()
    assert scores["teacher_explained_variance"] == pytest.approx((1 + second.item()) / 2, abs=1e-4)


def test_the_teachers_classifier_is_asked_about_estimates_and_about_the_truth():
    estimates = torch.eye(3)[[0, 1, 2, 2]]
    targets = torch.eye(3)[[0, 1, 2, 0]]
    labels = np.array([0, 1, 1, 0])
    scores = teacher_head_scores(ARGMAX, estimates, targets, labels, classes=3)
    assert scores == {"teacher_head_agreement_percent": 75, "teacher_head_top1_percent": 50}


def test_labels_of_fewer_classes_are_right_through_the_classes_that_they_mean():
    estimates, labels = torch.eye(3)[[2, 2, 0, 1]], np.array([0, 0, 1, 1])
    assert teacher_head_scores(ARGMAX, estimates, None, labels, classes=2) == {}
    scores = teacher_head_scores(ARGMAX, estimates, None, labels, classes=2, teacher_classes=(2, 0))
    assert scores == {"teacher_head_top1_percent": 75}


@pytest.mark.parametrize("classes", [(0,), (0, 3), (-1, 0)])
def test_classes_that_the_teacher_does_not_have_are_refused(classes):
    with pytest.raises(ValueError, match=r"teacher_classes: expected 2 numbers in \[0, 3\), one a label, got"):
        teacher_head_scores(ARGMAX, torch.eye(3), None, np.array([0, 1, 1]), classes=2, teacher_classes=classes)
