"""A labelled bank beside labelled queries."""

from collections.abc import Sequence

from distillation.datasets import LabelledImages, open_labelled, places


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
    shared = places(bank, bank_split) & places(queries, queries_split)
    if shared:
        raise ValueError(
            f"queries: {min(shared)} is in the bank too, in which each query finds itself; "
            "name another split, dataset or file"
        )
    opened = open_labelled(bank, bank_split), open_labelled(queries, queries_split)
    check_labels(*opened)
    return opened


def check_labels(bank: LabelledImages, queries: LabelledImages) -> None:
    """Raise a ValueError where bank and queries have different classes."""
    if bank.classes != queries.classes:
        raise ValueError(f"queries: the bank has {bank.classes} classes, the queries have {queries.classes}")
    for number, (ours, theirs) in enumerate(zip(bank.names or (), queries.names or (), strict=False)):
        if ours != theirs:
            raise ValueError(f"queries: class {number} is {ours!r} in the bank, {theirs!r} in the queries")
