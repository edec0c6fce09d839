"""Rules in a schema: what is accepted, and where what is not is said to stand."""

import pytest

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.rules.definition import Rules
from lamdb.rules.symbols import ROW

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'


def schema(rules: str, *, inside: str = "", field: str = "") -> PrismaSchema:
    """A model `Post` with rules above it from line 7 on, or in it."""
    return PrismaSchema.parse(
        f"""{HEAD}enum Kind {{
  NEWS
  OLD @map("o")
}}
{rules}
model Post {{
  id      Int      @id {field}
  title   String   @map("headline")
  kind    Kind     @default(NEWS)
  views   Int      @default(0)
  made    DateTime @default(now())
  extra   Json?
  author  User?    @relation(fields: [by], references: [id])
  by      Int?     @map("author_id")
{inside}
  @@map("posts")
}}
model User {{
  id    Int    @id
  posts Post[]
}}
"""
    )


def read(rules: str) -> str:
    """The condition for reading a post."""
    found = schema(rules).rules
    assert found is not None
    return found.of("Post").conditions["read"].replace(ROW, "t")


def test_a_schema_without_rules_has_none() -> None:
    assert schema("/// Written by the allow-list team; mail allow@example.org").rules is None


def test_a_model_without_rules_is_denied_once_another_has_one() -> None:
    rules = schema("/// @@allow('all', true)").rules
    assert rules is not None
    assert set(rules.of("User").conditions.values()) == {"0", "1"}  # no rule forbids states after updates
    assert rules.of("User").conditions["post-update"] == "1"


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        ("title == 'a''", None),
        ("title == 'it\\'s'", "t.\"headline\" = 'it''s'"),
        ('title == "a"', "t.\"headline\" = 'a'"),
        ("kind == OLD", "t.\"kind\" = 'o'"),
        ("kind == 'OLD'", "t.\"kind\" = 'o'"),
        ("OLD == kind", "'o' = t.\"kind\""),
        ("kind in [NEWS, OLD]", "t.\"kind\" IN ('NEWS', 'o')"),
        ("auth().role == OLD", "lamdb_claim('role', 'text') = 'OLD'"),
        ("views >= 3", 't."views" >= 3'),
        ("auth().level >= 3", "lamdb_claim('level', 'number') >= 3"),
        ("views != 3", 'NOT coalesce(t."views" = 3, 0)'),
        ("made < '2026-01-31'", "t.\"made\" < '2026-01-31T00:00:00.000+00:00'"),
        ("made < '2026-01-31T01:00:00+02:00'", "t.\"made\" < '2026-01-30T23:00:00.000+00:00'"),
        ("auth() == author", "t.\"author_id\" = lamdb_claim('id', 'number')"),
        ("author == auth()", "t.\"author_id\" = lamdb_claim('id', 'number')"),
        ("auth().team.name == title", "lamdb_claim('team.name', 'text') = t.\"headline\""),
        ("extra == null", 't."extra" IS NULL'),
        ("!(views == 3)", 'NOT coalesce(t."views" = 3, 0)'),
        ("views in auth().allowed", "lamdb_claim_has('allowed', t.\"views\")"),
        ("contains(title, 'x')", "(instr(t.\"headline\", 'x') > 0)"),
        ("auth() != null", "NOT coalesce(NOT lamdb_authenticated(), 0)"),
    ],
)
def test_conditions(rule: str, condition: str | None) -> None:
    if condition is None:
        with pytest.raises(SchemaError):
            read(f"/// @@allow('read', {rule})")
    else:
        assert read(f"/// @@allow('read', {rule})") == condition


def test_a_rule_may_go_on_over_lines_and_stand_in_the_model() -> None:
    expected = read("/// @@allow('read', views > 1 && title == 'a')")
    assert read("/// Some text.\n/// @@allow('read',\n///   views > 1\n///   && title == 'a')") == expected
    for inside in (
        "  /// @@allow('read', views > 1 && title == 'a')",
        "  /// @@allow('read', views > 1 &&\n  ///   title == 'a')\n",
    ):
        rules = schema("", inside=inside).rules
        assert rules is not None
        assert rules.of("Post").conditions["read"].replace(ROW, "t") == expected


def test_rules_add_up_and_denials_win() -> None:
    condition = read(
        "/// @@allow('read', views == 1)\n/// @@allow('all', views == 2)\n"
        "/// @@deny('read,delete', views == 3)"
    )
    assert condition == ('((t."views" = 1 OR t."views" = 2) AND NOT coalesce(t."views" = 3, 0))')


@pytest.mark.parametrize(
    ("rule", "message", "column"),
    [
        ("@@allow('read')", "A rule has two arguments", 5),
        ("@@allow", "has arguments", 5),
        ("@@allow(read, true)", "The first argument is a text", 13),
        ("@@allow('write', true)", "There is no operation 'write'", 13),
        ("@@allow('read', titel == 'a')", "There is no field", 21),
        ("@@allow('read', author.nam == null)", "User has no field nam", 28),
        ("@@allow('read', title = 'a')", "is not part of an expression", 27),
        ("@@allow('read', title == 3)", "are never equal", 27),
        ("@@allow('read', kind == FOO)", "has no value FOO", 29),
        ("@@allow('read', kind == 'FOO')", "has no value FOO", 29),
        ("@@allow('read', made < 'soon')", "A time is written as", 28),
        ("@@allow('read', title)", "neither true nor false", 21),
        ("@@allow('read', auth().posts?[views > 1])", "a list of related records", 33),
        ("@@allow('read', author?[id == 1])", "a list of related records", 27),
        ("@@allow('read', extra == 'a')", "compared with null alone", 27),
        ("@@allow('read', author == 3)", "compare its id", 28),
        ("@@allow('read', has(title))", "has takes", 21),
        ("@@allow('read', lower(title) == 'a')", "no function lower", 21),
        ("@@allow('read', (title == 'a')", "Expected )", 35),
        ("@@allow('read', check(author, 'read') && check(author, 'fly'))", "The operation is", 60),
        ("@allow('read', true)", "Rules for single fields", 5),
    ],
)
def test_faults_have_a_place(rule: str, message: str, column: int) -> None:
    with pytest.raises(SchemaError) as caught:
        schema(f"/// {rule}")
    assert message in str(caught.value)
    assert f"schema.prisma:8:{column}" in str(caught.value)


def test_a_rule_beside_a_field_is_refused() -> None:
    with pytest.raises(SchemaError, match="single fields"):
        schema("", field="/// @deny('read', true)")


def test_a_check_that_leads_back_is_refused() -> None:
    with pytest.raises(SchemaError, match="leads back"):
        PrismaSchema.parse(
            f"{HEAD}/// @@allow('read', check(boss))\nmodel User {{\n  id Int @id\n"
            '  boss User? @relation("b", fields: [by], references: [id])\n  by Int?\n'
            '  team User[] @relation("b")\n}\n'
        )


def test_deep_expressions_are_refused() -> None:
    with pytest.raises(SchemaError, match="levels deep"):
        schema(f"/// @@allow('read', {'(' * 60}true{')' * 60})")
    with pytest.raises(SchemaError, match="negations"):
        schema(f"/// @@allow('read', {'!' * 60}true)")


def test_rules_survive_being_stored() -> None:
    rules = schema("/// @@allow('all', auth() == author)").rules
    assert rules is not None
    assert Rules.loads(rules.dumps()) == rules
    assert Rules.loads(rules.dumps()).digest == rules.digest
