"""What LeRobot imports to know the policy types `xdistill_diffusion` and `xdistill_act`."""

import xdistill_encoder.hosts.lerobot  # noqa: F401
