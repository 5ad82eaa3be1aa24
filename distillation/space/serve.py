"""A page in the browser for one's own images: `xdistill space`."""

import sys
from dataclasses import dataclass

import torch
import tyro

from distillation.explaining.feature_maps import Network, encoder_network
from distillation.scoring.encoders import load_encoder
from distillation.space.answers import ImageSet


@dataclass(frozen=True)
class Config:
    """A page in the browser: what encoders see in an image of yours, and its nearest neighbours among others."""

    encoders: tuple[str, ...] = ()
    """Bundled names, folders, Hub ids, "timm/<model>" (":random" for an untrained one) or "random", an untrained
    ResNet-18; none: the default bundled checkpoint and "random"."""
    images: tuple[str, ...] = ()
    """Set of images for neighbours where the visitor gives none: files, folders, parquet or tar files, a Hub dataset,
    `zarr:DEMOS.zarr#img`, ...; none: only the visitor's."""
    split: str = "train"
    """Of Hub datasets."""
    image_size: int = 224
    """Side in px of an encoder's images; twice the side, four times the positions."""
    most: int = 1000
    """Images of the set that are read, at equal distances in it."""
    seed: int = 0
    """Of untrained weights."""
    host: str | None = None
    """Address to listen at; "0.0.0.0" lets other machines in. None: gradio's, this machine alone."""
    port: int | None = None
    """Port; None: the first free one from 7860 on."""
    browser: bool = False
    """Open the page in the browser."""

    def __post_init__(self):
        if self.image_size < 32 or self.most < 1:
            raise ValueError(
                "expected an image_size of 32 px or more and most of 1 or more, "
                f"got image_size {self.image_size}, most {self.most}"
            )


def open_networks(config: Config, device: torch.device) -> list[Network]:
    """The encoders, in eval mode, on the device; raises ValueError for an unusable one, or two of one name."""
    torch.manual_seed(config.seed)
    networks = [encoder_network(load_encoder(spec, config.image_size)) for spec in config.encoders or (None, "random")]
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise ValueError(f"encoders: expected each once, got {', '.join(names)}")
    for network in networks:
        network.pooled.eval().to(device)  # here: weights that move inside inference_mode give no gradient afterwards
    return networks


def main() -> None:
    """Read the command line; serve the page until Ctrl-C."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = tyro.cli(Config, prog="xdistill space", args=sys.argv[1:])
        from distillation.space.page import THEME, build  # seconds of gradio: not for --help

        networks = open_networks(config, device)
        images = ImageSet(config.images, config.split, config.most) if config.images else None
        if images is not None:
            images.features(networks[0], device)  # the visitor should not wait for it
        page = build(networks, images, device, config.most)
        page.launch(
            server_name=config.host,
            server_port=config.port,
            inbrowser=config.browser,
            theme=THEME,
            show_error=True,  # what gradio itself says of a file that is no picture
        )
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill space: {error}") from error


if __name__ == "__main__":
    main()
