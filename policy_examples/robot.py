"""A trained policy in the loop of a robot: one observation in, one action out."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policy_examples.devices import best_device
from policy_examples.formats.arrays import resize
from policy_examples.formats.episodes import camera_names, require_rate
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_checks import require_keys

STRETCH = 0.02
"""By how much the aspect of a frame may differ from that of the frames that were learned from."""
FAR = 10.0
"""Half ranges of the demonstrations from their middle, beyond which a number is of another unit or order."""


class RobotPolicy:
    """Keeps the To frames that a policy reads, and the actions that it has decided on but not given out yet.

    Args:
        policy: of cameras or of proprioception alone.
        origin: what `DiffusionPolicy.load` gives beside it.

    Attributes:
        policy: the policy.
        fps: observations and actions a second, as the demonstrations had them; None where these do not say.
        cameras: {observation key: what the demonstrations called this camera}.
        state_names, action_names: what each number of agent_pos and of an action is called; None where the
            demonstrations do not say.

    Raises:
        ValueError: a policy of point clouds, or names that are not as many as its numbers.
    """

    def __init__(self, policy: DiffusionPolicy, origin: Mapping[str, Any]) -> None:
        if unfed := [key for key in policy.shape.cameras if key not in policy.shape.image_keys]:
            raise ValueError(f"policy: it reads {', '.join(unfed)}, a robot is fed frames of cameras alone.")
        self.policy = policy.eval()
        require_rate(origin.get("fps"), "the policy's origin")
        self.fps: float | None = origin.get("fps")
        self.cameras = camera_names(origin, policy.shape.image_keys)
        self.state_names: list[str] | None = origin.get("state_names")
        self.action_names: list[str] | None = origin.get("action_names")
        for kind, names, size in (
            ("state", self.state_names, policy.shape.state_size),
            ("action", self.action_names, policy.shape.action_size),
        ):
            if names is not None and len(names) != size:
                raise ValueError(
                    f"policy: expected names of its {size} {kind} numbers, got {len(names)}, {', '.join(names)}, so "
                    "that nobody knows which is which; train it again."
                )
        self.reset()

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device | None = None) -> "RobotPolicy":
        """The policy that `xdistill finetune` saved.

        Args:
            device: where it computes; None is the GPU where there is one.

        Raises:
            ValueError: no policy there, one of another format or of point clouds, or damaged weights.
        """
        policy, origin = DiffusionPolicy.load(Path(folder))
        return cls(policy.to(device or best_device()), origin)

    def reset(self) -> None:
        """Forget frames and actions: at the start of every episode."""
        self._frames: deque[dict[str, Tensor]] = deque(maxlen=self.policy.shape.observation_steps)
        self._actions: deque[np.ndarray] = deque()

    def next_action(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The action that follows an observation, (A,) float32, in the units of the demonstrations.

        Called once a step, at the demonstrations' rate. Every Ta-th call decides, which takes longest; no number leaves
        the limits that the demonstrations' actions had.

        Args:
            observation: what `policy.reads` names, arrays or tensors: each camera (H, W, 3) or (3, H, W) uint8 RGB, at
                the size that was learned from or larger, at the same aspect; "agent_pos" (P,). Further keys are left
                alone.

        Raises:
            ValueError: a key is missing, has another shape or type, or is not finite; at the start of an episode also a
                number of agent_pos that lies far from all that was learned from.
        """
        frame = self._prepared(observation)
        if not self._frames:
            self._require_familiar(frame["agent_pos"])
            self._frames.extend([frame] * (self.policy.shape.observation_steps - 1))
        self._frames.append(frame)
        if not self._actions:
            device = self.policy.agent_pos.low.device
            read = {key: torch.stack([each[key] for each in self._frames])[None].to(device) for key in frame}
            self._actions.extend(self.policy.predict_action(read)[0].float().cpu().numpy())
        return self._actions.popleft()

    def _prepared(self, observation: Mapping[str, Any]) -> dict[str, Tensor]:
        require_keys(observation, self.policy.reads)
        shape = self.policy.shape
        sizes = dict(zip(shape.image_keys, shape.frames_px or [None] * len(shape.image_keys), strict=True))
        given = {key: observation[key] for key in self.policy.reads}
        values = {key: _array(each) for key, each in given.items()}
        numbers = values.pop("agent_pos")
        if numbers.dtype.kind not in "fiub" or numbers.shape != (shape.state_size,) or not np.isfinite(numbers).all():
            raise ValueError(
                f"agent_pos: expected ({shape.state_size},) finite numbers, got {numbers.shape} {numbers.dtype}: "
                f"{numbers}."
            )
        frames = {key: self._frame(key, value, sizes[key]) for key, value in values.items()}
        state = torch.tensor(numbers, dtype=torch.float32)  # a copy: drivers reuse their buffers
        return {**frames, "agent_pos": state}

    def _frame(self, key: str, frame: np.ndarray, size: tuple[int, int] | None) -> Tensor:
        """(H, W, 3) or (3, H, W) uint8 -> (3, h, w) uint8, resized as demonstrations are."""
        if frame.ndim == 3 and frame.shape[0] == 3 and frame.shape[-1] != 3:
            frame = frame.transpose(1, 2, 0)
        if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"{key}: expected (H, W, 3) or (3, H, W) uint8, got {frame.shape} {frame.dtype}.")
        (height, width), (learned_height, learned_width) = frame.shape[:2], size or frame.shape[:2]
        stretch = (height / learned_height) / (width / learned_width)
        if height < learned_height or not 1 - STRETCH <= stretch <= 1 + STRETCH:
            raise ValueError(
                f"{key}: this policy learned from frames of {learned_height} x {learned_width} px, to which frames of "
                f"{height} x {width} px cannot be scaled down without stretching; crop and scale them as the "
                "demonstrations were."
            )
        return torch.from_numpy(resize(frame[None], (learned_height, learned_width))[0].copy()).permute(2, 0, 1)

    def _require_familiar(self, agent_pos: Tensor) -> None:
        limits = self.policy.agent_pos
        far = limits.normalize(agent_pos.to(limits.low.device)).abs() > FAR
        for number in far.nonzero().flatten().tolist():
            name = f" ({self.state_names[number]})" if self.state_names else ""
            raise ValueError(
                f"agent_pos: number {number}{name} is {agent_pos[number]:.4g}, far from the "
                f"{limits.low[number]:.4g} to {limits.high[number]:.4g} of the demonstrations; units and order must be "
                "theirs, and an episode must start where theirs did."
            )


def _array(value: Any) -> np.ndarray:
    """Of a tensor on any device and of any type, an array or a list."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    return (value.float() if value.is_floating_point() else value).detach().cpu().numpy()
