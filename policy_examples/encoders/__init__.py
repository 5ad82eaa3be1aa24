"""The encoders under comparison, behind one call."""

from policy_examples.encoders.loading import EncoderName, empty_encoder, load_encoder
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import PolicyNorm, Readout
from policy_examples.encoders.timing import frame_ms

__all__ = [
    "EncoderName",
    "PolicyEncoder",
    "PolicyNorm",
    "Readout",
    "empty_encoder",
    "frame_ms",
    "load_encoder",
]
