import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy, _replace_submodules
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from safetensors.torch import load_file
from torch import nn
from torchvision.transforms.v2.functional import resize

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.hosts.lerobot import (
    XDistillACTConfig,
    XDistillACTPolicy,
    XDistillDiffusionConfig,
    XDistillDiffusionPolicy,
    use_encoder,
)
from xdistill_encoder.hosts.lerobot.backbones import sequential_state
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

ROOT = Path(__file__).parents[2]
CAMERA = "observation.images.front"
SIZE = (72, 96)
STATS = {CAMERA: {"mean": torch.tensor(IMAGENET_MEAN).view(3, 1, 1), "std": torch.tensor(IMAGENET_STD).view(3, 1, 1)}}
FEATURES = {
    "input_features": {
        CAMERA: PolicyFeature(FeatureType.VISUAL, (3, *SIZE)),
        "observation.state": PolicyFeature(FeatureType.STATE, (4,)),
    },
    "output_features": {"action": PolicyFeature(FeatureType.ACTION, (4,))},
    "device": "cpu",
}
SMALL_DIFFUSION = {
    "down_dims": (16, 32, 64),
    "num_inference_steps": 2,
    "crop_shape": None,
    "horizon": 16,  # LeRobot's defaults have changed: 0.6 has longer horizons, an encoder a camera, ImageNet weights
    "n_action_steps": 8,
    "use_separate_rgb_encoder_per_camera": False,
    "pretrained_backbone_weights": None,
}
SMALL_ACT = {"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "chunk_size": 8, "n_action_steps": 8}
TYPES = {"xdistill_diffusion": SMALL_DIFFUSION, "xdistill_act": SMALL_ACT}


@pytest.fixture
def group_checkpoint(random_encoder, tmp_path):
    return str(random_encoder("group").save_pretrained(tmp_path / "group"))


def build(kind: str, **changes):
    configs = {"xdistill_diffusion": XDistillDiffusionConfig, "xdistill_act": XDistillACTConfig}
    policies = {"xdistill_diffusion": XDistillDiffusionPolicy, "xdistill_act": XDistillACTPolicy}
    torch.manual_seed(0)
    config = configs[kind](**(FEATURES | TYPES[kind] | changes))
    return policies[kind](config, dataset_stats=STATS).eval()


def backbone_map(policy, images: torch.Tensor) -> torch.Tensor:
    """The last map of a policy's backbone."""
    with torch.inference_mode():
        if isinstance(policy, ACTPolicy):
            return policy.model.backbone(images)["feature_map"]
        return policy.diffusion.rgb_encoder.backbone(images)


def act(policy) -> torch.Tensor:
    """The first action after a reset, for the same observation and noise."""
    policy.reset()
    torch.manual_seed(1)
    observation = {CAMERA: torch.randn(1, 3, *SIZE), "observation.state": torch.randn(1, 4)}
    return policy.select_action(observation)


# ---- our policy types


@pytest.mark.parametrize("kind", TYPES)
def test_the_backbone_gives_the_encoders_map_of_images_that_lerobot_has_normalised(kind, encoder, pixels, normalised):
    found = backbone_map(build(kind), normalised)
    torch.testing.assert_close(found, encoder.forward_features(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", TYPES)
def test_group_norm_weights_go_in_where_lerobot_refuses_pretrained_ones(kind, pixels, normalised):
    policy = build(kind, encoder_norm="group")
    expected = XDistillResNet18.from_pretrained(norm="group").forward_features(pixels)
    torch.testing.assert_close(backbone_map(policy, normalised), expected, rtol=1e-4, atol=1e-4)


def test_the_spatial_softmax_with_its_keypoints_stays_lerobots():
    policy = build("xdistill_diffusion")
    assert type(policy.diffusion.rgb_encoder.pool).__module__ == "lerobot.policies.diffusion.modeling_diffusion"
    assert policy.diffusion.rgb_encoder.pool.nets.out_channels == 32


@pytest.mark.parametrize("kind", TYPES)
def test_a_saved_policy_acts_the_same_without_the_encoders_checkpoint(kind, group_checkpoint, tmp_path):
    policy = build(kind, encoder=group_checkpoint, encoder_norm="group", encoder_freeze=("stem",))
    policy.save_pretrained(tmp_path / "policy")
    for file in Path(group_checkpoint).iterdir():
        file.unlink()
    config = PreTrainedConfig.from_pretrained(tmp_path / "policy")
    assert config.type == kind
    loaded = get_policy_class(kind).from_pretrained(tmp_path / "policy", config=config)
    assert torch.equal(act(loaded), act(policy))
    conv1 = next(parameter for name, parameter in loaded.named_parameters() if "backbone" in name)
    assert not conv1.requires_grad


@pytest.mark.parametrize("kind", TYPES)
def test_frozen_statistics_and_stages_stay_through_training(kind):
    policy = build(kind, encoder_freeze=("stem", "layer1")).train()
    buffers = {name: tensor.clone() for name, tensor in policy.named_buffers() if "backbone" in name}
    assert any("running_mean" in name for name in buffers)
    groups = policy.get_optim_params()
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    weights = {name: p.clone() for name, p in policy.named_parameters() if "backbone" in name}
    steps = {"xdistill_diffusion": (2, 16), "xdistill_act": (1, 8)}[kind]
    lead = (2,) if kind == "xdistill_act" else (2, steps[0])
    batch = {
        CAMERA: torch.randn(*lead, 3, *SIZE),
        "observation.state": torch.randn(*lead, 4),
        "action": torch.randn(2, steps[1], 4),
        "action_is_pad": torch.zeros(2, steps[1], dtype=torch.bool),
    }
    policy.forward(batch)[0].backward()
    optimizer.step()
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in policy.named_buffers() if name in buffers)
    moved = {name for name, p in policy.named_parameters() if name in weights and not torch.equal(p, weights[name])}
    held = {name for name, p in policy.named_parameters() if name in weights and not p.requires_grad}
    assert held
    assert moved
    assert not held & moved


def test_act_scales_a_robots_frames_to_what_the_encoder_knows_and_keeps_that_when_it_is_saved(tmp_path):
    policy = build("xdistill_act", resize_shape=(36, 48))
    images = torch.randn(2, 3, *SIZE)
    expected = backbone_map(build("xdistill_act"), resize(images, [36, 48], antialias=True))
    torch.testing.assert_close(backbone_map(policy, images), expected, rtol=1e-4, atol=1e-4)
    policy.save_pretrained(tmp_path / "policy")
    config = PreTrainedConfig.from_pretrained(tmp_path / "policy")
    loaded = get_policy_class("xdistill_act").from_pretrained(tmp_path / "policy", config=config)
    assert torch.equal(act(loaded), act(policy))
    with pytest.raises(ValueError, match="image_size: height and width must be at least 32 px, got .16, 48."):
        build("xdistill_act", resize_shape=(16, 48))


def test_the_encoder_has_a_learning_rate_of_its_own():
    rest, encoder = build("xdistill_diffusion", encoder_lr_multiplier=0.1).get_optim_params()
    assert encoder["lr"] == pytest.approx(1e-5)
    assert sum(p.numel() for p in encoder["params"]) == sum(
        p.numel() for p in XDistillResNet18("batch").trunk.parameters()
    )
    assert "lr" not in rest


def test_an_encoder_without_a_rate_of_its_own_follows_whatever_the_optimizer_has():
    assert not any("lr" in group for group in build("xdistill_diffusion").get_optim_params())


def test_other_statistics_than_imagenets_and_what_an_encoder_cannot_be_are_refused():
    config = XDistillDiffusionConfig(**FEATURES, **SMALL_DIFFUSION)
    own = {CAMERA: {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.2)}}
    with pytest.raises(ValueError, match=r"dataset_stats: .*front would be .*--dataset.use_imagenet_stats=true"):
        XDistillDiffusionPolicy(config, dataset_stats=own)
    with pytest.raises(ValueError, match="encoder_norm: expected one of frozen, group, got 'batch'"):
        XDistillACTConfig(encoder_norm="batch")
    with pytest.raises(ValueError, match="stage: expected trunk .*, got 'layer5'"):
        XDistillDiffusionConfig(encoder_freeze=("layer5",))
    with pytest.raises(ValueError, match="vision_backbone: expected 'resnet18', got 'resnet34'"):
        XDistillACTConfig(vision_backbone="resnet34")
    with pytest.raises(ValueError, match="encoder_lr_multiplier: expected a number above 0, got -1"):
        XDistillDiffusionConfig(encoder_lr_multiplier=-1)
    with pytest.raises(ValueError, match="encoder_lr_multiplier: expected a number above 0, got '0.3'"):
        XDistillDiffusionConfig(encoder_lr_multiplier="0.3")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"crop_shape: expected at least 32 px, which the encoder needs, got \(16, 16\)"
    ):
        XDistillDiffusionConfig(crop_shape=(16, 16))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("key", "told"),
    [(CAMERA, "front would be normalised with the mean"), ("observation.images.top", "expected those of .*front, got")],
)
def test_a_saved_policy_acts_beside_other_statistics_and_is_not_trained_with_them(kind, key, told, tmp_path):
    """LeRobot hands a policy the statistics of a recording that goes on, or of features before they are renamed."""
    policy = build(kind)
    policy.save_pretrained(tmp_path / "policy")
    stats = {key: {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.2)}}
    loaded = get_policy_class(kind).from_pretrained(tmp_path / "policy", dataset_stats=stats).eval()
    assert torch.equal(act(loaded), act(policy))
    with pytest.raises(ValueError, match=f"dataset_stats: .*{told}"):
        loaded.forward({})


@pytest.mark.parametrize("kind", TYPES)
def test_a_policy_without_a_camera_is_refused(kind):
    inputs = {
        "observation.state": PolicyFeature(FeatureType.STATE, (4,)),
        "observation.environment_state": PolicyFeature(FeatureType.ENV, (4,)),
    }
    with pytest.raises(ValueError, match=f"a policy of type {kind} reads an image, got observation.state, "):
        build(kind, input_features=inputs)


@pytest.mark.parametrize("config", [XDistillDiffusionConfig, XDistillACTConfig])
def test_an_uploaded_policy_is_not_licensed_as_lerobot_does_by_default(config):
    assert config(**FEATURES).license == "other"
    assert config(**FEATURES, license="mit").license == "mit"


# ---- stock policies


def test_a_stock_diffusion_policy_takes_group_norm_weights_and_reloads_without_this_package(
    tmp_path, pixels, normalised
):
    config = DiffusionConfig(**FEATURES, **SMALL_DIFFUSION, use_group_norm=True)
    policy = DiffusionPolicy(config).eval()
    use_encoder(policy)
    expected = XDistillResNet18.from_pretrained(norm="group").forward_features(pixels)
    torch.testing.assert_close(backbone_map(policy, normalised), expected, rtol=1e-4, atol=1e-4)
    policy.save_pretrained(tmp_path / "policy")
    torch.save(normalised, tmp_path / "images.pt")
    script = (
        "import sys, torch; from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy;"
        f"policy = DiffusionPolicy.from_pretrained('{tmp_path}/policy', strict=True);"
        f"maps = policy.diffusion.rgb_encoder.backbone(torch.load('{tmp_path}/images.pt'));"
        f"torch.save(maps.detach(), '{tmp_path}/maps.pt'); assert 'xdistill_encoder' not in sys.modules"
    )
    assert torch.equal(act(DiffusionPolicy.from_pretrained(tmp_path / "policy", strict=True)), act(policy))
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    torch.testing.assert_close(torch.load(tmp_path / "maps.pt"), expected.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("separate", [False, True])
def test_a_stock_diffusion_policy_with_batch_norm_takes_them_in_every_camera(encoder, pixels, normalised, separate):
    changes = {"use_group_norm": False, "use_separate_rgb_encoder_per_camera": separate}
    config = DiffusionConfig(**FEATURES, **(SMALL_DIFFUSION | changes))
    policy = DiffusionPolicy(config).eval()
    use_encoder(policy)
    rgb_encoder = policy.diffusion.rgb_encoder[0] if separate else policy.diffusion.rgb_encoder
    with torch.inference_mode():
        found = rgb_encoder.backbone(normalised)
    torch.testing.assert_close(found, encoder.forward_features(pixels), rtol=1e-4, atol=1e-4)


def test_a_stock_act_takes_them_into_its_frozen_batch_norm(encoder, pixels, normalised):
    policy = ACTPolicy(ACTConfig(**FEATURES, **SMALL_ACT, pretrained_backbone_weights=None)).eval()
    use_encoder(policy)
    torch.testing.assert_close(backbone_map(policy, normalised), encoder.forward_features(pixels), rtol=1e-4, atol=1e-4)


def test_a_stock_act_acts_the_same_after_it_was_saved_and_loaded(tmp_path):
    policy = ACTPolicy(ACTConfig(**FEATURES, **SMALL_ACT, pretrained_backbone_weights=None)).eval()
    use_encoder(policy)
    policy.save_pretrained(tmp_path / "policy")
    assert torch.equal(act(ACTPolicy.from_pretrained(tmp_path / "policy", strict=True)), act(policy))


@pytest.mark.parametrize("kind", ["diffusion", "act"])
def test_a_stock_policy_with_the_encoder_inside_learns(kind):
    torch.manual_seed(0)
    if kind == "act":
        policy: Any = ACTPolicy(ACTConfig(**FEATURES, **SMALL_ACT, pretrained_backbone_weights=None, dropout=0.0))
    else:
        policy = DiffusionPolicy(DiffusionConfig(**FEATURES, **SMALL_DIFFUSION, use_group_norm=True))
    use_encoder(policy)
    policy.train()
    lead, steps = ((2,), 8) if kind == "act" else ((2, 2), 16)
    batch = {
        CAMERA: torch.randn(*lead, 3, *SIZE),
        "observation.state": torch.randn(*lead, 4),
        "action": torch.rand(2, steps, 4),
        "action_is_pad": torch.zeros(2, steps, dtype=torch.bool),
    }
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(1)  # the same noise at each step, so that nothing but learning lowers the loss
        loss = policy.forward(dict(batch))[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses


def test_images_that_are_not_normalised_are_refused_in_stock_policies():
    mapping = dict.fromkeys(("STATE", "ACTION"), NormalizationMode.MEAN_STD) | {"VISUAL": NormalizationMode.IDENTITY}
    config = ACTConfig(**FEATURES, **SMALL_ACT, pretrained_backbone_weights=None, normalization_mapping=mapping)
    with pytest.raises(
        ValueError, match="normalization_mapping: the encoder needs VISUAL to be MEAN_STD, got IDENTITY"
    ):
        use_encoder(ACTPolicy(config))


def test_stock_policies_that_would_come_back_otherwise_are_refused():
    stock = DiffusionPolicy(DiffusionConfig(**FEATURES, **SMALL_DIFFUSION, use_group_norm=False))
    stock.config.pretrained_backbone_weights = "ResNet18_Weights.IMAGENET1K_V1"
    with pytest.raises(ValueError, match="pretrained_backbone_weights: expected None, because LeRobot downloads"):
        use_encoder(stock)
    with pytest.raises(ValueError, match="policy: expected LeRobot's DiffusionPolicy or ACTPolicy, got Linear"):
        use_encoder(nn.Linear(1, 1))


def test_lerobots_swap_of_batch_norm_for_group_norm_finds_nothing_in_the_encoder(encoder):
    trunk = nn.Sequential(*list(encoder.trunk.children())[:-2])
    before = {key: tensor.clone() for key, tensor in trunk.state_dict().items()}
    swapped = _replace_submodules(
        trunk, lambda module: isinstance(module, nn.BatchNorm2d), lambda module: nn.GroupNorm(1, module.num_features)
    )
    assert all(torch.equal(tensor, before[key]) for key, tensor in swapped.state_dict().items())
    assert list(before) == list(sequential_state(encoder.trunk))


# ---- lerobot-train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two episodes of 24 steps of noise whose actions are the states, made by LeRobot itself."""
    root = tmp_path_factory.mktemp("dataset") / "noise"
    features = {
        CAMERA: {"dtype": "image", "shape": (*SIZE, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (4,), "names": None},
        "action": {"dtype": "float32", "shape": (4,), "names": None},
    }
    made = LeRobotDataset.create("local/noise", fps=10, features=features, root=root, use_videos=False)
    random = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(24):
            state = random.uniform(-1, 1, 4).astype(np.float32)
            image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            made.add_frame({CAMERA: image, "observation.state": state, "action": state, "task": "noise"})
        made.save_episode()
    if hasattr(made, "finalize"):
        made.finalize()
    return root


def lerobot_train(*arguments: str) -> subprocess.CompletedProcess:
    """`lerobot-train` in a process of its own, with nothing but its command line."""
    plugin = "--discover_packages_path=xdistill_encoder.hosts.lerobot"
    main = "from lerobot.scripts.lerobot_train import main; main()"
    command = [sys.executable, "-c", main, plugin, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    import os

    return os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}


def test_with_the_plugin_lerobot_knows_our_policy_types_without_being_told_where_they_are(tmp_path):
    plugin = ROOT / "xdistill_encoder/hosts/lerobot/plugin"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), str(plugin)]
    subprocess.run(install, check=True)
    program = """
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins
assert not any(name.startswith("xdistill") for name in PreTrainedConfig.get_known_choices())
register_third_party_plugins()
print(*sorted(name for name in PreTrainedConfig.get_known_choices() if name.startswith("xdistill")))
"""
    paths = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment() | paths, check=True
    )
    assert found.stdout.split() == ["xdistill_act", "xdistill_diffusion"], found.stderr


@pytest.mark.parametrize("kind", TYPES)
def test_lerobot_train_trains_saves_and_resumes_a_policy_type_of_ours(kind, dataset, tmp_path):
    sizes = {
        "xdistill_diffusion": [
            "--policy.horizon=16",
            "--policy.down_dims=[16,32,64]",
            "--policy.num_inference_steps=2",
            "--policy.scheduler_warmup_steps=1",
        ],
        "xdistill_act": [
            *("--policy.dim_model=32", "--policy.n_heads=2", "--policy.chunk_size=8", "--policy.resize_shape=[36,48]")
        ],
    }[kind]
    frozen = {"xdistill_diffusion": "[stem,layer1]", "xdistill_act": "stem"}[kind]
    sizes += ["--policy.n_action_steps=8", "--policy.optimizer_lr=0.001", f"--policy.encoder_freeze={frozen}"]
    common = ["--batch_size=8", "--num_workers=0", "--log_freq=5", "--save_freq=40", "--seed=0"]
    output = tmp_path / "run"
    done = lerobot_train(
        f"--policy.type={kind}", "--policy.device=cpu", "--policy.push_to_hub=false", *sizes, *common,
        "--dataset.repo_id=local/noise", f"--dataset.root={dataset}", f"--output_dir={output}", "--steps=40",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    losses = [float(word.removeprefix("loss:")) for word in done.stderr.split() if word.startswith("loss:")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    checkpoint = output / "checkpoints" / "last" / "pretrained_model"
    config = json.loads((checkpoint / "config.json").read_text())
    assert (config["type"], config["encoder_norm"]) == (kind, "frozen")
    assert config["encoder_freeze"] == frozen.strip("[]").split(",")
    policy = get_policy_class(kind).from_pretrained(checkpoint)
    preprocess, _ = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    observation = {CAMERA: torch.full((3, *SIZE), 0.5), "observation.state": torch.zeros(4)}
    image = preprocess(observation)[CAMERA].flatten()
    expected = (0.5 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)  # once, not twice
    torch.testing.assert_close(image.view(3, -1)[:, 0], expected, rtol=1e-4, atol=1e-4)
    checkpoint = checkpoint.resolve()
    hold_the_learning_rate_at_zero(checkpoint.parent / "training_state")
    resumed = lerobot_train(f"--config_path={checkpoint}/train_config.json", "--resume=true", "--steps=42")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    last = (output / "checkpoints" / "last").resolve()
    assert last.name.endswith("42")
    assert optimizer_steps(last) == {42}  # its moments went on from those of step 40
    went_on = get_policy_class(kind).from_pretrained(last / "pretrained_model")
    assert all(torch.equal(tensor, policy.state_dict()[key]) for key, tensor in went_on.state_dict().items())
    assert torch.equal(act(went_on.eval()), act(policy.eval()))


def test_lerobot_train_refuses_a_data_sets_own_statistics(dataset, tmp_path):
    done = lerobot_train(
        "--policy.type=xdistill_act", "--policy.device=cpu", "--policy.push_to_hub=false", "--steps=1",
        "--dataset.repo_id=local/noise", f"--dataset.root={dataset}", f"--output_dir={tmp_path / 'run'}",
        "--dataset.use_imagenet_stats=false", "--num_workers=0",
    )  # fmt: skip
    assert done.returncode != 0
    assert "train with --dataset.use_imagenet_stats=true" in done.stderr


def test_lerobot_train_trains_a_stock_policy_with_the_encoder_inside(dataset, tmp_path):
    """With a learning rate of 0, so that the weights at the end are those of the start."""
    policy = DiffusionPolicy(
        DiffusionConfig(**FEATURES, **SMALL_DIFFUSION, use_group_norm=True, optimizer_lr=0.0, push_to_hub=False)
    )
    use_encoder(policy)
    policy.save_pretrained(tmp_path / "start")
    for processor in make_pre_post_processors(policy.config):
        processor.save_pretrained(tmp_path / "start")
    done = lerobot_train(
        f"--policy.path={tmp_path / 'start'}", "--dataset.repo_id=local/noise", f"--dataset.root={dataset}",
        f"--output_dir={tmp_path / 'run'}", "--batch_size=4", "--num_workers=0", "--steps=2", "--save_freq=2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    checkpoint = tmp_path / "run" / "checkpoints" / "last" / "pretrained_model"
    trained = DiffusionPolicy.from_pretrained(checkpoint, strict=True)
    expected = sequential_state(XDistillResNet18.from_pretrained(norm="group").trunk)
    torch.testing.assert_close(trained.diffusion.rgb_encoder.backbone.state_dict(), expected, rtol=0, atol=0)
    preprocess, _ = make_pre_post_processors(trained.config, pretrained_path=str(checkpoint))
    highest = json.loads((dataset / "meta" / "stats.json").read_text())["observation.state"]["max"]
    seen = preprocess({CAMERA: torch.full((3, *SIZE), 0.5), "observation.state": torch.tensor(highest)})
    half = (0.5 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)  # once, not twice
    torch.testing.assert_close(seen[CAMERA].flatten().view(3, -1)[:, 0], half, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen["observation.state"], torch.ones(1, 4), rtol=1e-4, atol=1e-4)  # by the data set's


def hold_the_learning_rate_at_zero(training_state: Path) -> None:
    """Rewrite a saved training so that steps after it leave the weights that were loaded as they are."""
    groups = training_state / "optimizer_param_groups.json"
    content = json.loads(groups.read_text())
    for group in content:
        group |= {name: 0.0 for name in ("lr", "initial_lr") if name in group}
    groups.write_text(json.dumps(content))
    schedule = training_state / "scheduler_state.json"
    if schedule.exists():
        state = json.loads(schedule.read_text())
        state |= {name: [0.0] * len(state[name]) for name in ("base_lrs", "_last_lr")}
        schedule.write_text(json.dumps(state))


def optimizer_steps(checkpoint: Path) -> set[int]:
    """How many steps the optimizer has taken, over all of its parameters."""
    state = load_file(checkpoint / "training_state" / "optimizer_state.safetensors")
    return {int(tensor) for key, tensor in state.items() if key.endswith("step")}
