"""Statements of query plans with views in the place of tables."""

import pytest

from lamdb.errors import EngineError
from lamdb.rules.enforcement import with_views

TABLES = frozenset({"Post", "_PostToTag"})
JOINED = "SELECT `j`.`A` FROM `{}` AS `j`"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "SELECT `main`.`Post`.`id` FROM `main`.`Post` WHERE `main`.`Post`.`title` = ?",
            "SELECT `lamdb_rules_Post`.`id` FROM `lamdb_rules_Post` WHERE `lamdb_rules_Post`.`title` = ?",
        ),
        ("SELECT `t`.`id` FROM `main`.`Post` AS `t`", "SELECT `t`.`id` FROM `lamdb_rules_Post` AS `t`"),
        ("SELECT 1 FROM `main`.`Other`", "SELECT 1 FROM `main`.`Other`"),
        ("SELECT '`main`.`Post`' FROM `main`.`Tag`", "SELECT '`main`.`Post`' FROM `main`.`Tag`"),
        (
            "UPDATE `main`.`Post` SET `a` = ? WHERE (`main`.`Post`.`id` = ?) RETURNING `id` AS `id`",
            "UPDATE `main`.`Post` SET `a` = ? WHERE (`main`.`Post`.`id` = ?) RETURNING `id` AS `id`",
        ),
        (
            f"DELETE FROM `main`.`Post` WHERE `main`.`Post`.`id` IN ({JOINED.format('main`.`_PostToTag')})",
            "DELETE FROM `main`.`Post` WHERE `main`.`Post`.`id` IN"
            f" ({JOINED.format('lamdb_rules__PostToTag')})",
        ),
        (
            f"UPDATE `main`.`Post` SET `a` = 1 WHERE `main`.`Post`.`id` IN ({JOINED.format('main`.`Post')})",
            "UPDATE `main`.`Post` SET `a` = 1 WHERE `main`.`Post`.`id` IN"
            f" ({JOINED.format('lamdb_rules_Post')})",
        ),
        (
            "INSERT OR IGNORE INTO `main`.`_PostToTag` (`A`, `B`) VALUES (?, ?)",
            "INSERT OR IGNORE INTO `main`.`_PostToTag` (`A`, `B`) VALUES (?, ?)",
        ),
    ],
)
def test_statements(statement: str, expected: str) -> None:
    assert with_views(statement, TABLES) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM Post",
        'SELECT * FROM "Post"',
        "SELECT * FROM main.Post",
        "SELECT 1 FROM `main`.`Tag` JOIN Post ON 1",
        'WITH x AS (SELECT id FROM "main"."Post") SELECT * FROM x',
        "UPDATE `main`.`Tag` SET a = (SELECT max(id) FROM `Post`)",
    ],
)
def test_a_statement_that_names_a_table_otherwise_is_refused(statement: str) -> None:
    with pytest.raises(EngineError, match="past the rules"):
        with_views(statement, TABLES)
