"""Counts in messages."""


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 domain`, `2 domains`; `nouns` is the plural where it is not the noun with an s."""
    return f"{number} {agreeing(number, noun, nouns)}"


def agreeing(number: float, noun: str, nouns: str | None = None) -> str:
    """The noun as it stands behind this number."""
    return noun if number == 1 else nouns or noun + "s"
