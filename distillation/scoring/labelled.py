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
    """Raise a ValueError where bank and queries have different classes.

    Numbers without names are one numbering; of the highest, queries may lack some.
    """
    if (bank.names is None) != (queries.names is None):
        nameless = "bank" if bank.names is None else "queries"
        raise ValueError(
            f"queries: labels of the {nameless} are numbers without names, the others have names, so that nobody knows "
            "whether they are alike; give both as folders by class, or both as parquet of one origin"
        )
    if bank.classes < queries.classes or (bank.names is not None and bank.classes != queries.classes):
        raise ValueError(f"queries: the bank has {bank.classes} classes, the queries have {queries.classes}")
    for number, (ours, theirs) in enumerate(zip(bank.names or (), queries.names or (), strict=False)):
        if ours != theirs:
            raise ValueError(f"queries: class {number} is {ours!r} in the bank, {theirs!r} in the queries")
