"""Prints `docs/cost.md`: `python -m lamdb.cost`."""

from lamdb.cost.document import document

if __name__ == "__main__":
    print(document(), end="")
