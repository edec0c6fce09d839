"""Rules against a model that tries every record by itself.

The long form: `python -m tests.support.rules_model`.
"""

from tests.support.rules_model import Matrix


def test_answers_and_changes_are_those_of_the_model() -> None:
    matrix = Matrix()
    try:
        for seed in range(45):
            matrix.run(seed)
    finally:
        matrix.close()
    assert matrix.cases > 2000
