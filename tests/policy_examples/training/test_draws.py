import itertools

import pytest
import torch

from policy_examples.augmentation import Augmentation
from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.training.draws import HIGHEST_SEED, generator_of


def test_a_seed_and_a_step_give_the_same_draws_whenever_they_are_asked():
    assert torch.equal(torch.randn(8, generator=generator_of(3, 7)), torch.randn(8, generator=generator_of(3, 7)))


def test_other_seeds_and_other_steps_give_other_draws():
    pairs = itertools.product((0, 1, 2, 4096, HIGHEST_SEED), (0, 1, 2, 599))
    drawn = [torch.randn(8, generator=generator_of(seed, step)) for seed, step in pairs]
    assert len({tuple(values.tolist()) for values in drawn}) == len(drawn)


@pytest.mark.parametrize("seed", [1, 12345])
def test_noise_levels_and_crops_of_another_seed_differ_at_the_same_step(seed):
    policy = DiffusionPolicy(PolicyShape(9, 4, 4, 2, 3, (16,), cameras=()), [load_encoder("blind")])
    augmentation = Augmentation(crop_px=32, colour=0.5)
    generators = generator_of(0, 5), generator_of(seed, 5)
    (noise, level), (others_noise, others_level) = (policy.draw_noise(16, generator) for generator in generators)
    crops, others_crops = (augmentation.draw(16, generator) for generator in generators)
    assert not torch.equal(noise, others_noise)
    assert not torch.equal(level, others_level)
    assert not torch.equal(crops, others_crops)
