"""Networks that learn to imitate teachers."""

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distillation.ablation_encoders import AblationEncoder
from distillation.norm_transfer import calibrate, take_over
from distillation.student_files import load_student, save_student
from xdistill_encoder import XDistillResNet18, readouts
from xdistill_encoder.checkpoints import HUB_ID
from xdistill_encoder.finetuning import NO_DECAY_NDIM

StudentNorm = Literal["batch", "group"]


class Student(nn.Module):
    """An encoder with one linear layer to the widths of all teachers, everything learning.

    `forward` is the only entry to training, so that DistributedDataParallel and torch.compile can wrap a student.

    Args:
        widths: of the teachers' embeddings; outputs are their concatenation.
        backbone: "resnet18", the product; for ablations "resnet34", "resnet50" of torchvision, or "timm/<model>".
        norm: "batch" or "group", the layers of a ResNet.
        patch_width: channels of the map that `forward` can give beside the embeddings; None: no map.
        head_norm: put a batch norm between the features and the linear layer; `exported` folds it into that.

    Attributes:
        encoder: the `XDistillResNet18` or `AblationEncoder`; its `teacher_head` is the linear layer.
        head_norm: the batch norm before it, or None.
        origin: provenance of the checkpoint it started from; empty without one.
        uncalibrated: whether its group norms hold a batch norm's scales and offsets, so that `calibrate` must follow.
        target_mean, target_std: buffers (D,), the statistics of `standardize`; 0 and 1 before it.

    Raises:
        ValueError: no widths, or an unknown backbone or norm.
    """

    def __init__(
        self,
        widths: Sequence[int],
        backbone: str = "resnet18",
        norm: StudentNorm = "batch",
        patch_width: int | None = None,
        head_norm: bool = False,
    ):
        super().__init__()
        if not widths or min(widths) < 1:
            raise ValueError(f"widths: expected the width of each teacher, 1 or more, got {tuple(widths)}")
        if norm not in ("batch", "group"):
            raise ValueError(f"norm: expected batch or group, got {norm!r}")
        if backbone == "resnet18":
            self.encoder = XDistillResNet18(norm, teacher_features=sum(widths), check_values=False)
            self.encoder.unfreeze("teacher_head")
            map_features = self.encoder.num_features
        else:
            self.encoder = AblationEncoder(backbone, norm, sum(widths))
            map_features = self.encoder.map_features
        self.backbone = backbone
        self.widths = tuple(widths)
        self.head_norm = nn.BatchNorm2d(self.head.in_features) if head_norm else None
        self.patch_projection = None if patch_width is None else nn.Conv2d(map_features, patch_width, kernel_size=1)
        self.register_buffer("target_mean", torch.zeros(sum(widths)))
        self.register_buffer("target_std", torch.ones(sum(widths)))
        self.target_mean: Tensor
        self.target_std: Tensor
        self.origin: dict[str, Any] = {}
        self.uncalibrated = False
        self._head_from_checkpoint = False

    @property
    def head(self) -> nn.Linear:
        """The linear layer to the teachers' widths."""
        assert self.encoder.teacher_head is not None
        return self.encoder.teacher_head

    def forward(self, images: Tensor, with_map: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, D), the estimates of the teachers' embeddings;
        with_map: beside them (B, patch_width, h, w) of the same forward pass.

        Raises:
            ValueError: with_map of a student that was built without patch_width.
        """
        if not with_map:
            return self._estimates(self.encoder(images))
        if self.patch_projection is None:
            raise ValueError("with_map: this student has no patch projection; build it with patch_width=<channels>")
        if isinstance(self.encoder, XDistillResNet18):
            feature_map = self.encoder.forward_features(images)
            features = readouts.pool(feature_map)
        else:
            features, feature_map = self.encoder.features_and_map(images)
        return self._estimates(features), self.patch_projection(feature_map)

    def _estimates(self, features: Tensor) -> Tensor:
        """(B, num_features), pooled -> (B, D)."""
        if self.head_norm is not None:
            features = self.head_norm(features[:, :, None, None]).flatten(1)  # 2d: the kind that processes can share
        return self.head(features)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for a torch optimizer; norm parameters and biases take no decay."""
        if isinstance(self.encoder, XDistillResNet18):
            groups = self.encoder.param_groups(lr, weight_decay=weight_decay)
        else:
            trunk = self.encoder.trunk
            undecayed = getattr(trunk, "no_weight_decay", set)()  # timm: a ViT's tokens and positions
            groups = _decay_groups("trunk", trunk, lr, weight_decay, undecayed)
            groups += _decay_groups("teacher_head", self.head, lr, weight_decay)
        if self.head_norm is not None:
            groups += _decay_groups("head_norm", self.head_norm, lr, weight_decay)
        if self.patch_projection is not None:
            groups += _decay_groups("patch_projection", self.patch_projection, lr, weight_decay)
        return groups

    # ---- standardised targets

    @torch.no_grad()
    def standardize(self, mean: Tensor, std: Tensor) -> None:
        """From here on the outputs estimate (embedding - mean) / std, as `standardized` gives it.

        A head that was taken from a checkpoint goes on estimating the same embeddings.

        Args:
            mean, std: (D,) of the teachers' embeddings, concatenated.

        Raises:
            ValueError: another shape, a value that is not finite, a std that is not above 0.
        """
        expected = (sum(self.widths),)
        if mean.shape != expected or std.shape != expected:
            raise ValueError(f"mean, std: expected shape {expected}, got {tuple(mean.shape)}, {tuple(std.shape)}")
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ValueError("mean, std: expected finite numbers and std above 0; bound std from below")
        if self._head_from_checkpoint:
            _to_raw(self.head, self.target_mean, self.target_std)
        self.target_mean.copy_(mean)
        self.target_std.copy_(std)
        if self._head_from_checkpoint:
            _to_standardized(self.head, self.target_mean, self.target_std)

    def standardized(self, embeddings: Tensor) -> Tensor:
        """(B, D) embeddings of the teachers -> (B, D), what the outputs estimate."""
        return (embeddings - self.target_mean) / self.target_std

    # ---- checkpoints

    @torch.no_grad()
    def start_from(self, checkpoint: str) -> None:
        """Take the encoder's weights from a checkpoint; its teacher head too, where the widths agree and no norm stands
        before it.

        A ResNet-18 with group norm can start from one with batch norm: it takes the kernels, and is `uncalibrated`
        until `calibrate`. Without that the swap would ruin them.

        Args:
            checkpoint: of a ResNet-18: a bundled name, folder or Hub id; of another backbone: a folder.

        Raises:
            ValueError: no such checkpoint, or one of another backbone or norm.
        """
        if isinstance(self.encoder, XDistillResNet18):
            source: Any = XDistillResNet18.from_pretrained(checkpoint)
            self.uncalibrated = self.encoder.norm == "group" and source.norm != "group"
            if not self.uncalibrated:
                source = XDistillResNet18.from_pretrained(checkpoint, norm=self.encoder.norm)  # refuses the other swap
        else:
            source = load_student(checkpoint)
            ours = f"{self.backbone} with {self.encoder.norm} norm"
            theirs = f"{source.checkpoint.architecture} with {source.checkpoint.norm} norm"
            if ours != theirs:
                raise ValueError(f"{checkpoint}: expected a {ours}, got {theirs}")
        self.origin = source.checkpoint.as_origin() if source.checkpoint else {}
        if self.origin and HUB_ID.fullmatch(checkpoint) and not Path(checkpoint).expanduser().is_dir():
            self.origin["started_from"]["hub"] = checkpoint
        if self.uncalibrated:
            take_over(self.encoder.trunk, source.trunk.state_dict())
        else:
            self.encoder.trunk.load_state_dict(source.trunk.state_dict())
        head = source.teacher_head
        if head is not None and head.out_features == self.head.out_features and self.head_norm is None:
            self.head.load_state_dict(head.state_dict())
            _to_standardized(self.head, self.target_mean, self.target_std)
            self._head_from_checkpoint = True

    def calibrate(self, images: Tensor) -> None:
        """Fit group norms that took over a batch norm's scales and offsets (see `norm_transfer.calibrate`).

        Args:
            images: (B, 3, H, W), uint8 in [0, 255] or float in [0, 1]; some hundreds.
        """
        learning = self.training
        calibrate(self.encoder, images)
        self.train(learning)
        self.uncalibrated = False
        self.origin["started_from"]["norm"] = f"batch; group norms calibrated on {len(images)} views"

    @torch.no_grad()
    def exported(self) -> XDistillResNet18 | AblationEncoder:
        """A copy of the encoder in eval mode, whose `teacher_embedding` estimates the embeddings themselves: the
        standardisation and `head_norm` are folded into its linear layer."""
        encoder = copy.deepcopy(self.encoder)
        assert encoder.teacher_head is not None
        if self.head_norm is not None:
            _fold(self.head_norm, encoder.teacher_head)
        _to_raw(encoder.teacher_head, self.target_mean, self.target_std)
        return encoder.eval()

    def save(self, folder: str | Path, name: str, provenance: dict[str, Any]) -> Path:
        """Write `exported` for `load_student`, and of a ResNet-18 for `XDistillResNet18.from_pretrained`.

        Raises:
            ValueError: provenance that JSON cannot hold, or a weight beyond float16's range.
        """
        return save_student(self.exported(), Path(folder), name, provenance)


def _fold(norm: nn.BatchNorm2d, head: nn.Linear) -> None:
    """Make a layer that follows a batch norm do what both do in eval mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # (in,)
    head.bias.add_(head.weight @ (norm.bias - norm.running_mean * scale))
    head.weight.mul_(scale)


def _to_raw(head: nn.Linear, mean: Tensor, std: Tensor) -> None:
    """Make a layer that estimates (embedding - mean) / std estimate the embedding."""
    head.weight.mul_(std[:, None])
    head.bias.mul_(std).add_(mean)


def _to_standardized(head: nn.Linear, mean: Tensor, std: Tensor) -> None:
    """Make a layer that estimates the embedding estimate (embedding - mean) / std."""
    head.weight.div_(std[:, None])
    head.bias.sub_(mean).div_(std)


def _decay_groups(
    name: str, module: nn.Module, lr: float, weight_decay: float, without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Two groups: matrices and kernels with decay; vectors, and the parameters of these names, without."""
    learning = {key: parameter for key, parameter in module.named_parameters() if parameter.requires_grad}
    plain = {key for key, parameter in learning.items() if parameter.ndim <= NO_DECAY_NDIM or key in without}
    split = (
        (weight_decay, [parameter for key, parameter in learning.items() if key not in plain]),
        (0.0, [parameter for key, parameter in learning.items() if key in plain]),
    )
    return [{"name": name, "params": members, "lr": lr, "weight_decay": decay} for decay, members in split if members]
