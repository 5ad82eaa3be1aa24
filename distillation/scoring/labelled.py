"""A labelled bank beside labelled queries."""

import os
from collections.abc import Sequence

from distillation.datasets import HUB_ID, LabelledImages, local_places, open_labelled


def open_bank_and_queries(
    bank: Sequence[str], queries: Sequence[str], bank_split: str = "train", queries_split: str = "validation"
) -> tuple[LabelledImages, LabelledImages]:
    """Images in which neighbours are looked up, and images that are classified by them.

    Args:
        bank, queries: see `open_labelled`.
        bank_split, queries_split: of Hub datasets.

    Raises:
        ValueError: see `open_labelled`; the two have different classes, or share a file or the split of a Hub dataset.
    """
    for each in queries:
        on_hub = HUB_ID.fullmatch(each) and not os.path.exists(each)
        if each in bank and not (on_hub and bank_split != queries_split):
            place = f"the split {queries_split!r} of {each}" if on_hub else each
            raise ValueError(
                f"queries: {place} is the bank too, in which each query finds itself; "
                "name another split, dataset or file"
            )
    opened = open_labelled(bank, bank_split), open_labelled(queries, queries_split)
    shared = sorted(local_places(bank) & local_places(queries))
    if shared:
        raise ValueError(f"queries: {shared[0]} is in the bank too, in which each query finds itself; name others")
    check_labels(*opened)
    return opened


def check_labels(bank: LabelledImages, queries: LabelledImages) -> None:
    """Raise a ValueError where bank and queries have different classes."""
    if bank.classes != queries.classes:
        raise ValueError(f"queries: the bank has {bank.classes} classes, the queries have {queries.classes}")
    for number, (ours, theirs) in enumerate(zip(bank.names or (), queries.names or (), strict=False)):
        if ours != theirs:
            raise ValueError(f"queries: class {number} is {ours!r} in the bank, {theirs!r} in the queries")
