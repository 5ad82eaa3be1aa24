import io
import resource
import struct
import time
import zlib

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageOps, ImageSequence
from torchvision.transforms.v2 import functional as tvf

from distillation.sources import decoding
from distillation.sources.decoding import MAX_PIXELS, DamagedImage, decode


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, bits, color_type, pixels):
    """A PNG by its specification (ISO/IEC 15948), for what Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(
        b"\0" + pixels[row * len(pixels) // height : (row + 1) * len(pixels) // height] for row in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def photo(width=48, height=32):
    """A smooth image without symmetry."""
    low = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)


def by_pillow(data):
    return tvf.pil_to_tensor(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(
    ("mode", "stored", "color"),
    [
        ("RGB", (200, 100, 50), (200, 100, 50)),
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("P", 1, (0, 255, 0)),
        ("LA", (90, 255), (90, 90, 90)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
    ],
)
def test_grey_palette_and_opaque_images_become_three_channels(mode, stored, color):
    image = Image.new(mode, (8, 6), stored)
    if mode == "P":
        image.putpalette([255, 0, 0, 0, 255, 0])
    pixels = decode(encode(image, "PNG"))
    assert (pixels.shape, pixels.dtype) == ((3, 6, 8), torch.uint8)
    assert torch.equal(pixels, torch.tensor(color, dtype=torch.uint8)[:, None, None].expand(3, 6, 8))


def test_ink_becomes_light():
    cyan = decode(encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100))
    assert cyan[0].max() < 8
    assert cyan[1:].min() > 247


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(kind):
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 8, 4))
    image.paste((200, 0, 0, 51), (0, 4, 8, 6))  # a fifth
    pixels = decode(encode(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})))
    assert pixels[:, 0, 0].tolist() == [200, 0, 0]
    assert pixels[:, 4, 0].tolist() == [244, 204, 204]  # 200 / 5 + 255 * 4 / 5 and 255 * 4 / 5
    assert pixels[:, 7, 0].tolist() == [255, 255, 255]


def test_a_transparent_color_of_a_palette_is_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert decode(encode(image, "GIF", transparency=1)).eq(255).all()
    assert decode(encode(image, "PNG", transparency=1)).eq(255).all()


def test_of_sixteen_bits_the_upper_eight_are_kept():
    values = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    expected = torch.from_numpy((values // 256).astype(np.uint8)).expand(3, 8, 8)
    for kind in ("PNG", "TIFF"):
        assert torch.equal(decode(encode(Image.fromarray(values), kind)), expected)
    pgm = b"P5 8 8 65535\n" + values.astype(">u2").tobytes()
    assert torch.equal(decode(pgm), expected)
    color = np.stack([values, values[::-1], values.T], axis=-1)
    expected = torch.from_numpy((color // 256).astype(np.uint8)).permute(2, 0, 1)
    assert torch.equal(decode(png(8, 8, 16, 2, color.astype(">u2").tobytes())), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), kind, exif=exif)
    expected = tvf.pil_to_tensor(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert torch.equal(decode(data), expected)
    assert decode(data).shape == ((3, 32, 48) if orientation < 5 else (3, 48, 32))


def test_damaged_exif_does_not_cost_the_image():
    whole = encode(photo(), "JPEG")
    damaged = encode(photo(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff damaged")
    assert torch.equal(decode(damaged), by_pillow(whole))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=10, lossless=True)
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 2
    assert decode(data)[:, 0, 0].tolist() == [255, 0, 0]


PLAIN = [
    ("JPEG", {}),
    ("JPEG", {"quality": 30, "progressive": True}),
    ("JPEG", {"subsampling": 0}),
    ("JPEG", {"keep_rgb": True}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("PPM", {}),
    ("JPEG2000", {}),
]


@pytest.mark.parametrize(("kind", "options"), PLAIN)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_pillow_with_and_without_the_decoders_of_torchvision(kind, options, mode, monkeypatch):
    data = encode(photo(99, 65).convert(mode), kind, **(options if mode == "RGB" else {}))
    assert torch.equal(decode(data), by_pillow(data))
    monkeypatch.setattr(decoding, "FAST", {})
    assert torch.equal(decode(data), by_pillow(data))


def test_real_images_have_the_pixels_of_pillow(shared):
    table = pq.read_table(shared / "data" / "eval" / "mini_imagenet_val.parquet", columns=["image"])
    for stored in table.column("image").to_pylist()[::50]:
        assert torch.equal(decode(stored["bytes"]), by_pillow(stored["bytes"]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_damaged(kind, share):
    data = encode(photo(), kind)
    with pytest.raises(DamagedImage):
        decode(data[: int(share * len(data))])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>404</html>", ", or its header is damaged: 16 bytes, first b'<html>40'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),  # a program
        (png(0, 1, 8, 2, b""), "header is damaged"),
        (png(30_000, 30_000, 8, 2, b"short" * 30_000), "exceeds limit"),
        (encode(Image.new("L", (MAX_PIXELS // 2 + 1, 2)), "PNG"), f"at most {MAX_PIXELS:,} pixels are decoded"),
        (
            encode(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"),
            "pixels of 32 bits, whose range is not known",
        ),
        (
            encode(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"),
            "pixels of 32 bits, whose range is not known",
        ),
    ],
    ids=["nothing", "text", "postscript", "empty", "bomb", "huge", "float", "long"],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(DamagedImage) as raised:
        decode(data)
    assert reason in str(raised.value)


def originals():
    exif = Image.Exif()
    exif[0x0112] = 6
    image, second = photo(96, 64), photo(96, 64).rotate(180)
    return [
        encode(image, "JPEG", exif=exif),
        *(encode(image.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")),
        encode(image, "JPEG", progressive=True),
        *(encode(image.convert(mode), "PNG") for mode in ("RGB", "RGBA", "P", "I;16")),
        encode(image, "WEBP"),
        encode(image.convert("RGBA"), "WEBP", lossless=True),
        encode(image, "WEBP", save_all=True, append_images=[second]),
        encode(image, "GIF", save_all=True, append_images=[second]),
        *(encode(image, "TIFF", compression=name) for name in (None, "tiff_lzw", "jpeg", "tiff_adobe_deflate")),
    ]


def mutate(data, other, rng):
    """One of: flipped bits, a cut end, a cut piece, the end of another file, a damaged or a saturated header."""
    damaged = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:
        for _ in range(rng.integers(1, 9)):
            damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        damaged = damaged[: rng.integers(len(data))]
    elif kind == 2:
        start, end = sorted(rng.integers(0, len(data), 2))
        del damaged[start:end]
    elif kind == 3:
        damaged = damaged[: rng.integers(len(data))] + other[rng.integers(len(other)) :]
    else:
        place = int(rng.integers(60))
        damaged[place : place + 4] = rng.bytes(4) if kind == 4 else b"\xff" * 4
    return bytes(damaged)


def test_of_850_mutated_files_each_decodes_or_is_damaged_at_once_and_in_little_memory():
    rng = np.random.default_rng(0)
    files = originals()
    decoded, reasons = 0, []
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(50):
        for number, data in enumerate(files):
            mutated = mutate(data, files[number - 1 - turn % (len(files) - 1)], rng)
            start = time.process_time()
            try:
                pixels = decode(mutated)
            except DamagedImage as error:
                reasons.append(str(error))
            else:
                decoded += 1
                assert (pixels.ndim, pixels.shape[0], pixels.dtype) == (3, 3, torch.uint8)
            assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb < 2**20
    assert decoded + len(reasons) == 850
    assert decoded > 100
    assert len(reasons) > 100
    assert all(reasons)
