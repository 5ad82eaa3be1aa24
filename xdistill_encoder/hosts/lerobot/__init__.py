"""The encoder inside LeRobot's Diffusion Policy and ACT.

Importing this registers the policy types `xdistill_diffusion` and `xdistill_act`; on LeRobot's command lines
`--discover_packages_path=xdistill_encoder.hosts.lerobot` imports it.
"""

from xdistill_encoder.hosts.needs import require_host

require_host("lerobot", "pip install 'xdistill-encoder[lerobot]'")

from xdistill_encoder.hosts.lerobot.policies import (  # noqa: E402
    XDistillACTConfig,
    XDistillACTPolicy,
    XDistillDiffusionConfig,
    XDistillDiffusionPolicy,
)
from xdistill_encoder.hosts.lerobot.stock import use_encoder  # noqa: E402

__all__ = [
    "XDistillACTConfig",
    "XDistillACTPolicy",
    "XDistillDiffusionConfig",
    "XDistillDiffusionPolicy",
    "use_encoder",
]
