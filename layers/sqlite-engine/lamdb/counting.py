"""Numbers with their nouns, for people."""


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as "1 record" and "2,000 records"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
