import copy
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.finetuning import STAGES

LEARNING = "trunk.layer4.0.conv1.weight"


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return XDistillResNet18("batch", teacher_features=8).train()


def frozen_values(encoder: XDistillResNet18) -> dict[str, torch.Tensor]:
    """Everything that must not change while stem and layer1 are frozen, statistics included."""
    fixed = ("conv1", "bn1", "layer1")
    return {k: v.clone() for k, v in encoder.trunk.state_dict().items() if k.startswith(fixed)}


def train_step(model: nn.Module) -> None:
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.rand(4, 3, 32, 32)).square().mean().backward()
    optimizer.step()


def assert_frozen_through_a_step(encoder: XDistillResNet18, model: nn.Module) -> None:
    fixed, learning = frozen_values(encoder), encoder.get_parameter(LEARNING).detach().clone()
    train_step(model)
    for key, value in frozen_values(encoder).items():
        assert torch.equal(value, fixed[key]), key
    assert not torch.equal(encoder.get_parameter(LEARNING), learning)
    assert encoder.training
    assert not encoder.trunk.layer1.training
    assert encoder.trunk.layer2.training


def test_frozen_stages_stay_frozen_through_train(encoder):
    encoder.freeze("stem", "layer1")
    assert_frozen_through_a_step(encoder, encoder)


def test_frozen_stages_stay_frozen_inside_a_policy_that_is_put_in_train_mode(encoder):
    encoder.freeze("stem", "layer1")
    assert_frozen_through_a_step(encoder, nn.Sequential(encoder, nn.Linear(512, 4)))


def test_frozen_batch_norm_stays_in_eval_mode_whoever_calls_train_below_the_encoder(encoder):
    encoder.freeze("stem", "layer1")
    fixed = frozen_values(encoder)
    encoder.trunk.train()  # what a host does that took the trunk alone
    for module in encoder.modules():
        module.train()
    encoder(torch.rand(4, 3, 32, 32))
    assert all(torch.equal(value, fixed[key]) for key, value in frozen_values(encoder).items())
    assert encoder.trunk.layer2[0].bn1.training


def test_unfreezing_lets_batch_norm_follow_train_again(encoder):
    encoder.freeze("stem").unfreeze("stem")
    before = encoder.trunk.bn1.running_mean.clone()
    encoder(torch.rand(4, 3, 32, 32))
    assert not torch.equal(encoder.trunk.bn1.running_mean, before)


def test_frozen_stages_stay_frozen_in_a_deep_copy(encoder):
    duplicate = copy.deepcopy(encoder.freeze("stem", "layer1"))
    assert duplicate.frozen_stages == ("stem", "layer1", "teacher_head")
    assert_frozen_through_a_step(duplicate, duplicate)


def test_frozen_stages_stay_frozen_in_an_ema_copy(encoder):
    encoder.freeze("stem", "layer1")
    fixed = frozen_values(encoder)
    ema = AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    for _ in range(2):
        train_step(encoder)
        ema.update_parameters(encoder)
    ema.train()
    average = cast(XDistillResNet18, ema.module)
    assert not average.trunk.layer1.training
    average(torch.rand(4, 3, 32, 32))
    for key, value in frozen_values(average).items():
        torch.testing.assert_close(value, fixed[key], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("assign", [False, True])
def test_frozen_stages_stay_frozen_through_a_state_dict_round_trip(encoder, assign):
    encoder.freeze("stem", "layer1")
    state = {key: value.clone() for key, value in XDistillResNet18("batch", teacher_features=8).state_dict().items()}
    encoder.load_state_dict(state, assign=assign)
    assert_frozen_through_a_step(encoder, encoder)


def test_frozen_stages_stay_frozen_under_distributed_data_parallel(encoder, tmp_path):
    encoder.freeze("stem", "layer1")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        model = DistributedDataParallel(encoder)
        assert_frozen_through_a_step(encoder, model)
        train_step(model)  # a second step fails where a trainable parameter took no part in the first
    finally:
        dist.destroy_process_group()


def test_the_trunk_is_the_name_of_all_its_stages(encoder):
    encoder.freeze("trunk")
    assert encoder.frozen_stages == STAGES
    assert not any(p.requires_grad for p in encoder.parameters())
    encoder.unfreeze("trunk")
    assert encoder.frozen_stages == ("teacher_head",)
    assert all(p.requires_grad for p in encoder.trunk.parameters())
    assert encoder.trunk.layer1.training


def test_unfreezing_an_encoder_in_eval_mode_leaves_it_in_eval_mode(encoder):
    encoder.eval().freeze("trunk").unfreeze("layer4")
    assert not any(module.training for module in encoder.modules())


def test_a_stage_that_is_frozen_after_a_backward_pass_takes_no_step_with_it(encoder):
    encoder.unfreeze("trunk")
    encoder(torch.rand(2, 3, 32, 32)).sum().backward()
    before = encoder.trunk.conv1.weight.clone()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=1.0)
    encoder.freeze("stem")
    optimizer.step()
    assert torch.equal(encoder.trunk.conv1.weight, before)


def test_an_unknown_stage_lists_the_known_ones(encoder):
    with pytest.raises(ValueError, match="one or more of stem, layer1, .*, teacher_head, got 'layer5'"):
        encoder.freeze("layer5")


@pytest.mark.parametrize("method", ["freeze", "unfreeze"])
def test_a_list_of_stages_that_is_empty_is_refused(encoder, method):
    with pytest.raises(ValueError, match=r"stage: expected trunk \(all of stem, .*\), or one or more of .*, got none"):
        getattr(encoder, method)(*[])


def test_param_groups_refuse_weights_that_something_else_thawed(encoder):
    torch.nn.Sequential(encoder.freeze("stem")).requires_grad_(True)
    with pytest.raises(
        ValueError, match="stem: frozen by freeze.., but something called requires_grad_.True. on its weights since"
    ):
        encoder.param_groups(1e-3)


def test_weights_in_flat_pieces_are_refused_whose_kernels_nobody_can_tell(encoder):
    """As FSDP1 and ZeRO-3 cut them: pieces with one axis, or tensors that are views of one parameter for all."""
    encoder.trunk.conv1.weight = torch.nn.Parameter(encoder.trunk.conv1.weight.detach().flatten())
    with pytest.raises(ValueError, match="param_groups: the weights are cut into flat pieces"):
        encoder.param_groups(1e-4)
    del encoder.trunk.conv1.weight
    encoder.trunk.conv1.weight = torch.zeros(64, 3, 7, 7)
    with pytest.raises(ValueError, match="param_groups: the weights are cut into flat pieces"):
        encoder.param_groups(1e-4)


def test_an_encoder_without_a_teacher_head_has_no_such_stage():
    encoder = XDistillResNet18("batch")
    assert encoder.frozen_stages == ()
    assert encoder.freeze("trunk").frozen_stages == STAGES[:-1]
    with pytest.raises(ValueError, match="one or more of stem, .*, layer4, got 'teacher_head'"):
        encoder.unfreeze("teacher_head")


def test_param_groups_hold_every_trainable_parameter_once(encoder):
    groups = encoder.freeze("stem").param_groups(1e-3)
    members = [id(p) for group in groups for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in encoder.parameters() if p.requires_grad)


def test_learning_rates_decay_from_layer4_down_and_the_head_takes_the_full_rate(encoder):
    groups = encoder.unfreeze("teacher_head").param_groups(1e-3, backbone_multiplier=0.1, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in groups}
    expected = {"stem": 1e-4 / 16, "layer1": 1e-4 / 8, "layer2": 1e-4 / 4, "layer3": 1e-4 / 2, "layer4": 1e-4}
    assert rates == pytest.approx(expected | {"teacher_head": 1e-3})


def test_weight_decay_spares_norms_and_biases(encoder):
    for group in encoder.param_groups(1e-3, weight_decay=0.05):
        dimensions = {p.ndim for p in group["params"]}
        assert dimensions == ({1} if group["weight_decay"] == 0 else {4})


def test_without_weight_decay_the_optimizers_own_holds_for_matrices(encoder):
    optimizer = torch.optim.AdamW(encoder.param_groups(1e-3), weight_decay=0.1)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0 if group["params"][0].ndim == 1 else 0.1)


@pytest.mark.parametrize("argument", ["lr", "backbone_multiplier", "layer_decay"])
@pytest.mark.parametrize("value", [0, float("nan")])
def test_a_rate_that_is_not_above_zero_is_refused(encoder, argument, value):
    with pytest.raises(ValueError, match=rf"{argument}: expected a number above 0, got {value}.*freeze\(\)"):
        encoder.param_groups(**({"lr": 1e-3} | {argument: value}))


@pytest.mark.parametrize("argument", ["lr", "backbone_multiplier", "layer_decay", "weight_decay"])
def test_a_rate_that_yaml_read_as_text_is_refused_by_name(encoder, argument):
    factors: dict[str, Any] = {"lr": 1e-3, argument: "1e-4"}
    with pytest.raises(ValueError, match=f"{argument}: expected a number, got '1e-4'; YAML reads 1e-4 as text"):
        encoder.param_groups(**factors)


def test_factors_that_turn_their_purpose_round_are_refused(encoder):
    with pytest.raises(ValueError, match="layer_decay: expected at most 1, .*, got 3"):
        encoder.param_groups(1e-3, layer_decay=3)
    with pytest.raises(ValueError, match="weight_decay: expected 0 or more, or None, got -1"):
        encoder.param_groups(1e-3, weight_decay=-1)
