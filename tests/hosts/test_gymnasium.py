import multiprocessing

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.hosts.gymnasium import XDistillObservation, XDistillVectorObservation, encode

CAMERA = Box(0, 255, (48, 64, 3), np.uint8)


class Pixels(gymnasium.Env):
    """Noise from the seed of the reset, three steps an episode."""

    action_space = Box(-1, 1, (2,), np.float32)

    def __init__(self, space=CAMERA):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), 0.0, self.steps == 3, False, {}

    def observe(self):
        image = self.np_random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        if isinstance(self.observation_space, Dict):
            return {"camera": image, "joints": np.zeros(3, np.float32)}
        return image


def expected(encoder, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return encoder(torch.from_numpy(image)[None].movedim(-1, 1))[0].numpy()


def test_an_image_becomes_its_features_at_reset_and_at_every_step(encoder):
    env, plain = XDistillObservation(Pixels(), encoder), Pixels()
    features, _ = env.reset(seed=3)
    np.testing.assert_allclose(features, expected(encoder, plain.reset(seed=3)[0]), rtol=1e-4, atol=1e-4)
    features = env.step(np.zeros(2, np.float32))[0]
    np.testing.assert_allclose(features, expected(encoder, plain.step(None)[0]), rtol=1e-4, atol=1e-4)
    assert env.observation_space.contains(features)


def test_an_image_that_cannot_be_written_to_is_read_all_the_same(encoder):
    image = Pixels().reset(seed=3)[0]
    image.flags.writeable = False  # as of video decoders and JAX
    np.testing.assert_allclose(encode(encoder, image[None])[0], expected(encoder, image.copy()), rtol=1e-4, atol=1e-4)


def test_environments_share_the_encoder_that_they_were_given(encoder):
    env = XDistillObservation(Pixels(), encoder)
    assert env.encoder is encoder
    assert env._saved_kwargs["encoder"] is encoder


def test_features_do_not_depend_on_the_mode_of_a_policy_that_shares_the_encoder(random_encoder):
    shared = random_encoder("batch").eval()
    env = XDistillObservation(Pixels(), shared)
    features, _ = env.reset(seed=3)
    before = shared.trunk.bn1.running_mean.clone()
    torch.nn.Sequential(shared).train()
    np.testing.assert_array_equal(env.reset(seed=3)[0], features)
    assert torch.equal(shared.trunk.bn1.running_mean, before)
    assert shared.trunk.bn1.training


def test_the_other_entries_of_a_dict_stay(encoder):
    space = Dict(camera=CAMERA, joints=Box(-1, 1, (3,), np.float32))
    env = XDistillObservation(Pixels(space), encoder, key="camera")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert observation["camera"].shape == (512,)
    assert observation["joints"].tolist() == [0, 0, 0]


def test_a_vector_environment_gives_what_single_ones_give(encoder):
    vector = XDistillVectorObservation(gymnasium.vector.SyncVectorEnv([Pixels, Pixels]), encoder)
    assert vector.observation_space.shape == (2, 512)
    features, _ = vector.reset(seed=[5, 6])
    for row, seed in zip(features, (5, 6), strict=True):
        single, _ = XDistillObservation(Pixels(), encoder).reset(seed=seed)
        np.testing.assert_allclose(row, single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("space", "key", "told"),
    [
        (Box(0, 1, (48, 64, 3), np.float32), None, r"expected images \(H, W, 3\) uint8"),
        (Box(0, 255, (3, 48, 64), np.uint8), None, r"expected images \(H, W, 3\) uint8"),
        (Box(0, 255, (16, 64, 3), np.uint8), None, "H and W from 32 px"),
        (Dict(camera=CAMERA), None, "name the image with key="),
        (Dict(camera=CAMERA), "wrist", "key: expected one of the observation's entries, got 'wrist'"),
    ],
)
def test_an_observation_without_such_an_image_is_refused(encoder, space, key, told):
    with pytest.raises(ValueError, match=told):
        XDistillObservation(Pixels(space), encoder, key)


def test_an_encoder_for_normalised_images_is_refused():
    with pytest.raises(ValueError, match="encoder: expected one for pixels .* got one .* inputs_normalized=True"):
        XDistillObservation(Pixels(), XDistillResNet18("frozen", inputs_normalized=True))


def wrap(threads: int, told) -> None:
    """What becomes of the wrapper in a process with so many threads."""
    torch.set_num_threads(threads)
    try:
        told.send(XDistillObservation(Pixels()).reset(seed=0)[0].shape)
    except ValueError as error:
        told.send(str(error))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_refused_in_which_threads_would_hang(encoder):
    encoder(torch.rand(1, 3, 64, 64))  # torch has started its threads here
    context = multiprocessing.get_context("fork")
    for threads, expected_answer in ((2, "forked from one that had loaded torch"), (1, (512,))):
        here, there = context.Pipe()
        process = context.Process(target=wrap, args=(threads, there))
        process.start()
        assert here.poll(60), threads
        answer = here.recv()
        process.join(60)
        assert expected_answer in answer if threads > 1 else answer == expected_answer
