"""Features of any encoder under test, pooled or as a map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from tqdm import tqdm

from distillation.ablation_encoders import AblationEncoder
from distillation.scoring.encoders import CentreView, Encoder, Normalized, load_encoder
from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images
from distillation.teachers import Embedding, Teacher, load_teacher
from distillation.towers.timm_models import patch_map
from xdistill_encoder import XDistillResNet18


@dataclass(frozen=True)
class Network:
    """A network that is looked into.

    Attributes:
        name: how pictures call it.
        pooled: (B, 3, S, S) uint8 -> (B, D).
        prepare: (3, H, W) uint8 -> (3, S, S) uint8.
        feature_map: (B, 3, S, S) uint8 -> (B, C, h, w).
    """

    name: str
    pooled: nn.Module
    prepare: Callable[[Tensor], Tensor]
    feature_map: Callable[[Tensor], Tensor]


def open_networks(
    encoders: Sequence[str],
    image_size: int | None,
    teacher: str | None,
    teacher_image_size: int | None,
    embedding: Embedding,
) -> list[Network]:
    """The encoders, or the default bundled one where none is named, then the teacher; all in eval mode.

    Args:
        encoders: as `load_encoder` takes them.
        image_size: side in px of the encoders' images; None: see `load_encoder`.
        teacher, teacher_image_size, embedding: see `load_teacher`; None: no teacher.

    Raises:
        ValueError: two of one name, or see `load_encoder`, `load_teacher`.
    """
    networks = [encoder_network(load_encoder(spec, image_size)) for spec in encoders or (None,)]
    if teacher is not None:
        networks.append(teacher_network(load_teacher(teacher, teacher_image_size, embedding)))
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise ValueError(f"encoders: expected each once, got {', '.join(names)}")
    for network in networks:
        network.pooled.eval()
    return networks


def encoder_network(encoder: Encoder) -> Network:
    """An encoder as the scorecard takes it; raises ValueError for one whose map is not known here."""
    return Network(encoder.name, encoder.features, encoder.prepare, map_of(encoder.features, encoder.name))


def teacher_network(teacher: Teacher) -> Network:
    """A teacher with its patch tokens as the map, on the same view of an image that encoders get."""
    view = CentreView(teacher.image_size, teacher.interpolation)
    return Network(f"teacher {teacher.name}", teacher, view, lambda images: teacher.embed(images)[1])


def map_of(network: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    """What gives a network's last map; raises ValueError for a kind of network that is not known here."""
    if isinstance(network, XDistillResNet18):
        return network.forward_features
    if isinstance(network, AblationEncoder):
        return lambda images: network.features_and_map(images)[1]
    if isinstance(network, Normalized) and name.startswith("timm/"):

        def timm_map(images: Tensor) -> Tensor:
            pixels = network.normalize(images)
            return patch_map(network.model, network.model.forward_features(pixels), *pixels.shape[-2:])  # type: ignore

        return timm_map
    if isinstance(network, Normalized) and isinstance(network.model, ResNet):
        resnet = network.model
        return lambda images: resnet_map(resnet, network.normalize(images))
    raise ValueError(
        f"encoders: no feature map is known of {name}; take a checkpoint of ours, a student's folder, a ResNet of "
        "torchvision or timm/<model>, which has torchvision's other networks too"
    )


def resnet_map(resnet: ResNet, pixels: Tensor) -> Tensor:
    """(B, 3, H, W), normalised -> (B, C, h, w), the output of the last stage."""
    x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(pixels))))
    return resnet.layer4(resnet.layer3(resnet.layer2(resnet.layer1(x))))


@torch.inference_mode()
def maps_of(network: Network, images: Sequence[Tensor], device: torch.device) -> Tensor:
    """The maps of images (3, H, W) uint8 of any sizes -> (B, C, h, w) float32 on the CPU."""
    network.pooled.to(device)
    return torch.cat([network.feature_map(network.prepare(image)[None].to(device)).float().cpu() for image in images])


@torch.inference_mode()
def embed_all(
    networks: Sequence[Network], images: Images, places: Sequence[int], device: torch.device, batch_size: int
) -> list[Tensor]:
    """The pooled features of some of the images, (N, D) float32 on the CPU each; every image is decoded once.

    Raises:
        ValueError: an image cannot be read.
    """
    rows: list[list[Tensor]] = [[] for _ in networks]
    for network in networks:
        network.pooled.to(device)
    with tqdm(total=len(places), unit="img", desc="features of the set") as progress:
        for start in range(0, len(places), batch_size):
            batch = [read(images, place) for place in places[start : start + batch_size]]
            for network, found in zip(networks, rows, strict=True):
                views = torch.stack([network.prepare(image) for image in batch])
                found.append(network.pooled(views.to(device)).float().cpu())
            progress.update(len(batch))
    return [torch.cat(found) for found in rows]


def read(images: Images, place: int) -> Tensor:
    """(3, H, W) uint8; raises ValueError for an image that cannot be decoded, with where it lies."""
    try:
        return images.read(place)
    except DamagedImage as error:
        raise ValueError(f"images: {images.where(place)} cannot be read ({error}); repair it or take it out") from error
