"""Which images of many are taken."""


def spread(length: int, count: int) -> list[int]:
    """At most `count` of range(length) at equal distances, the first among them."""
    return sorted({index * length // min(length, count) for index in range(min(length, count))})


def with_shown(shown: list[int], others: list[int]) -> list[int]:
    """The shown images first, then those that are not among them."""
    return shown + [place for place in others if place not in set(shown)]
