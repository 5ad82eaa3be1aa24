import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.feature_extraction import create_feature_extractor


def test_the_trunks_state_loads_strictly_into_torchvisions_resnet18(encoder, pixels, normalised):
    model = resnet18()
    model.add_module("fc", nn.Identity())
    model.load_state_dict(encoder.trunk.state_dict(), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_group_norm_loads_where_torchvision_builds_the_same_groups(random_encoder, pixels, normalised):
    encoder = random_encoder("group")
    model = resnet18(norm_layer=lambda channels: nn.GroupNorm(channels // 16, channels))
    model.add_module("fc", nn.Identity())
    model.load_state_dict(encoder.trunk.state_dict(), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("norm", ["batch", "frozen", "group"])
def test_torchvisions_feature_extractors_read_the_trunk_by_its_names(norm, random_encoder, pixels, normalised):
    encoder = random_encoder(norm)
    torch.jit.script(encoder.trunk)
    with torch.inference_mode():
        expected = encoder.forward_features(pixels)
        close = {"rtol": 1e-4, "atol": 1e-4 * float(expected.max())}  # features of random weights are large
        getter = IntermediateLayerGetter(encoder.trunk, {"layer4": "map"})
        torch.testing.assert_close(getter(normalised)["map"], expected, **close)
        extractor = create_feature_extractor(encoder.trunk, {"layer4": "map"}).eval()
        torch.testing.assert_close(extractor(normalised)["map"], expected, **close)
