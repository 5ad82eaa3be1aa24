"""A TorchRL transform that turns pixels into features."""

# pyright: reportMissingImports=false

from collections.abc import Sequence

import torch
from torch import Tensor

from xdistill_encoder.hosts.eval_mode import in_eval_mode
from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.model import XDistillResNet18

require_host("torchrl", "pip install 'xdistill-encoder[torchrl]'")

from tensordict import TensorDictBase  # noqa: E402
from torchrl.data.tensor_specs import TensorSpec, Unbounded  # noqa: E402
from torchrl.envs.transforms import Transform  # noqa: E402
from torchrl.envs.transforms.utils import _set_missing_tolerance  # noqa: E402


class XDistillTransform(Transform):
    """Pixels (..., H, W, 3) or (..., 3, H, W) uint8 -> features (..., 512) float32.

    Needs no other transform before it: the encoder normalises, and takes any size from 32 px.

    Args:
        in_keys, out_keys: of the pixels, of their features; one each.
        encoder: runs in eval mode, whatever mode it is in elsewhere; which of its parameters learn is left as it was.
            None: the bundled weights, frozen unless `requires_grad`.
        del_keys: leave the pixels out of the observation.
        requires_grad: let gradients reach the encoder, through `forward`; False: features come without a graph.

    Raises:
        ValueError: keys that do not pair up; pixels that are no such images; gradients for an encoder that is frozen.
    """

    def __init__(
        self,
        in_keys: Sequence[str] = ("pixels",),
        out_keys: Sequence[str] = ("xdistill_features",),
        encoder: XDistillResNet18 | None = None,
        del_keys: bool = True,
        requires_grad: bool = False,
    ):
        for name, keys in (("in_keys", in_keys), ("out_keys", out_keys)):
            if isinstance(keys, str):
                raise ValueError(f"{name}: expected a list of keys, got {keys!r}; write [{keys!r}]")
        if len(in_keys) != len(out_keys):
            raise ValueError(f"out_keys: expected one for each of {list(in_keys)}, got {list(out_keys)}")
        super().__init__(in_keys=list(in_keys), out_keys=list(out_keys))
        self.encoder = XDistillResNet18.from_pretrained() if encoder is None else encoder
        if self.encoder.normalizer.inputs_normalized:
            raise ValueError("encoder: expected one for raw pixels, got one that was built with inputs_normalized=True")
        self.del_keys = del_keys
        self.requires_grad = requires_grad
        if encoder is None and not requires_grad:
            self.encoder.freeze("trunk")  # one that is handed in may learn elsewhere, as in a replay buffer
        if requires_grad and not any(parameter.requires_grad for parameter in self.encoder.trunk.parameters()):
            raise ValueError(
                "requires_grad: the encoder is frozen, as that of an environment's own transform is; call "
                'encoder.unfreeze("trunk") first'
            )

    def _apply_transform(self, obs: Tensor) -> Tensor:
        images = obs.movedim(-1, -3) if obs.shape[-1] == 3 and obs.shape[-3] != 3 else obs
        single = images.ndim == 3
        gradient = self.requires_grad and torch.is_grad_enabled()
        with torch.set_grad_enabled(gradient), in_eval_mode(self.encoder):
            features = self.encoder(images[None] if single else images)
        features = features.float()  # as the spec says, whatever the encoder computes in
        return features[0] if single else features

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            if in_key in next_tensordict.keys(include_nested=True):
                next_tensordict.set(out_key, self._apply_transform(next_tensordict.get(in_key)))
                if self.del_keys and in_key != out_key:
                    next_tensordict.exclude(in_key, inplace=True)
            elif not self.missing_tolerance:
                raise KeyError(f"{self}: {in_key!r} is not in {sorted(map(str, next_tensordict.keys()))}")
        return next_tensordict

    forward = _call

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        with _set_missing_tolerance(self, True):
            return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: TensorSpec) -> TensorSpec:
        """The spec with features, (..., 512) unbounded, in the place of pixels."""
        spec = observation_spec.clone()
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            known = list(spec.keys(include_nested=True, leaves_only=True))
            if in_key not in known:
                raise ValueError(f"in_keys: expected some of {known}, which the environment has, got {in_key!r}")
            pixels = spec[in_key]
            if pixels.dtype != torch.uint8 or 3 not in (pixels.shape[-1], pixels.shape[-3]):
                raise ValueError(
                    f"in_keys: {in_key!r} must be images (..., H, W, 3) or (..., 3, H, W) uint8, it is {pixels}"
                )
            shape = (*pixels.shape[:-3], self.encoder.num_features)
            if self.del_keys and in_key != out_key:
                del spec[in_key]
            spec[out_key] = Unbounded(shape=shape, dtype=torch.float32, device=pixels.device)
        return spec
