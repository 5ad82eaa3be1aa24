import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.norms import BatchNorm2d, FrozenBatchNorm2d, norm_layer, share_weights


def batch_norm_with_statistics() -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(8)
    for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
        assert tensor is not None
        nn.init.uniform_(tensor, 0.5, 2)
    return layer


def test_a_frozen_layer_computes_what_batch_norm_computes_in_eval_mode():
    layer, frozen, x = batch_norm_with_statistics(), FrozenBatchNorm2d(8), torch.randn(4, 8, 5, 5)
    frozen.load_state_dict(layer.state_dict(), strict=True)
    torch.testing.assert_close(frozen.train()(x), layer.eval()(x))


def test_no_train_call_and_no_conversion_thaws_a_frozen_layer():
    encoder = XDistillResNet18("frozen")
    before = {k: v.clone() for k, v in encoder.state_dict().items() if "running" in k}
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(encoder.train())
    for module in converted.modules():
        module.train()
    converted(torch.rand(4, 3, 64, 64))
    after = converted.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in converted.modules())


def test_update_bn_measures_the_statistics_of_layers_that_are_not_held():
    """What stochastic weight averaging ends with: it resets every batch norm and lets train mode fill it."""
    held, live = (BatchNorm2d(3, momentum=0.5) for _ in range(2))
    held.hold(True)
    images = 2 + torch.randn(64, 3, 8, 8)
    for layer in (held, live):
        layer.load_state_dict({**layer.state_dict(), "running_mean": torch.full((3,), 5.0)})
        update_bn([images], nn.Sequential(layer, nn.Identity()))
    assert held.state_dict()["running_mean"].tolist() == [5.0] * 3
    torch.testing.assert_close(live.state_dict()["running_mean"], images.mean(dim=(0, 2, 3)))


def test_a_frozen_layer_computes_where_its_parameters_alone_were_cast_as_by_fsdp():
    layer, x = FrozenBatchNorm2d(8), torch.randn(4, 8, 5, 5)
    layer.load_state_dict(batch_norm_with_statistics().state_dict())
    expected = layer(x)
    for parameter in layer.parameters():
        parameter.data = parameter.data.bfloat16()
    torch.testing.assert_close(layer(x.bfloat16()).float(), expected, atol=0.05, rtol=0.02)


def test_scale_and_offset_of_a_frozen_layer_learn():
    layer = FrozenBatchNorm2d(8)
    layer(torch.randn(4, 8, 5, 5)).square().mean().backward()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None


def test_group_norm_has_16_channels_a_group():
    for channels in (64, 128, 256, 512):
        layer = norm_layer("group")(channels)
        assert isinstance(layer, nn.GroupNorm)
        assert layer.num_groups == channels // 16


@pytest.mark.parametrize(
    ("asked", "trained", "shared"),
    [("batch", "frozen", True), ("frozen", "batch", True), ("group", "batch", False), ("frozen", "group", False)],
)
def test_batch_and_frozen_share_weights_and_group_does_not(asked, trained, shared):
    assert share_weights(asked, trained) is shared
