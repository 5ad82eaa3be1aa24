import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import robomimic.utils.file_utils as file_utils
import robomimic.utils.obs_utils as obs_utils
import robomimic.utils.torch_utils as torch_utils
import robomimic.utils.train_utils as train_utils
import torch
from robomimic.algo import RolloutPolicy, algo_factory
from robomimic.config import config_factory
from torch import nn
from torch.utils.data import DataLoader

from xdistill_encoder import CheckpointError
from xdistill_encoder.hosts.robomimic import XDistillConv, weights_come_from_robomimic

ROOT = Path(__file__).parents[2]
STEPS = 12


@pytest.fixture
def demonstrations(tmp_path):
    """Two episodes of noise whose actions are the joints."""
    path = tmp_path / "demos.hdf5"
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "noise", "type": 1, "env_kwargs": {}})
        for number in range(2):
            episode = data.create_group(f"demo_{number}")
            episode.attrs["num_samples"] = STEPS
            joints = random.uniform(-1, 1, (STEPS, 4)).astype(np.float32)
            episode["actions"] = joints
            episode["rewards"], episode["dones"] = np.zeros(STEPS), np.zeros(STEPS)
            episode["obs/joints"] = joints
            episode["obs/camera"] = random.integers(0, 256, (STEPS, 84, 84, 3), dtype=np.uint8)
    return path


@pytest.fixture
def config(demonstrations, tmp_path):
    """robomimic's BC-RNN over a camera that our encoder reads."""
    config = config_factory("bc")
    with config.values_unlocked():
        config.train.data = str(demonstrations)
        config.train.output_dir = str(tmp_path / "runs")
        config.train.cuda = False
        config.train.batch_size = 8
        config.algo.optim_params.policy.learning_rate.initial = 1e-3
        config.train.seq_length = config.algo.rnn.horizon = 5
        config.algo.rnn.enabled = True
        config.algo.rnn.hidden_dim = 32
        config.algo.actor_layer_dims = ()
        config.observation.modalities.obs.low_dim = ["joints"]
        config.observation.modalities.obs.rgb = ["camera"]
        rgb = config.observation.encoder.rgb
        rgb.core_class = "VisualCore"
        rgb.core_kwargs.backbone_class = "XDistillConv"
        rgb.core_kwargs.backbone_kwargs = {"norm": "frozen", "freeze": ["stem", "layer1"]}
        rgb.core_kwargs.pool_class = "SpatialSoftmax"
        rgb.core_kwargs.pool_kwargs.num_kp = 32
        rgb.core_kwargs.feature_dimension = 64
        rgb.obs_randomizer_class = "CropRandomizer"
        rgb.obs_randomizer_kwargs.crop_height = rgb.obs_randomizer_kwargs.crop_width = 76
    obs_utils.initialize_obs_utils_with_config(config)
    return config


def build(config):
    shapes = file_utils.get_shape_metadata_from_dataset(
        dataset_path=config.train.data, all_obs_keys=config.all_obs_keys, verbose=False
    )
    model = algo_factory(
        config.algo_name, config, shapes["all_shapes"], shapes["ac_dim"], device=torch_utils.get_torch_device(False)
    )
    return model, shapes


def backbone(model) -> XDistillConv:
    (found,) = {module for module in model.nets.modules() if isinstance(module, XDistillConv)}
    return found


def test_a_policy_of_robomimics_own_config_learns_with_the_encoder_inside(config):
    torch.manual_seed(0)
    model, shapes = build(config)
    encoder = backbone(model).nets
    statistics = {name: tensor.clone() for name, tensor in encoder.named_buffers()}
    frozen, learned = encoder.trunk.layer1[0].conv1.weight.clone(), encoder.trunk.layer4[1].conv2.weight.clone()
    dataset, _ = train_utils.load_data_for_training(config, obs_keys=shapes["all_obs_keys"])
    losses = []
    for epoch in range(24):
        loader = DataLoader(dataset, batch_size=8, shuffle=True)
        losses.append(train_utils.run_epoch(model, loader, epoch=epoch)["Loss"])
    assert losses[-1] < 0.8 * losses[0], losses
    assert all(torch.equal(tensor, statistics[name]) for name, tensor in encoder.named_buffers())
    assert torch.equal(encoder.trunk.layer1[0].conv1.weight, frozen)
    assert not torch.equal(encoder.trunk.layer4[1].conv2.weight, learned)


def test_what_the_backbone_gives_is_the_encoders_map(config, encoder, pixels):
    model, _ = build(config)
    with torch.inference_mode():
        found = backbone(model).eval()(pixels / 255)
        torch.testing.assert_close(found, encoder.forward_features(pixels), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_of_robomimic_comes_back_with_the_same_actions(config, tmp_path):
    model, shapes = build(config)
    environment = {"env_name": "noise", "type": 1, "env_kwargs": {}}
    train_utils.save_model(model, config, environment, shapes, ckpt_path=str(tmp_path / "model.pth"))
    loaded, _ = file_utils.policy_from_checkpoint(ckpt_path=str(tmp_path / "model.pth"), device=torch.device("cpu"))
    observation = {
        "camera": np.random.default_rng(0).uniform(0, 1, (3, 84, 84)).astype(np.float32),
        "joints": np.zeros(4, np.float32),
    }
    actions = []
    for policy in (RolloutPolicy(model), loaded):
        policy.start_episode()
        actions.append(policy(ob=observation))
    np.testing.assert_array_equal(*actions)


def test_a_checkpoint_of_robomimic_opens_where_the_encoders_own_is_gone(config, random_encoder, tmp_path):
    folder = random_encoder("group").save_pretrained(tmp_path / "mine")
    with config.values_unlocked():
        config.observation.encoder.rgb.core_kwargs.backbone_kwargs = {"checkpoint": str(folder), "norm": "group"}
    model, shapes = build(config)
    environment = {"env_name": "noise", "type": 1, "env_kwargs": {}}
    train_utils.save_model(model, config, environment, shapes, ckpt_path=str(tmp_path / "model.pth"))
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError):
        file_utils.policy_from_checkpoint(ckpt_path=str(tmp_path / "model.pth"), device=torch.device("cpu"))
    with weights_come_from_robomimic():
        loaded, _ = file_utils.policy_from_checkpoint(ckpt_path=str(tmp_path / "model.pth"), device=torch.device("cpu"))
    trained, opened = (backbone(policy).state_dict() for policy in (model, loaded.policy))
    assert all(torch.equal(tensor, opened[key]) for key, tensor in trained.items())
    assert XDistillConv().nets.checkpoint is not None  # the next one is loaded again


def test_depth_and_live_batch_norm_are_refused():
    with pytest.raises(ValueError, match="input_channel: the encoder reads RGB, expected 3, got 1"):
        XDistillConv(input_channel=1)
    with pytest.raises(ValueError, match="norm: expected 'frozen' or 'group', got 'batch'"):
        XDistillConv(norm="batch")


def test_a_config_of_robomimics_own_resnet_cannot_leave_the_encoder_random():
    with pytest.raises(ValueError, match="pretrained: this backbone starts from distilled weights, got False"):
        XDistillConv(pretrained=False)


def test_a_map_has_the_size_that_robomimic_is_told():
    assert XDistillConv().output_shape([3, 76, 76]) == [512, 3, 3]


@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_a_swap_of_batch_norm_for_group_norm_as_later_versions_have_it_finds_nothing(random_encoder, tmp_path, norm):
    folder = random_encoder(norm).save_pretrained(tmp_path / norm)
    backbone = XDistillConv(checkpoint=str(folder), norm=norm)
    before = copy.deepcopy(backbone.state_dict())
    for name, module in list(backbone.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            backbone.set_submodule(name, nn.GroupNorm(module.num_features // 16, module.num_features))
    assert list(backbone.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())


def test_the_pages_command_trains_by_robomimics_own_script(config, tmp_path):
    with config.values_unlocked():
        config.experiment.rollout.enabled = False
        config.experiment.epoch_every_n_steps = config.train.num_epochs = 1
        config.experiment.save.every_n_epochs = 1
        config.experiment.logging.log_tb = False
        config.train.num_data_workers = 0
    (tmp_path / "bc.json").write_text(config.dump())
    page = (ROOT / "docs" / "hosts" / "robomimic.md").read_text()
    (command,) = re.findall(r"^python -c .*$", page, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    assert "finished run successfully" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    (checkpoint,) = tmp_path.rglob("*.pth")
    weights = torch.load(checkpoint, weights_only=False)["model"]
    assert any("backbone.nets.trunk.layer4" in key for key in weights)
