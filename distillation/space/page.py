"""The page: a picture goes in, what an encoder sees in it comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillation.explaining.feature_maps import Network
from distillation.sources.decoding import DamagedImage, decode
from distillation.space.answers import SHOWN_PX, ImageSet, Neighbour, Saliency, as_seen, map_colours, saliency

TITLE = "What does a distilled ResNet-18 see?"
INTRODUCTION = (
    "An image encoder for robot policies: a vision transformer's [CLS] embedding, distilled into a ResNet-18 "
    "(X-Distill, arXiv 2601.11269). Give it a picture; nothing leaves the machine that this page runs on."
)
NOTES = (
    "**Colours**: the first three principal components of the last map, so that places which the encoder takes for "
    "alike have one colour. **Shares**: how much each place of the last map adds to the inner product of its mean "
    "with the neighbour's, or with itself where there is no neighbour; choose another neighbour to see what resembles "
    "it. **Gradient**: the pixels that change this number most. Brightness is relative to each picture's own brightest "
    "place."
)
NEIGHBOURS = 8
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
"""With the fonts of the visitor's machine: gradio's own come from the network."""


@dataclass(frozen=True)
class Look:
    """What the page shows answers about: a picture (3, H, W) uint8, the encoder's name, the neighbours."""

    picture: Tensor
    name: str
    neighbours: tuple[Neighbour, ...]


def build(networks: Sequence[Network], images: ImageSet | None, device: torch.device, most: int) -> gr.Blocks:
    """The page for some encoders on `device`, the first one chosen.

    Args:
        images: the set where the visitor gives none; None: no set.
        most: so many of a visitor's images are read.
    """
    by_name = {network.name: network for network in networks}
    given: dict[tuple[str, ...], ImageSet] = {}  # the last visitor's, so that its features are computed once

    def own_set(files: list[str]) -> ImageSet:
        key = tuple(files)
        if key not in given:
            given.clear()
            given[key] = ImageSet(files, most=most)
        return given[key]

    def look(file: str | None, name: str, files: list[str] | None):
        """All answers of one encoder to a picture."""
        if file is None:
            raise gr.Error("Give a picture first.")
        network = by_name[name]
        try:
            picture = decode(Path(file).read_bytes())
            searched = own_set(files) if files else images
            found = searched.neighbours(network, picture, NEIGHBOURS, device) if searched else []
            maps = saliency(network, picture, found[0].picture if found else None, device)
            colours = map_colours(network, picture, device)
        except DamagedImage as error:
            raise gr.Error(f"This picture cannot be read: {error}") from error
        except ValueError as error:
            raise gr.Error(str(error)) from error
        shown = Look(picture, name, tuple(found))
        gallery = [(as_picture(neighbour.picture), caption(neighbour)) for neighbour in found]
        said = told(shown, maps, len(searched) if searched else 0)
        seen = as_picture(as_seen(network, picture))
        return shown, seen, colours, maps.positions, maps.pixels, gr.Gallery(gallery, selected_index=None), said

    def look_again(shown: Look, chosen: gr.SelectData):
        """The saliency towards the neighbour that the visitor chose."""
        neighbour = shown.neighbours[int(chosen.index)]
        maps = saliency(by_name[shown.name], shown.picture, neighbour.picture, device)
        return maps.positions, maps.pixels, towards(neighbour, maps)

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(f"# {TITLE}\n\n{INTRODUCTION}")
        shown = gr.State()
        with gr.Row():
            with gr.Column(scale=1):
                file = gr.Image(label="Your picture", type="filepath", image_mode=None, height=SHOWN_PX)
                name = gr.Dropdown(list(by_name), value=networks[0].name, label="Encoder")
                files = gr.File(
                    label="Images among which to look" + (" (none: the set of this page)" if images else ""),
                    file_count="multiple",
                    file_types=["image"],
                )
                button = gr.Button("Look", variant="primary")
            with gr.Column(scale=2):
                said = gr.Markdown()
                with gr.Row():
                    seen, colours = answer("What the encoder gets"), answer("Its last map, as colours")
                with gr.Row():
                    positions, pixels = answer("Shares of the resemblance"), answer("Gradient by the pixels")
                gallery = gr.Gallery(label="Neighbours", columns=4, interactive=False, allow_preview=False)
        gr.Markdown(NOTES)
        button.click(look, [file, name, files], [shown, seen, colours, positions, pixels, gallery, said])
        gallery.select(look_again, [shown], [positions, pixels, said])
    return page


def answer(title: str) -> gr.Image:
    """A picture under its title, which gradio would lay over it."""
    with gr.Column(min_width=SHOWN_PX // 2):
        gr.Markdown(f"**{title}**")
        return gr.Image(label=title, show_label=False, interactive=False, format="png")


def as_picture(image: Tensor) -> Image.Image:
    """(3, H, W) uint8 -> a picture."""
    return Image.fromarray(np.ascontiguousarray(image.movedim(0, -1).numpy()))


def caption(neighbour: Neighbour) -> str:
    """What stands below a neighbour."""
    return f"cosine {neighbour.cosine:.3f} · {file_name(neighbour)}"


def file_name(neighbour: Neighbour) -> str:
    """The last part of where an image lies."""
    return neighbour.where.rpartition("/")[2]


def told(shown: Look, maps: Saliency, searched: int) -> str:
    """What was found, in words."""
    if not shown.neighbours:
        return (
            f"{shown.name}: what its features rest on. No images to look for neighbours among: give some on the left, "
            "or start the page with `--images`."
        )
    nearest = f"the nearest of {searched} images, by the cosine of their features"
    return f"{shown.name}: {nearest}. {towards(shown.neighbours[0], maps)}"


def towards(neighbour: Neighbour, maps: Saliency) -> str:
    """Which neighbour, and which number, the shares and the gradient are about."""
    means = f"cosine of the last maps' means {maps.cosine:.3f}"
    return f"Shares and gradient: the resemblance to {file_name(neighbour)} ({means})."
