"""Puts pictures and videos into the page itself, as data URIs within limits of size."""

import subprocess
from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from policy_examples.explain.reporting.elements import Html, code, element, figure, join, void

if TYPE_CHECKING:
    from PIL.Image import Image

STILLS = 4
"""Frames of a video that are shown beside each other."""
STILL_PX = 256
"""Highest side of one of them."""
GAP_PX = 4
"""Between them."""
WIDEST_SQUARE_PX = 384
"""To which small videos may grow."""
PICTURE_PX = 2400
"""Longest side of a picture that had to become smaller."""
WIDE, WIDE_PX = 1.8, 1000
"""Width over height, width in px, from which a picture scrolls on a phone, where it would be too small to read."""
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Stills:
    """Frames of a video beside each other."""

    jpeg: bytes
    first: bytes
    """JPEG of the first one alone."""
    size: tuple[int, int]
    """Width and height of the picture, in px."""
    frame_size: tuple[int, int]
    """Of one frame of the video."""


@dataclass
class Budget:
    """How many bytes of video a page may take; what is embedded is taken off."""

    video: int
    """Of one video."""
    page: int
    """Left for all of them."""

    def takes(self, size: int) -> bool:
        """Whether a video of so many bytes fits; then they are spent."""
        if size > min(self.video, self.page):
            return False
        self.page -= size
        return True


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type, such as image/png, as an address that needs no file."""
    return f"data:{kind};base64,{b64encode(data).decode()}"


def picture(path: Path, description: str, caption: object, most_bytes: int) -> Html:
    """A figure of a PNG or JPEG; one of more bytes becomes a smaller JPEG, and its caption says so.

    Raises:
        ValueError: the file is no picture.
    """
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(BytesIO(data)) as opened:
            kind, size = f"image/{(opened.format or '').lower()}", opened.size
            if len(data) > most_bytes or kind not in ("image/png", "image/jpeg"):
                whole, smaller = size, opened.convert("RGB")
                smaller.thumbnail((PICTURE_PX, PICTURE_PX))
                kind, data, size = "image/jpeg", jpeg(smaller), smaller.size
                said = f" (made smaller: {whole[0]} x {whole[1]} px in the file)"
                caption = join([caption, said], "")
    except OSError as error:
        raise ValueError(f"runs: the picture {path} cannot be read ({error}); make it again, or remove it.") from error
    image = image_of(data_uri(kind, data), size, description)
    if size[0] > min(WIDE * size[1], WIDE_PX):
        image = element(
            "div", image, class_="scroll wide", role="region", tabindex=0, aria_label="Picture, scrolls sideways"
        )
    return figure(image, caption, class_="picture")


def image_of(address: str, size: tuple[int, int], description: str) -> Html:
    """A picture that keeps its place on the page before it is decoded."""
    return void("img", src=address, width=size[0], height=size[1], alt=description)


def film(path: Path, title: str, description: str, budget: Budget) -> Html:
    """A figure of a video with four of its frames; where the video is too large, of the frames alone.

    The frames are what print shows, and what one sees without playing.

    Raises:
        ValueError: the file is no video.
    """
    found = stills(path)
    shown = image_of(data_uri("image/jpeg", found.jpeg), found.size, f"Frames from first to last: {description}")
    data = path.read_bytes()
    name, megabytes = element("strong", title), size_text(len(data))
    if not budget.takes(len(data)):
        limits = f"--video-mb {budget.video / 1e6:g}, --page-mb with {budget.page / 1e6:.1f} MB left"
        said = f": the video has {megabytes}, too large for this page ({limits}); it lies in "
        return figure(shown, join([name, said, code(path), "."], ""), class_="film")
    source = void("source", src=data_uri("video/mp4", data), type="video/mp4")
    fallback = f"This browser plays no MP4; the video is {path}."
    width, height = found.frame_size
    video = element(
        "video",
        source,
        fallback,
        controls=True,
        playsinline=True,
        preload="metadata",
        poster=data_uri("image/jpeg", found.first),
        width=width,
        height=height,
        style=f"max-width: {max(width, WIDEST_SQUARE_PX)}px",
        aria_label=f"Video: {description}",
    )
    return figure(join([video, shown], ""), join([name, f": {path.name}, {megabytes}"], ""), class_="film")


def size_text(size: int) -> str:
    """ "27 kB", "3.4 MB"."""
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def stills(path: Path) -> Stills:
    """The first, the last and two frames between, beside each other; of a short video all of its frames.

    Raises:
        ValueError: no frame can be decoded.
    """
    import imageio_ffmpeg
    from PIL import Image

    try:
        count, _ = imageio_ffmpeg.count_frames_and_secs(str(path.absolute()))
        if not count:
            raise ValueError("no frames")
        wanted = sorted({round(place * (count - 1) / (STILLS - 1)) for place in range(STILLS)})
        chosen = "+".join(f"eq(n,{number})" for number in wanted)
        filters = f"select='{chosen}',tile={len(wanted)}x1:padding={GAP_PX}:color=white"
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path.absolute()), "-vf", filters]
        done = subprocess.run([*program, "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"], capture_output=True)
        strip = Image.open(BytesIO(done.stdout)).convert("RGB")
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no frames"])[-1]  # ffmpeg tells its whole story
        raise ValueError(f"runs: the video {path} cannot be read ({reason}); make it again, or remove it.") from error
    frame_size = ((strip.width - (len(wanted) - 1) * GAP_PX) // len(wanted), strip.height)
    strip.thumbnail((len(wanted) * STILL_PX, STILL_PX))
    first = strip.crop((0, 0, round(strip.height * frame_size[0] / frame_size[1]), strip.height))
    return Stills(jpeg(strip), jpeg(first), strip.size, frame_size)


def jpeg(image: "Image") -> bytes:
    """A picture's bytes."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
