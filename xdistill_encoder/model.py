"""The distilled ResNet-18: images -> features."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from xdistill_encoder import checkpoints, finetuning, readouts
from xdistill_encoder.images import ImageNormalizer
from xdistill_encoder.norms import BatchNorm2d, Norm, default_norm, norm_layer


class XDistillResNet18(nn.Module):
    """ResNet-18 that a vision transformer's [CLS] embedding was distilled into (X-Distill, arXiv 2601.11269).

    `from_pretrained` gives it with those weights; this constructor gives random ones, as for training from scratch.

    Every method that takes `images` accepts RGB, channels first, H and W from 32 px up, uint8 in [0, 255] or float16,
    bfloat16, float32 in [0, 1], with one or more leading axes: (B, 3, H, W), (B, T, 3, H, W), ... Normalisation is
    inside. Other input is refused (see `ImageNormalizer.forward`).

    Args:
        norm: "frozen", batch norm with fixed statistics, for policies, whose batches are small and which keep an
            exponential moving average; of random weights it normalises nothing. "group", 16 channels per group, also
            from scratch. "batch", live statistics. "frozen" and "batch" have the same state dict: name the one that
            the state to be loaded was trained with.
        teacher_features: width of the teacher's embedding; adds the linear layer 512 -> width that
            `teacher_embedding` reads. It starts frozen, because a policy does not use it.
        inputs_normalized: the host applies the ImageNet normalisation, the encoder does not repeat it. That the host
            really does cannot be checked: images in [0, 1] or [-1, 1] lie within the normalised range.
        check_values: refuse values outside the accepted range. Layout and dtype are always checked.

    Attributes:
        trunk: torchvision's ResNet-18 with the classifier replaced by an identity; exactly torchvision's keys. The
            methods here run its layers, not its `forward`: a hook on it or on its `avgpool` sees `trunk(x)` alone.
        teacher_head: the linear layer to the teacher's width, or None.
        checkpoint: the `CheckpointConfig` it was loaded from (provenance, scores), or None.

    Raises:
        ValueError: unknown norm, or teacher_features below 1.
    """

    num_features = 512

    def __init__(
        self,
        norm: Norm,
        *,
        teacher_features: int | None = None,
        inputs_normalized: bool = False,
        check_values: bool = True,
    ):
        super().__init__()
        if teacher_features is not None and (type(teacher_features) is not int or teacher_features < 1):
            raise ValueError(f"teacher_features: expected a width of 1 or more, or None, got {teacher_features!r}")
        self.norm: Norm = norm
        self.normalizer = ImageNormalizer(inputs_normalized=inputs_normalized, check_values=check_values)
        self.trunk = resnet18(weights=None, norm_layer=norm_layer(norm))
        self.trunk.add_module("fc", nn.Identity())
        self.teacher_head = None if teacher_features is None else nn.Linear(self.num_features, teacher_features)
        self.checkpoint: checkpoints.CheckpointConfig | None = None
        self._frozen_stages: set[str] = set()
        if self.teacher_head is not None:
            self.freeze("teacher_head")

    # ---- images -> features

    def forward(self, images: Tensor) -> Tensor:
        """(..., 3, H, W) -> (..., 512), the mean over the last feature map.

        Raises:
            ValueError: images outside the contract; a trunk that pools otherwise.
        """
        pool = self.trunk.avgpool
        if not isinstance(pool, nn.AdaptiveAvgPool2d) or pool.output_size not in (1, (1, 1)):
            raise ValueError(
                f"trunk.avgpool: expected the mean, got {pool}, which this encoder would not run; leave it, and take "
                "forward_features, forward_spatial_softmax or another readout, or run encoder.trunk by itself"
            )
        return _restore(images, readouts.pool(self._features(images)))

    def forward_features(self, images: Tensor) -> Tensor:
        """(..., 3, H, W) -> (..., 512, ceil(H / 32), ceil(W / 32)), the last feature map."""
        return _restore(images, self._features(images))

    def forward_pyramid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(..., 3, H, W) -> four maps at strides 4, 8, 16, 32 with 64, 128, 256, 512 channels."""
        s4, s8, s16, s32 = (_restore(images, stage_map) for stage_map in self._maps(images))
        return s4, s8, s16, s32

    def forward_spatial_softmax(self, images: Tensor, temperature: float = 1.0) -> Tensor:
        """(..., 3, H, W) -> (..., 1024), the expected (x, y) in [-1, 1] of each channel."""
        return _restore(images, readouts.spatial_softmax(self._features(images), temperature))

    def forward_tokens(self, images: Tensor) -> Tensor:
        """(..., 3, H, W) -> (..., ceil(H / 32) * ceil(W / 32), 512), one token per position of the last map."""
        return _restore(images, readouts.tokens(self._features(images)))

    def teacher_embedding(self, images: Tensor) -> Tensor:
        """(..., 3, H, W) -> (..., D), the student's estimate of the teacher's [CLS] embedding.

        Raises:
            ValueError: the encoder has no teacher head.
        """
        return self._require_head()(self(images))

    def output_shape(self, image_size: tuple[int, int], readout: str = "pooled") -> tuple[int, ...] | tuple[tuple, ...]:
        """Shape of a readout for one image of (H, W) px, without the leading axes; nothing is computed.

        Args:
            readout: "pooled" (forward), "features", "pyramid" (a tuple of four shapes), "spatial_softmax", "tokens" or
                "teacher_embedding".

        Raises:
            ValueError: unknown readout, or an image under 32 px.
        """
        teacher_features = self._require_head().out_features if readout == "teacher_embedding" else None
        return readouts.output_shape(image_size, readout, teacher_features)

    # ---- fine-tuning

    def freeze(self, *stages: str) -> "XDistillResNet18":
        """Fix stages: "stem", "layer1" to "layer4", "trunk" for all of these, "teacher_head", which starts frozen.

        Their parameters take no gradient, their batch norm stays in eval mode whatever calls `.train()`; copies and
        wrappers of the encoder inherit it, and loading a state dict leaves it. A state dict does not hold it: freeze
        a new encoder before its state is loaded, and before the optimizer is made, but after a conversion to
        SyncBatchNorm. A `requires_grad_(True)` of a whole policy thaws the weights; `param_groups` then refuses.

        Raises:
            ValueError: no stage, an unknown one, or "teacher_head" of an encoder that has none.
        """
        return self._set_frozen(stages, frozen=True)

    def unfreeze(self, *stages: str) -> "XDistillResNet18":
        """Let stages learn again; names as for `freeze`. An optimizer that was made without their parameters must get
        them: `optimizer.add_param_group`, or a new one."""
        return self._set_frozen(stages, frozen=False)

    @property
    def frozen_stages(self) -> tuple[str, ...]:
        """The frozen stages, bottom first."""
        return tuple(stage for stage in finetuning.STAGES if stage in self._frozen_stages.intersection(self._present()))

    def param_groups(
        self,
        lr: float,
        *,
        backbone_multiplier: float = 1.0,
        layer_decay: float = 1.0,
        weight_decay: float | None = None,
    ) -> list[dict[str, Any]]:
        """Groups for a torch optimizer; frozen parameters are left out, norm parameters and biases take no decay.

        Args:
            lr: the learning rate of the policy head.
            backbone_multiplier: the encoder's learning rate is this times lr.
            layer_decay: factor in (0, 1] from one stage to the one below it; layer4 keeps lr * backbone_multiplier.
            weight_decay: for weight matrices and kernels; None leaves it to the optimizer.

        Raises:
            ValueError: a factor outside its range, a frozen stage whose weights something else let learn again, or
                weights that are cut into flat pieces (FSDP1, ZeRO-3), which tell no kernel from a bias.
        """
        finetuning.check_factors(lr, backbone_multiplier, layer_decay, weight_decay)
        kernel: Any = self.trunk.conv1.weight
        if not isinstance(kernel, nn.Parameter) or kernel.ndim != 4:
            raise ValueError(
                "param_groups: the weights are cut into flat pieces, of which nobody can tell kernels from biases; "
                "call it before the model is wrapped, or shard by torch.distributed.fsdp.fully_shard"
            )
        for stage, modules in self._stages():
            learns = any(p.requires_grad for module in modules for p in module.parameters())
            if stage in self._frozen_stages and learns:
                raise ValueError(
                    f"{stage}: frozen by freeze(), but something called requires_grad_(True) on its weights since; "
                    f"call freeze({stage!r}) again, or unfreeze({stage!r})"
                )
        return finetuning.stage_param_groups(self._stages(), lr, backbone_multiplier, layer_decay, weight_decay)

    def train(self, mode: bool = True) -> "XDistillResNet18":
        """Train or eval mode for everything but the frozen stages, which stay in eval mode."""
        super().train(mode)
        for stage, modules in self._stages():
            if stage in self._frozen_stages:
                for module in modules:
                    module.eval()
        return self

    # ---- checkpoints

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        norm: Norm | None = None,
        inputs_normalized: bool = False,
        check_values: bool = True,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> "XDistillResNet18":
        """The encoder with distilled weights, in eval mode.

        Args:
            name_or_path: a bundled name (`xdistill info` lists them), a folder written by `save_pretrained`, or
                "org/name" on the Hugging Face Hub, looked for in this order; a `Path` is a folder. None is the bundled
                checkpoint for `norm`, offline.
            norm: None is what policies need: "frozen", batch norm with fixed statistics, where the checkpoint has batch
                norm; "group" where it has group norm. "batch", live statistics, shares the weights of "frozen".
            inputs_normalized, check_values: as in the constructor.
            revision, cache_dir, token, local_files_only: for the Hub, as in `huggingface_hub.hf_hub_download`.

        Raises:
            CheckpointError: no such checkpoint, a damaged or foreign one, a norm that it was not trained with; the
                meta device, which holds no weights.
        """
        config, tensors = checkpoints.load_checkpoint(
            name_or_path,
            norm=norm,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
        encoder = cls(
            norm or default_norm(config.norm),
            teacher_features=config.teacher_features,
            inputs_normalized=inputs_normalized,
            check_values=check_values,
        )
        if encoder.trunk.conv1.weight.is_meta:
            raise checkpoints.CheckpointError(
                f"checkpoint {config.name}: within torch.device('meta'), where transformers too builds models, there "
                f"is nothing to load weights into; build XDistillResNet18({encoder.norm!r}, "
                f"teacher_features={config.teacher_features}) there, and load the state of one that was loaded outside"
            )
        checkpoints.fill(encoder, tensors, config.name)
        for module in encoder.modules():  # else post_init() of a transformers model around it draws them anew
            module._is_hf_initialized = True  # type: ignore[assignment]
        encoder.checkpoint = config
        return encoder.eval()

    def save_pretrained(
        self, folder: str | Path, *, name: str | None = None, provenance: dict | None = None, half: bool = False
    ) -> Path:
        """Write a folder with config.json, model.safetensors that `from_pretrained` reads; returns it.

        Args:
            name: the checkpoint's name; the folder's where None.
            provenance: JSON-compatible facts: teacher, images, command, scores. None says which checkpoint it was
                loaded from, because scores of that one need not hold for these weights.
            half: store float16, half the size; loading converts to float32.

        Raises:
            ValueError: weights that are not finite, or no longer those of this architecture; a name, provenance or
                folder that cannot be written.
        """
        if provenance is None:
            provenance = self.checkpoint.as_origin() if self.checkpoint else {}
        name = name or Path(folder).expanduser().resolve().name
        teacher_features = self.teacher_head.out_features if self.teacher_head is not None else None
        with torch.device("meta"):
            wanted = XDistillResNet18(self.norm, teacher_features=teacher_features).state_dict()
        checkpoints.require_same_tensors(wanted, self.state_dict(), name)
        return checkpoints.save_checkpoint(
            folder,
            self.state_dict(),
            name=name,
            norm=self.norm,
            teacher_features=teacher_features,
            provenance=provenance,
            half=half,
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        name: str | None = None,
        provenance: dict | None = None,
        half: bool = False,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload XDistillResNet18",
    ) -> str:
        """Upload to "org/name" on the Hugging Face Hub, creating it where it is missing; returns the commit's URL.

        A repository without a README.md gets a short one that points to the terms of the checkpoint that these weights
        started from; `xdistill publish` writes whole cards.

        Raises:
            CheckpointError: no connection, no right to write, a name that the Hub does not accept.
            ValueError: as for `save_pretrained`.
        """
        with checkpoints.temporary_folder() as folder:
            self.save_pretrained(folder, name=name or repo_id, provenance=provenance, half=half)
            lineage = self.checkpoint.lineage() if self.checkpoint else ()
            (Path(folder) / "README.md").write_text(checkpoints.plain_card(repo_id, lineage), encoding="utf-8")
            return checkpoints.upload(
                folder,
                repo_id,
                private=private,
                token=token,
                revision=revision,
                commit_message=commit_message,
                keep=("README.md",),
            )

    # ---- inside

    def _maps(self, images: Tensor) -> Iterator[Tensor]:
        """(..., 3, H, W) -> the four stages' maps (B, C, h, w), leading axes flattened."""
        trunk = self.trunk
        if not isinstance(trunk.fc, nn.Identity):
            raise ValueError(
                f"trunk.fc: expected the identity, got {type(trunk.fc).__name__}, which this encoder would not run; "
                "put your layer behind the encoder, or run encoder.trunk by itself"
            )
        pixels = self.normalizer(images, trunk.conv1.weight.dtype)
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(pixels))))
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            x = stage(x)
            yield x

    def _features(self, images: Tensor) -> Tensor:
        *_, features = self._maps(images)
        return features

    def _require_head(self) -> nn.Linear:
        if self.teacher_head is None:
            raise ValueError(
                "this encoder has no teacher head: load a distilled checkpoint with from_pretrained(), "
                "or build it with teacher_features=<width of the teacher's embedding>"
            )
        return self.teacher_head

    def _stages(self) -> Iterator[tuple[str, list[nn.Module]]]:
        for stage in finetuning.STAGES:
            yield stage, finetuning.stage_modules(self.trunk, self.teacher_head, stage)

    def _present(self) -> tuple[str, ...]:
        return finetuning.STAGES if self.teacher_head is not None else finetuning.TRUNK_STAGES

    def _set_frozen(self, stages: tuple[str, ...], frozen: bool) -> "XDistillResNet18":
        stages = finetuning.named_stages(stages, self._present())
        self._frozen_stages = self._frozen_stages.union(stages) if frozen else self._frozen_stages.difference(stages)
        for stage in stages:
            for module in finetuning.stage_modules(self.trunk, self.teacher_head, stage):
                module.requires_grad_(not frozen)
                if frozen:
                    module.zero_grad()  # else an optimizer takes one more step with it
                for layer in module.modules():
                    if isinstance(layer, BatchNorm2d):
                        layer.hold(frozen)
                module.train(self.training and not frozen)
        return self


def _restore(images: Tensor, outputs: Tensor) -> Tensor:
    """(B, ...) outputs -> the leading axes of the images: (B, T, ...) for (B, T, 3, H, W)."""
    return outputs if images.ndim == 4 else outputs.reshape(*images.shape[:-3], *outputs.shape[1:])
