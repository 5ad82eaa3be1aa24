import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch._inductor import config as inductor

from policy_examples.augmentation import centre_crop
from policy_examples.encoders import empty_encoder, load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.windows import Windows

SHAPE = PolicyShape(
    state_size=9,
    action_size=4,
    horizon=4,
    observation_steps=2,
    action_steps=3,
    channels=(32, 64),
    step_embedding_size=16,
)
BLIND = replace(SHAPE, cameras=())


@pytest.fixture
def rich(demonstrations):
    """The demonstrations with a second camera and with points."""
    random = np.random.default_rng(1)
    points = random.normal(size=(21, 16, 3)).astype(np.float32)
    return replace(demonstrations, cameras={"wrist": demonstrations.images[:, ::-1].copy()}, point_clouds=points)


@pytest.fixture
def build(rich):
    """(shape, encoders) -> a policy whose normalisers know the demonstrations."""

    def build(shape, *encoders):
        policy = DiffusionPolicy(shape, encoders)
        policy.agent_pos.fit(torch.from_numpy(rich.agent_pos))
        policy.actions.fit(torch.from_numpy(rich.actions))
        return policy

    torch.manual_seed(0)
    return build


@pytest.fixture
def policy(build):
    return build(SHAPE, load_encoder("resnet18-scratch"))


@pytest.fixture
def batch(rich):
    reads = ("image", "image_wrist", "point_cloud", "agent_pos")
    return Windows(rich, horizon=4, observation_steps=2, action_steps=3, reads=reads)[torch.tensor([1, 6, 15])]


def seeded(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


# ---- learning


def test_the_loss_of_a_denoiser_that_answers_zero_is_the_mean_square_of_the_normalised_actions(policy, batch):
    torch.nn.init.zeros_(policy.unet.out[-1].weight)
    torch.nn.init.zeros_(policy.unet.out[-1].bias)
    expected = policy.actions.normalize(batch["action"]).square().mean()
    torch.testing.assert_close(policy.compute_loss(batch), expected)


def test_the_loss_of_a_noise_prediction_that_answers_zero_is_the_mean_square_of_the_noise(build, batch):
    policy = build(replace(BLIND, prediction="epsilon"), load_encoder("blind"))
    torch.nn.init.zeros_(policy.unet.out[-1].weight)
    torch.nn.init.zeros_(policy.unet.out[-1].bias)
    noise, _ = policy.draw_noise(3, *seeded(0))
    torch.testing.assert_close(policy.compute_loss(batch, *seeded(0)), noise.square().mean())


def test_the_loss_reaches_every_parameter_of_encoder_and_head(policy, batch):
    policy.compute_loss(batch).backward()
    assert [name for name, parameter in policy.named_parameters() if parameter.grad is None] == []
    assert policy.encoders[0].network.resnet.trunk.conv1.weight.grad.abs().sum() > 0


def test_a_policy_reproduces_three_windows_that_it_was_trained_on(build, batch):
    policy = build(BLIND, load_encoder("blind"))
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, fused=True)
    (noise,) = seeded(0)
    for _ in range(200):
        policy.compute_loss(batch, noise).backward()
        optimizer.step()
        optimizer.zero_grad()
    actions = policy.eval().predict_action(batch, *seeded(1))
    torch.testing.assert_close(actions, batch["action"][:, 1:4], atol=0.1, rtol=0)


# ---- acting


class PerfectDenoiser(nn.Module):
    """Knows the clean actions, and so the noise: x = sqrt(a) * actions + sqrt(1 - a) * noise."""

    def __init__(self, actions, scheduler, prediction):
        super().__init__()
        self.actions, self.kept, self.prediction = actions, scheduler.alphas_cumprod, prediction

    def forward(self, noisy, level, condition):
        kept = self.kept[level][:, None, None]
        noise = (noisy - kept.sqrt() * self.actions) / (1 - kept).sqrt()
        return noise if self.prediction == "epsilon" else self.actions


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize(("sampler", "inference_steps"), [("ddim", 10), ("ddim", 100), ("ddpm", 100)])
def test_each_sampler_comes_to_the_actions_that_a_perfect_denoiser_knows(
    build, batch, prediction, sampler, inference_steps
):
    shape = replace(BLIND, prediction=prediction, sampler=sampler, inference_steps=inference_steps)
    policy = build(shape, load_encoder("blind"))
    policy.unet = PerfectDenoiser(policy.actions.normalize(batch["action"]), policy.scheduler, prediction)
    actions = policy.predict_action(batch, seeded(0, 1, 2))
    torch.testing.assert_close(actions, batch["action"][:, 1:4], atol=1e-3, rtol=0)


@pytest.mark.parametrize("constant", [False, True])
def test_the_executed_actions_lie_within_the_limits_of_the_demonstrations(policy, batch, demonstrations, constant):
    if constant:  # a gripper that no demonstration closes
        actions = demonstrations.actions.copy()
        actions[:, 3] = 0.25
        demonstrations = replace(demonstrations, actions=actions)
        policy.actions.fit(torch.from_numpy(actions))
    with torch.no_grad():
        for parameter in policy.unet.parameters():
            parameter.mul_(20)  # an untrained one stays near the middle
    actions = policy.eval().predict_action(batch)
    assert actions.shape == (3, 3, 4)
    assert not constant or (actions[..., 3] == 0.25).all()
    assert (actions >= torch.from_numpy(demonstrations.actions).amin(0) - 1e-5).all()
    assert (actions <= torch.from_numpy(demonstrations.actions).amax(0) + 1e-5).all()


def test_every_noise_level_is_learned(policy):
    _, level = policy.draw_noise(2000, torch.Generator().manual_seed(0))
    assert sorted(set(level.tolist())) == list(range(policy.shape.diffusion_steps))


def test_noise_grows_as_the_squared_cosine_of_nichol_and_dhariwal(policy):
    """arXiv 2102.09672, equation 17, with the betas that they clip at 0.999."""
    steps = policy.shape.diffusion_steps
    share = torch.arange(steps + 1) / steps
    kept = ((share + 0.008) / 1.008 * torch.pi / 2).cos() ** 2
    torch.testing.assert_close(policy.scheduler.alphas_cumprod[:-1], (kept[1:] / kept[0])[:-1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_rows_noise_follows_its_generator_whatever_shares_its_batch(build, batch, sampler):
    policy = build(replace(BLIND, sampler=sampler), load_encoder("blind")).eval()
    together = policy.predict_action(batch, seeded(5, 6, 7))
    for row, seed in enumerate((5, 6, 7)):
        alone = policy.predict_action({key: values[row : row + 1] for key, values in batch.items()}, seeded(seed))
        torch.testing.assert_close(together[row : row + 1], alone)
    assert not torch.allclose(together, policy.predict_action(batch, seeded(5, 6, 8)))


def test_another_number_of_generators_than_rows_is_refused(policy, batch):
    with pytest.raises(ValueError, match="generators: expected one for each of 3 observations, got 2"):
        policy.predict_action(batch, seeded(0, 1))


@pytest.mark.parametrize(("crop_px", "size_px"), [(32, (32, 32)), ((36, 42), (36, 42))])
def test_the_middle_of_the_frames_is_read_where_the_policy_learned_from_crops(build, crop_px, size_px):
    policy = build(replace(SHAPE, crop_px=crop_px), load_encoder("resnet18-scratch")).eval()
    frames = torch.randint(0, 256, (2, 2, 3, 40, 44), dtype=torch.uint8)
    agent_pos = torch.zeros(2, 2, 9)
    whole = policy.condition({"image": frames, "agent_pos": agent_pos})
    middle = policy.condition({"image": centre_crop(frames, size_px), "agent_pos": agent_pos})
    torch.testing.assert_close(whole, middle)


def test_a_compiled_policy_acts_as_the_plain_one(build, batch):
    policy = build(replace(BLIND, channels=(8,)), load_encoder("blind")).eval()
    plain = policy.predict_action(batch, *seeded(3))
    with inductor.patch(compile_threads=1):  # without a pool of processes, which takes long to start
        compiled = policy.compile_networks().predict_action(batch, *seeded(3))
    torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-4)


# ---- what is read


def test_the_condition_is_the_raw_features_beside_the_normalised_agent_pos_frame_by_frame(policy, batch):
    features = policy.eval().encoders[0](batch["image"])
    agent_pos = policy.agent_pos.normalize(batch["agent_pos"])
    frames = [torch.cat([features[:, frame], agent_pos[:, frame]], dim=-1) for frame in (0, 1)]
    torch.testing.assert_close(policy.condition(batch), torch.cat(frames, dim=-1))


def test_several_cameras_share_an_encoder_or_have_one_each(build, batch):
    shape = replace(SHAPE, cameras=("image", "image_wrist"))
    encoders = load_encoder("resnet18-scratch"), load_encoder("resnet18-scratch")
    shared, separate = build(shape, encoders[0]).eval(), build(shape, *encoders).eval()
    assert shared.reads == separate.reads == ("image", "image_wrist", "agent_pos")
    expected = [encoder(batch[camera]) for encoder, camera in zip(encoders, shape.cameras, strict=True)]
    torch.testing.assert_close(separate.condition(batch)[:, :1024], torch.cat(expected, dim=-1)[:, 0])
    torch.testing.assert_close(shared.condition(batch)[:, 512:1024], encoders[0](batch["image_wrist"])[:, 0])


def test_a_blind_policy_reads_agent_pos_alone(build, batch):
    policy = build(BLIND, load_encoder("blind"))
    assert policy.reads == ("agent_pos",)
    assert policy.condition({"agent_pos": batch["agent_pos"]}).shape == (3, 2 * 9)


def test_points_are_read_in_place_of_images(build, batch):
    policy = build(replace(SHAPE, cameras=("point_cloud",)), load_encoder("pointnet-dp3"))
    observation = {"point_cloud": batch["point_cloud"], "agent_pos": batch["agent_pos"]}
    assert policy.condition(observation).shape == (3, 2 * (64 + 9))


@pytest.mark.parametrize(
    ("cameras", "encoder", "message"),
    [
        (("image",), "blind", r"an encoder that reads nothing cannot read \('image',\)"),
        ((), "resnet18-scratch", r"an encoder that reads image cannot read \(\)"),
        (("point_cloud",), "resnet18-scratch", r"an encoder that reads image cannot read \('point_cloud',\)"),
    ],
)
def test_an_encoder_that_cannot_read_the_cameras_is_refused(cameras, encoder, message):
    with pytest.raises(ValueError, match=message):
        DiffusionPolicy(replace(SHAPE, cameras=cameras), [load_encoder(encoder)])


def test_another_number_of_encoders_than_one_or_one_a_camera_is_refused():
    three = [load_encoder("blind")] * 3
    with pytest.raises(ValueError, match=r"encoders: expected 1, shared, or one each for .*, got 3"):
        DiffusionPolicy(replace(SHAPE, cameras=("image", "image_wrist")), three)


def test_an_observation_that_lacks_a_camera_or_a_frame_is_refused(policy, batch):
    with pytest.raises(ValueError, match="observation: expected image, agent_pos, got agent_pos"):
        policy.predict_action({"agent_pos": batch["agent_pos"]})
    with pytest.raises(ValueError, match=r"agent_pos: expected \(B, 2, 9\), got \(3, 1, 9\)"):
        policy.predict_action({"image": batch["image"][:, :1], "agent_pos": batch["agent_pos"][:, :1]})
    with pytest.raises(ValueError, match=r"image: expected \(B, 2, 3, H, W\), got \(3, 1, 3, 32, 32\)"):
        policy.predict_action({**batch, "image": batch["image"][:, :1]})


def test_an_observation_as_arrays_or_channels_last_says_what_to_do(build, batch):
    policy = build(replace(SHAPE, frames_px=((32, 32),)), load_encoder("resnet18-scratch"))
    with pytest.raises(ValueError, match=r"image: expected a torch tensor, got ndarray; torch.as_tensor makes one"):
        policy.predict_action({**batch, "image": batch["image"].numpy()})
    with pytest.raises(
        ValueError, match=r"image: expected channels first, \(B, To, 3, H, W\), got \(3, 2, 32, 32, 3\)"
    ):
        policy.predict_action({**batch, "image": batch["image"].movedim(2, -1)})


def test_numbers_of_a_robot_may_be_doubles_but_not_nan(policy, batch):
    noise = torch.Generator().manual_seed(0)
    expected = policy.eval().predict_action(batch, noise.clone_state())
    doubles = {**batch, "agent_pos": batch["agent_pos"].double()}
    assert torch.equal(policy.predict_action(doubles, noise), expected)
    doubles["agent_pos"][1, 0, 3] = torch.nan
    with pytest.raises(
        ValueError, match="agent_pos: expected finite numbers, got NaN or infinity; a sensor has failed"
    ):
        policy.predict_action(doubles)


# ---- files

RESNET = {"norm": "frozen", "image_size_px": None, "teacher_features": None, "origin": None}
VIT = {"norm": None, "readout": "pooled", "origin": None}
DESCRIPTIONS = {
    "xdistill, frozen": {**RESNET, "name": "xdistill", "readout": "pooled"},
    "xdistill, group, keypoints": {**RESNET, "name": "xdistill", "norm": "group", "readout": "spatial_softmax"},
    "xdistill, embedding": {**RESNET, "name": "xdistill", "readout": "teacher_embedding", "teacher_features": 24},
    "resnet18-scratch": {**RESNET, "name": "resnet18-scratch", "norm": "group", "readout": "pooled"},
    "resnet18-imagenet": {**RESNET, "name": "resnet18-imagenet", "readout": "pooled", "image_size_px": 64},
    "dinov2-s": {**VIT, "name": "dinov2-s", "image_size_px": 42},
    "depth-anything-s": {**VIT, "name": "depth-anything-s", "image_size_px": 42},
    "theia-s": {**VIT, "name": "theia-s", "image_size_px": 32},
    "timm": {
        **VIT,
        "name": "timm",
        "architecture": "timm/test_vit",
        "image_size_px": 32,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
    "student": {
        **VIT,
        "name": "student",
        "architecture": "timm/convnext_atto",
        "image_size_px": None,
        "teacher_features": 8,
    },
    "pointnet-dp3": {**VIT, "name": "pointnet-dp3", "image_size_px": None},
    "blind": {**VIT, "name": "blind", "image_size_px": None},
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_loaded_policy_gives_bit_identical_actions(build, batch, tmp_path, name):
    encoder = empty_encoder(DESCRIPTIONS[name])
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.05)
    cameras = {"image": ("image",), "point_cloud": ("point_cloud",), None: ()}[encoder.reads]
    policy = build(replace(SHAPE, cameras=cameras, crop_px=None if "point_cloud" in cameras else 32), encoder).eval()
    policy.save(tmp_path / "policy", origin={"task": "reach"})
    loaded, origin = DiffusionPolicy.load(tmp_path / "policy")
    assert torch.equal(loaded.predict_action(batch, seeded(2, 3, 4)), policy.predict_action(batch, seeded(2, 3, 4)))
    assert loaded.shape == policy.shape
    assert origin == {"task": "reach"}


def test_a_policy_with_an_encoder_a_camera_and_ddpm_comes_back_as_it_was(build, batch, tmp_path):
    shape = replace(SHAPE, cameras=("image", "image_wrist"), sampler="ddpm", prediction="epsilon")
    policy = build(shape, load_encoder("resnet18-scratch"), load_encoder("resnet18-scratch")).eval()
    policy.save(tmp_path / "policy", origin={})
    loaded, _ = DiffusionPolicy.load(tmp_path / "policy")
    assert torch.equal(loaded.predict_action(batch, seeded(2, 3, 4)), policy.predict_action(batch, seeded(2, 3, 4)))


def test_saving_again_replaces_the_policy(build, batch, tmp_path):
    for seed in (0, 1):
        policy = build(BLIND, load_encoder("blind")).eval()
        policy.save(tmp_path / "policy", origin={"seed": seed})
    loaded, origin = DiffusionPolicy.load(tmp_path / "policy")
    assert origin == {"seed": 1}
    assert torch.equal(loaded.predict_action(batch, seeded(2, 3, 4)), policy.predict_action(batch, seeded(2, 3, 4)))


def test_a_folder_without_a_policy_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no policy .*`xdistill finetune` writes one"):
        DiffusionPolicy.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "has format 1, this version reads format 2; train it again"),
        ({"shape": {"horizon": 4}}, "is not one of this version: .*missing .* required"),
        ({"shape": {**asdict(BLIND), "dropout": 0.1}}, "is not one of this version: .*unexpected keyword .*dropout"),
        ({"shape": {**asdict(BLIND), "channels": [32, 60]}}, "channels: each must be a multiple of groups = 8"),
        ({"shape": {**asdict(BLIND), "channels": [32, 128]}}, "the weights in .* cannot be loaded: .*size mismatch"),
        ({"encoders": [{"name": "r3m"}]}, "encoder: .*r3m"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(build, tmp_path, change, message):
    build(BLIND, load_encoder("blind")).save(tmp_path / "policy", origin={})
    path = tmp_path / "policy/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        DiffusionPolicy.load(tmp_path / "policy")


def test_truncated_and_missing_weights_are_refused(build, tmp_path):
    build(BLIND, load_encoder("blind")).save(tmp_path / "policy", origin={})
    weights = tmp_path / "policy/model.safetensors"
    whole = weights.read_bytes()
    tensors = load_file(weights)
    tensors.popitem()
    save_file(tensors, weights)
    with pytest.raises(ValueError, match=r"(?s)the weights in .* cannot be loaded: .*Missing key"):
        DiffusionPolicy.load(tmp_path / "policy")
    weights.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"the weights in .* cannot be loaded"):
        DiffusionPolicy.load(tmp_path / "policy")
    weights.unlink()
    with pytest.raises(ValueError, match=r"the weights in .* cannot be loaded"):
        DiffusionPolicy.load(tmp_path / "policy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 5}, "horizon: 2 UNet levels need a multiple of 2, got 5"),
        ({"action_steps": 4}, "must fit into the horizon of 4, got 2 - 1 \\+ 4"),
        ({"channels": (32, 60)}, "each must be a multiple of groups = 8, got \\(32, 60\\)"),
        ({"inference_steps": 101}, "inference_steps: expected at most 100 diffusion_steps, got 101"),
        ({"prediction": "v"}, "prediction: accepted are 'sample' and 'epsilon', got 'v'"),
        ({"sampler": "euler"}, "sampler: accepted are 'ddim' and 'ddpm', got 'euler'"),
        ({"cameras": ("wrist",)}, "cameras: accepted are 'image', 'image_<name>', 'point_cloud', got 'wrist'"),
        ({"state_size": 0}, "state_size: expected 1 or more, got 0"),
        ({"cameras": ("image", "image")}, "cameras: expected each once, got image, image"),
        ({"frames_px": ((48, 64),), "crop_px": 60}, "expected what fits into frames of 48 x 64 px, got 60"),
        ({"frames_px": ((48, 64),), "crop_px": (44, 65)}, r"fits into frames of 48 x 64 px, got \(44, 65\)"),
    ],
)
def test_sizes_and_choices_that_do_not_fit_together_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SHAPE, **change)
