"""The hash that names a collection of images wherever it lies."""

import hashlib
from collections.abc import Callable

from distillation.sources.decoding import DamagedImage


def fingerprint(count: int, encoded: Callable[[int], bytes], samples: int = 64) -> str:
    """Hash of the number of images with the bytes of some, spread evenly, as 16 hex digits.

    Args:
        count: number of images.
        encoded: index -> the bytes that are stored for that image; the same bytes in the same order give the same
            fingerprint, whether they lie in parquet, in a folder or in tar files. An image without bytes, of which it
            raises DamagedImage, counts as an empty file.
        samples: about how many images are read.
    """
    digest = hashlib.sha256(str(count).encode())
    for index in range(0, count, max(1, count // samples)):
        try:
            digest.update(encoded(index))
        except DamagedImage:
            continue
    return digest.hexdigest()[:16]
