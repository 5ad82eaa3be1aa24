"""The sizes and choices that rebuild a policy before its weights are loaded."""

from dataclasses import dataclass
from typing import Any, Literal

Sampler = Literal["ddim", "ddpm"]
Prediction = Literal["sample", "epsilon"]


@dataclass(frozen=True)
class PolicyShape:
    """What a policy reads, denoises, executes; its encoders describe themselves.

    Raises:
        ValueError: sizes that do not fit together, or an unknown choice.
    """

    state_size: int
    """P: numbers in agent_pos."""
    action_size: int
    """A: numbers in an action."""
    horizon: int
    """T: steps of the denoised action sequence."""
    observation_steps: int
    """To: frames that the policy reads."""
    action_steps: int
    """Ta: actions executed before the policy looks again."""
    channels: tuple[int, ...]
    """Width of each UNet level."""
    cameras: tuple[str, ...] = ("image",)
    """Observation keys that encoders read, in this order: "image", "image_<name>", "point_cloud"; none is blind."""
    frames_px: tuple[tuple[int, int], ...] | None = None
    """(H, W) of the frames of each of `cameras` that is one; None: whatever comes."""
    crop_px: int | tuple[int, int] | None = None
    """Side of the square, or height and width, that encoders see of a frame, cut at random in training, else from the
    middle; None: whole frames."""
    prediction: Prediction = "sample"
    """What the UNet answers: the clean actions, or the noise."""
    sampler: Sampler = "ddim"
    """How noise becomes actions: DDIM takes `inference_steps` deterministic steps, DDPM draws noise at each."""
    diffusion_steps: int = 100
    """Diffusion timesteps of training."""
    inference_steps: int = 10
    """Denoising steps of an action chunk; published DDPM policies take all `diffusion_steps`."""
    kernel_size: int = 5
    """Of the UNet's convolutions, in action steps."""
    groups: int = 8
    """Of the UNet's group norms."""
    step_embedding_size: int = 128
    """Width of the embedded timestep."""

    def __post_init__(self) -> None:
        for name in ("state_size", "action_size", "horizon", "observation_steps", "action_steps", "inference_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}.")
        multiple = 2 ** (len(self.channels) - 1)
        if not self.channels or self.horizon % multiple:
            raise ValueError(
                f"horizon: {len(self.channels)} UNet levels need a multiple of {multiple}, got {self.horizon}."
            )
        if self.observation_steps - 1 + self.action_steps > self.horizon:
            raise ValueError(
                f"action_steps: observation_steps - 1 + action_steps must fit into the horizon of {self.horizon}, "
                f"got {self.observation_steps} - 1 + {self.action_steps}."
            )
        if any(width % self.groups for width in self.channels):
            raise ValueError(f"channels: each must be a multiple of groups = {self.groups}, got {self.channels}.")
        if self.inference_steps > self.diffusion_steps:
            raise ValueError(
                f"inference_steps: expected at most {self.diffusion_steps} diffusion_steps, got {self.inference_steps}."
            )
        if self.prediction not in ("sample", "epsilon"):
            raise ValueError(f"prediction: accepted are 'sample' and 'epsilon', got {self.prediction!r}.")
        if self.sampler not in ("ddim", "ddpm"):
            raise ValueError(f"sampler: accepted are 'ddim' and 'ddpm', got {self.sampler!r}.")
        if len(set(self.cameras)) < len(self.cameras):
            raise ValueError(f"cameras: expected each once, got {', '.join(self.cameras)}.")
        for camera in self.cameras:
            if camera != "point_cloud" and not is_camera(camera):
                raise ValueError(f"cameras: accepted are 'image', 'image_<name>', 'point_cloud', got {camera!r}.")
        if self.frames_px is not None and len(self.frames_px) != len(self.image_keys):
            raise ValueError(f"frames_px: expected (H, W) of {', '.join(self.image_keys)}, got {self.frames_px}.")
        for frame in self.frames_px or ():
            if self.crop_px is not None and not all(
                1 <= side <= room for side, room in zip(sides(self.crop_px), frame, strict=True)
            ):
                raise ValueError(
                    f"crop_px: expected what fits into frames of {frame[0]} x {frame[1]} px, got {self.crop_px}."
                )

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Those of `cameras` that are images."""
        return tuple(filter(is_camera, self.cameras))

    @property
    def first_action(self) -> int:
        """The step of the horizon that belongs to the newest frame: execution starts there."""
        return self.observation_steps - 1

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "PolicyShape":
        """From JSON, where tuples are lists; raises TypeError for a field that is missing or unknown."""
        return cls(**{name: _as_tuple(value) for name, value in fields.items()})


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def sides(size_px: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width: of a square where one number is given."""
    return size_px if isinstance(size_px, tuple) else (size_px, size_px)


def is_camera(key: str) -> bool:
    """Whether an observation key names images."""
    return key == "image" or key.startswith("image_")
