"""Entry points of `torch.hub.load(<repository>, "xdistill_resnet18", ...)`."""

from xdistill_encoder import XDistillResNet18 as _XDistillResNet18

dependencies = ["torch", "torchvision", "huggingface_hub", "safetensors"]

xdistill_resnet18 = _XDistillResNet18.from_pretrained
