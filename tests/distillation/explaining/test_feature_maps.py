import pytest
import torch

from distillation.explaining.feature_maps import encoder_network, maps_of, teacher_network
from distillation.scoring.encoders import load_encoder
from distillation.teachers import load_teacher

CPU = torch.device("cpu")


@pytest.mark.parametrize("spec", ["random", "timm/resnet18:random", "torchvision/resnet18:random"])
def test_the_mean_of_the_map_is_what_the_encoder_gives(spec, images):
    torch.manual_seed(0)
    network = encoder_network(load_encoder(spec, 64))
    with torch.inference_mode():
        maps, pooled = network.feature_map(images), network.pooled(images)
    assert maps.shape == (2, 512, 2, 2)
    torch.testing.assert_close(maps.mean(dim=(-2, -1)), pooled)


def test_the_map_of_a_teacher_is_its_patch_tokens(teacher_spec, images):
    teacher = load_teacher(teacher_spec, embedding="avg")
    network = teacher_network(teacher)
    assert network.name == f"teacher {teacher.name}"
    maps = maps_of(network, list(images), CPU)
    assert maps.shape == (2, 192, 2, 2)
    views = torch.stack([network.prepare(image) for image in images])
    torch.testing.assert_close(maps.mean(dim=(-2, -1)), teacher(views))


def test_images_of_several_sizes_are_looked_at_together(images):
    network = encoder_network(load_encoder("random", 64))
    assert maps_of(network, [images[0], images[1][:, :40]], CPU).shape == (2, 512, 2, 2)


def test_a_network_whose_map_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no feature map is known of torchvision/alexnet:random; .* timm/<model>"):
        encoder_network(load_encoder("torchvision/alexnet:random", 64))
