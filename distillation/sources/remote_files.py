"""Single image files at fsspec URLs, read where they lie."""

from collections.abc import Iterable
from functools import cached_property

import fsspec
from torch import Tensor

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.fingerprint import fingerprint
from distillation.sources.names import Names
from distillation.sources.retrying import Patience, retry


class RemoteFiles:
    """Images of a folder at a URL. Each is fetched whenever it is read, nothing is kept: of many images make shards.

    Args:
        urls: of image files.
        patience: with the network.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, urls: Iterable[str], patience: Patience):
        self.urls = Names(urls)
        self.patience = patience

    def __len__(self) -> int:
        return len(self.urls)

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of images with the bytes of some, as of local ones."""
        return fingerprint(len(self), self.encoded)

    def encoded(self, index: int) -> bytes:
        """The file of one image.

        Raises:
            DamagedImage: it is not there any more.
            OSError: the storage does not give it.
        """
        url = self.urls[index]

        def attempt() -> bytes:
            fs, path = fsspec.url_to_fs(url)  # not kept: a filesystem's connections do not survive a fork
            return fs.cat_file(path)

        try:
            return retry(attempt, f"reading {url}", self.patience)
        except FileNotFoundError:
            raise DamagedImage("no such file: moved since it was listed") from None

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage, OSError."""
        return decode(self.encoded(index))

    def where(self, index: int) -> str:
        """The URL of one image."""
        return self.urls[index]
