"""Policy types of LeRobot with the encoder inside: `xdistill_diffusion`, `xdistill_act`."""

# pyright: reportMissingImports=false

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

from xdistill_encoder.finetuning import TRUNK_STAGES, named_stages
from xdistill_encoder.hosts.lerobot.backbones import (
    place_in_act,
    place_in_diffusion,
    require_normalised_images,
    rgb_encoders,
    wrong_statistics,
)
from xdistill_encoder.images import MIN_SIZE_PX, check_image_size
from xdistill_encoder.model import XDistillResNet18

NORMS = ("frozen", "group")


@PreTrainedConfig.register_subclass("xdistill_diffusion")
@dataclass
class XDistillDiffusionConfig(DiffusionConfig):
    """LeRobot's DiffusionConfig; its `use_group_norm` and `pretrained_backbone_weights` have no meaning here."""

    license: str | None = "other"
    """For the card of an uploaded policy, where LeRobot's own default is Apache-2.0, which the weights are not."""
    encoder: str | None = None
    """As in `XDistillResNet18.from_pretrained`; None: the bundled checkpoint for the norm."""
    encoder_norm: str = "frozen"
    """"frozen" or "group"."""
    encoder_freeze: tuple[str, ...] = ()
    """Stages that take no gradient: "stem", "layer1" to "layer4"."""
    encoder_lr_multiplier: float = 1.0
    """The encoder's learning rate is this times `optimizer_lr`."""

    def __post_init__(self) -> None:
        self.use_group_norm = False
        self.pretrained_backbone_weights = None
        check_encoder(self)
        multiplier = self.encoder_lr_multiplier
        if not isinstance(multiplier, (int, float)) or not 0 < multiplier < float("inf"):
            raise ValueError(
                f"encoder_lr_multiplier: expected a number above 0, got {multiplier!r}; encoder_freeze keeps stages as "
                "they are"
            )
        for name in ("resize_shape", "crop_shape"):
            size = getattr(self, name, None)  # ACT has neither
            if size is not None and min(size) < MIN_SIZE_PX:
                raise ValueError(f"{name}: expected at least {MIN_SIZE_PX} px, which the encoder needs, got {size}")
        super().__post_init__()


class XDistillDiffusionPolicy(DiffusionPolicy):
    """LeRobot's Diffusion Policy; crop, spatial softmax and everything after the backbone are LeRobot's.

    Args:
        config: of the type `xdistill_diffusion`.
        dataset_stats: what LeRobot normalises with; images must get ImageNet's mean and std. None: not checked.
        load_encoder: False leaves the encoder random, for weights that come from a checkpoint of the policy.

    Raises:
        ValueError: another normalisation (of a policy that is loaded: in `forward`), no such checkpoint, no camera.
    """

    config_class = XDistillDiffusionConfig
    name = "xdistill_diffusion"

    def __init__(
        self,
        config: XDistillDiffusionConfig,
        dataset_stats: dict[str, dict[str, Any]] | None = None,
        load_encoder: bool = True,
        **kwargs: Any,
    ):
        require_cameras(config)
        super().__init__(config, **kwargs)
        self.refused = other_statistics(config, dataset_stats, at_once=load_encoder)
        place_in_diffusion(self, build_encoder(config, load_encoder))

    def forward(self, batch: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """LeRobot's loss; raises a ValueError where images come normalised otherwise than by ImageNet's statistics."""
        if self.refused:
            raise ValueError(self.refused)
        return super().forward(batch, *args, **kwargs)

    def get_optim_params(self) -> Any:
        """Two groups: the rest, and the encoder, at its own learning rate where it has one."""
        encoder = {id(p) for rgb_encoder in rgb_encoders(self) for p in rgb_encoder.backbone.parameters()}
        learning = [p for p in self.parameters() if p.requires_grad]
        multiplier = self.config.encoder_lr_multiplier
        own = {} if multiplier == 1 else {"lr": self.config.optimizer_lr * multiplier}  # else the optimizer's
        return [
            {"params": [p for p in learning if id(p) not in encoder]},
            {"params": [p for p in learning if id(p) in encoder], **own},
        ]

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> Any:
        """LeRobot's, strict; the encoder's own checkpoint is not needed again."""
        return super().from_pretrained(pretrained_name_or_path, **{"strict": True, **kwargs, "load_encoder": False})


def make_xdistill_diffusion_pre_post_processors(config: Any, dataset_stats: Any = None) -> Any:
    """Those of LeRobot's Diffusion Policy; LeRobot 0.6 looks for this name, 0.4 recognises the configuration."""
    return make_diffusion_pre_post_processors(config, dataset_stats=dataset_stats)


@PreTrainedConfig.register_subclass("xdistill_act")
@dataclass
class XDistillACTConfig(ACTConfig):
    """LeRobot's ACTConfig; its `pretrained_backbone_weights` has no meaning here."""

    license: str | None = "other"
    """For the card of an uploaded policy, where LeRobot's own default is Apache-2.0, which the weights are not."""
    encoder: str | None = None
    """As in `XDistillResNet18.from_pretrained`; None: the bundled checkpoint for the norm."""
    encoder_norm: str = "frozen"
    """"frozen" or "group"."""
    encoder_freeze: tuple[str, ...] = ()
    """Stages that take no gradient: "stem", "layer1" to "layer4"."""
    resize_shape: tuple[int, int] | None = None
    """(H, W) to which frames are scaled before the encoder, in training and on the robot; None: whole frames."""

    def __post_init__(self) -> None:
        self.pretrained_backbone_weights = None
        check_encoder(self)
        if self.resize_shape is not None:
            check_image_size(self.resize_shape)
        if self.replace_final_stride_with_dilation:
            raise ValueError("replace_final_stride_with_dilation: a ResNet-18 has strides alone, set it to 0")
        super().__post_init__()


class XDistillACTPolicy(ACTPolicy):
    """LeRobot's ACT; the encoder learns at `optimizer_lr_backbone`.

    Args and errors are those of `XDistillDiffusionPolicy`.
    """

    config_class = XDistillACTConfig
    name = "xdistill_act"

    def __init__(
        self,
        config: XDistillACTConfig,
        dataset_stats: dict[str, dict[str, Any]] | None = None,
        load_encoder: bool = True,
        **kwargs: Any,
    ):
        require_cameras(config)
        super().__init__(config, **kwargs)
        self.refused = other_statistics(config, dataset_stats, at_once=load_encoder)
        place_in_act(self, build_encoder(config, load_encoder), config.resize_shape)

    def forward(self, batch: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """LeRobot's loss; raises a ValueError where images come normalised otherwise than by ImageNet's statistics."""
        if self.refused:
            raise ValueError(self.refused)
        return super().forward(batch, *args, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> Any:
        """LeRobot's, strict; the encoder's own checkpoint is not needed again."""
        return super().from_pretrained(pretrained_name_or_path, **{"strict": True, **kwargs, "load_encoder": False})


def make_xdistill_act_pre_post_processors(config: Any, dataset_stats: Any = None) -> Any:
    """Those of LeRobot's ACT; LeRobot 0.6 looks for this name, 0.4 recognises the configuration."""
    return make_act_pre_post_processors(config, dataset_stats=dataset_stats)


def check_encoder(config: XDistillDiffusionConfig | XDistillACTConfig) -> None:
    """Raise a ValueError for what the encoder of a policy cannot be."""
    if config.vision_backbone != "resnet18":
        raise ValueError(f"vision_backbone: expected 'resnet18', got {config.vision_backbone!r}")
    if config.encoder_norm not in NORMS:
        raise ValueError(f"encoder_norm: expected one of {', '.join(NORMS)}, got {config.encoder_norm!r}")
    config.encoder_freeze = tuple(config.encoder_freeze)
    if all(len(stage) == 1 for stage in config.encoder_freeze):  # LeRobot's command line takes one word for its letters
        config.encoder_freeze = ("".join(config.encoder_freeze),) if config.encoder_freeze else ()
    if config.encoder_freeze:
        named_stages(config.encoder_freeze, TRUNK_STAGES)  # raises for an unknown one


def require_cameras(config: XDistillDiffusionConfig | XDistillACTConfig) -> None:
    """Raise a ValueError for a policy that reads no images."""
    if not config.image_features:
        inputs = ", ".join(config.input_features) or "nothing"
        raise ValueError(f"input_features: a policy of type {config.type} reads an image, got {inputs}")


def other_statistics(
    config: XDistillDiffusionConfig | XDistillACTConfig, dataset_stats: dict[str, dict[str, Any]] | None, at_once: bool
) -> str | None:
    """Why a policy is not to be trained with these statistics; None: they are ImageNet's, or unknown.

    A policy that was saved comes with the statistics that it learned with. LeRobot hands it those of a data set as
    well, and normalises with these in training alone: a recording that goes on has its own, which change nothing.

    Raises:
        ValueError: images that are not normalised by mean and std; other statistics, `at_once`.
    """
    require_normalised_images(config.normalization_mapping)
    refused = wrong_statistics(list(config.image_features), dataset_stats)
    if at_once and refused:
        raise ValueError(refused)
    return refused


def build_encoder(config: XDistillDiffusionConfig | XDistillACTConfig, load: bool) -> XDistillResNet18:
    """The encoder that a config describes, its stages frozen."""
    norm: Any = config.encoder_norm
    encoder = XDistillResNet18.from_pretrained(config.encoder, norm=norm) if load else XDistillResNet18(norm)
    if config.encoder_freeze:
        encoder.freeze(*config.encoder_freeze)
    return encoder
