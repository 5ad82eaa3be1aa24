import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from policy_examples.explain.silhouette import EpisodeSilhouette, Score, silhouette


def drawn(random: np.random.Generator, episodes: int, frames: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of two stages at (0, 0) and (2, 0); those of an episode share an offset."""
    stage = np.tile(np.repeat([0, 1], frames), episodes)
    episode = np.repeat(np.arange(episodes), 2 * frames)
    points = random.normal(0, 0.5, (len(stage), 2)) + random.normal(0, 0.5, (episodes, 2))[episode]
    points[:, 0] += 2 * stage
    return points, stage, episode


def test_the_silhouette_is_scikit_learns():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 5))
    stages = random.integers(0, 4, 60)
    features[:, 0] += stages
    mine = silhouette(features, stages, np.arange(60) // 10, samples=10)
    assert mine.mean == pytest.approx(silhouette_score(features, stages), abs=1e-9)


def test_a_stage_of_one_frame_scores_0_as_scikit_learns():
    features, stages = np.array([[0.0, 0], [1, 0], [5, 0], [6, 1]]), np.array([0, 0, 1, 2])
    mine = EpisodeSilhouette(features, stages, np.arange(4)).score()
    assert mine == pytest.approx(silhouette_score(features, stages), abs=1e-12)


def test_two_far_points_score_1_and_one_cloud_about_0():
    stages, episodes = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert silhouette(np.array([[0.0], [0], [1], [1]]), stages, episodes).mean == 1
    assert silhouette(np.zeros((4, 3)), stages, episodes).mean == 0


def test_counting_every_episode_twice_changes_nothing():
    parts = EpisodeSilhouette(*drawn(np.random.default_rng(0), 5))
    assert parts.score(np.full(5, 2.0)) == pytest.approx(parts.score())


def test_episodes_that_are_not_drawn_have_no_part_in_the_score():
    points, stages, episodes = drawn(np.random.default_rng(0), 5)
    kept = episodes != 2
    alone = EpisodeSilhouette(points[kept], stages[kept], episodes[kept]).score()
    whole = EpisodeSilhouette(points, stages, episodes)
    assert whole.score(np.array([1.0, 1, 0, 1, 1])) == pytest.approx(alone)


@pytest.mark.parametrize("episodes", [5, 10, 20])
def test_the_interval_covers_the_silhouette_of_very_many_episodes_nineteen_times_of_twenty_or_little_less(episodes):
    random = np.random.default_rng(0)
    truth = EpisodeSilhouette(*drawn(random, 300)).score()
    trials = [silhouette(*drawn(random, episodes), samples=200) for _ in range(100)]
    assert 0.88 <= np.mean([(found.low or 0) <= truth <= (found.high or 0) for found in trials]) <= 0.99


def test_the_interval_is_the_same_at_every_call_and_holds_the_score():
    sample = drawn(np.random.default_rng(1), 10)
    found = silhouette(*sample)
    assert found == silhouette(*sample)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high


def test_a_single_episode_has_no_interval():
    found = silhouette(*drawn(np.random.default_rng(0), 1))
    assert (found.low, found.high) == (None, None)
    assert str(Score(0.5, None, None)) == "0.500"
    assert str(Score(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_one_stage_or_features_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"two or more, got \[0\]"):
        silhouette(np.zeros((3, 2)), np.zeros(3, int), np.arange(3))
    with pytest.raises(ValueError, match="expected finite numbers"):
        silhouette(np.array([[np.nan], [0]]), np.array([0, 1]), np.arange(2))
    with pytest.raises(ValueError, match="samples: expected 1 or more, got 0"):
        silhouette(np.array([[1.0], [0]]), np.array([0, 1]), np.arange(2), samples=0)
