"""The encoders under comparison, behind one call."""

from policy_examples.encoders.facts import EncoderFacts, describe
from policy_examples.encoders.loading import EncoderName, empty_encoder, load_encoder
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import PolicyNorm, Readout

__all__ = [
    "EncoderFacts",
    "EncoderName",
    "PolicyEncoder",
    "PolicyNorm",
    "Readout",
    "describe",
    "empty_encoder",
    "load_encoder",
]
