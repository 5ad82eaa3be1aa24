import pytest
import torch

from distillation.adapting.guard import ALSO_KEPT, SHARES, WATCHED, between, choose


def scores(**by_share: float) -> dict[str, dict[str, float]]:
    """{"0": ..., "1": ...} of the watched score; the other one stays as it is."""
    return {share: {WATCHED: value, ALSO_KEPT: 0.5} for share, value in by_share.items()}


def along(old: float, new: float) -> dict[str, dict[str, float]]:
    """A score that changes evenly on the way from old to new weights."""
    return scores(**{f"{share:g}": old + share * (new - old) for share in (0.0, *SHARES)})


def test_the_whole_way_is_taken_where_nothing_is_forgotten():
    assert choose({"frames": along(0.3, 0.6), "general": along(0.5, 0.5)}, max_forgotten=0.0) == 1.0


def test_the_largest_share_that_forgets_little_enough_is_taken():
    assert choose({"frames": along(0.3, 0.6), "general": along(0.5, 0.46)}, max_forgotten=0.0201) == 0.5


def test_directions_that_are_forgotten_count_where_longer_estimates_explain_more():
    """As of an encoder that learned by the cosine alone: its first step of mse sets their length right."""
    general = along(0.02, 0.4)
    for share in (0.0, *SHARES):
        general[f"{share:g}"][ALSO_KEPT] = 1 - 0.2 * share
    assert choose({"frames": along(0.3, 0.6), "general": general}, max_forgotten=0.0501) == 0.25


def test_without_a_guard_the_frames_decide_alone():
    assert choose({"frames": along(0.3, 0.6)}, max_forgotten=0.0) == 1.0


def test_no_gain_and_forgetting_everywhere_are_told_with_their_numbers():
    with pytest.raises(ValueError, match=r"1 of the way: gain -0.1000, forgotten 0.0000"):
        choose({"frames": along(0.3, 0.2), "general": along(0.5, 0.5)}, max_forgotten=0.02)
    with pytest.raises(
        ValueError, match=r"0.125 of the way: gain \+0.0375, forgotten 0.0500.*old encoder is the better"
    ):
        choose({"frames": along(0.3, 0.6), "general": along(0.5, 0.1)}, max_forgotten=0.02)


def test_the_way_leads_from_old_weights_to_new_ones_statistics_included(random_encoder, images):
    old, new = random_encoder("batch", seed=0), random_encoder("batch", seed=1)
    for share, end in ((0.0, old), (1.0, new)):
        assert torch.equal(between(old, new, share).teacher_embedding(images), end.teacher_embedding(images))
    middle = between(old, new, 0.5)
    expected = (old.trunk.bn1.running_var + new.trunk.bn1.running_var) / 2
    torch.testing.assert_close(middle.trunk.bn1.running_var, expected)
    assert not middle.training
