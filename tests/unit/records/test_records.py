"""Records of a model as CSV and JSON Lines: round trips, checks, faults, transactions."""

import io
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.deployment.apply import push
from lamdb.errors import SourceError, UsageError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.records import dumping, loading
from lamdb.records.loading import Loaded
from lamdb.records.model import Model, model_of
from lamdb.records.reading import FileRecord, Format, RejectedRecord, read
from lamdb.storage import Database, open_store

SCHEMA = PrismaSchema.parse("""
datasource db {
  provider = "sqlite"
}

enum Colour {
  RED   @map("red")
  GREEN
}

model Kit {
  id       Int       @id @default(autoincrement())
  text     String?   @map("the text")
  whole    Int?
  big      BigInt?
  real     Float?
  decimal  Decimal?
  yes      Boolean?
  moment   DateTime?
  bytes    Bytes?
  json     Json?
  colour   Colour?
}

model Filled {
  id      String   @id @default(uuid())
  made    DateTime @default(now())
  changed DateTime @updatedAt
  colour  Colour   @default(RED)
  number  Int      @default(7)
  json    Json     @default("{\\"a\\": [1]}")
  name    String   @unique
  raw     String   @default(dbgenerated("'from SQL'"))
}

model Person {
  id       Int      @id
  boss     Person?  @relation("boss", fields: [bossId], references: [id])
  bossId   Int?
  staff    Person[] @relation("boss")
  pets     Pet[]

  @@map("people")
}

model Post {
  id   Int   @id
  tags Label[]
}

model Label {
  name  String @id
  posts Post[]
}

model Pet {
  name     String
  owner    Person @relation(fields: [ownerId], references: [id])
  ownerId  Int

  @@id([ownerId, name])
}
""")
FORMATS = list(Format)
KIT_COLUMNS = ("the text", "whole", "big", "real", "decimal", "yes", "moment", "bytes", "json", "colour")


@cache
def pushed() -> tuple[tuple[str, bytes], ...]:
    """The objects of a store with the tables of the schema."""
    store = open_store("memory:")
    with Database(store) as database:
        push(database, SCHEMA)
    return tuple((entry.key, store.get(entry.key) or b"") for entry in store.list())


def fresh() -> Database:
    store = open_store("memory:")
    for key, body in pushed():
        store.put_new(key, body, timestamp_ms=0)
    return Database(store)


@pytest.fixture
def database() -> Iterator[Database]:
    with fresh() as opened:
        yield opened


def entries(model: Model, content: str | bytes, format_: Format) -> list[FileRecord | RejectedRecord]:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return list(read(file, "file", model, format_))


def load(database: Database, name: str, content: str | bytes, format_: Format, **options: Any) -> Loaded:
    model = model_of(SCHEMA, name)
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return loading.load(database, model, read(file, "file", model, format_), name="file", **options)


def dump(database: Database, name: str, format_: Format) -> bytes:
    file = io.BytesIO()
    with database.reader() as connection:
        dumping.dump(connection, model_of(SCHEMA, name), format_, file)
    return file.getvalue()


def rows(database: Database, sql: str) -> list[Any]:
    with database.reader() as connection:
        return connection.execute(sql).fetchall()


def typed(database: Database) -> list[Any]:
    """All values of Kit with their storage classes."""
    columns = ", ".join(f'"{column}", typeof("{column}")' for column in KIT_COLUMNS)
    return rows(database, f"SELECT {columns} FROM Kit ORDER BY id")


def insert(connection: apsw.Connection, values: tuple[Any, ...]) -> None:
    names = ", ".join(f'"{column}"' for column in KIT_COLUMNS)
    connection.execute(f"INSERT INTO Kit ({names}) VALUES ({', '.join('?' * len(KIT_COLUMNS))})", values)


MOMENTS = ("2026-01-31T12:00:00.123+00:00", "0001-01-01T00:00:00.000+00:00", "9999-12-31T23:59:59.999+00:00")
TRICKY: list[tuple[Any, ...]] = [
    (None,) * 10,
    ("", 0, 0, 0.0, 0.0, 0, MOMENTS[0], b"", '""', "red"),
    ("null", -(2**31), -(2**63), -1.5, 0.1, 1, MOMENTS[1], b"\x00\xff", "null", "GREEN"),
    (
        'a "quoted", text',
        2**31 - 1,
        2**63 - 1,
        5e-324,
        1e21,
        1,
        MOMENTS[2],
        b"x" * 100,
        '{"a":[1,null]}',
        "red",
    ),
    ("two\nlines\r\nand\rmore", 1, 2**53 + 1, 1.7976931348623157e308, -0.1, 0, None, None, "[]", None),
    ("  blanks  ", 1, 1, 1e22, 123456789012345.6, 0, None, b"\n", '{"$type":"Json","value":"1"}', None),
    ("nul \x00 é 日本 🎈 \u2028", None, None, 1 / 3, 9007199254740993, None, None, None, '"text"', None),
    ("007", 7, 7, 7.0, 7.0, 1, None, None, "false", None),
    ("-", None, None, None, None, None, None, None, '"null"', None),
    (",", None, None, None, None, None, None, None, 5, None),
    ("\ufeff", None, None, None, None, None, None, None, 1.5, None),
]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_round_trip_is_exact(database: Database, format_: Format) -> None:
    with database.writer() as connection:
        for values in TRICKY:
            insert(connection, values)
    content = dump(database, "Kit", format_)
    with fresh() as copy:
        assert load(copy, "Kit", content, format_).records == len(TRICKY)
        assert typed(copy) == typed(database)
        assert dump(copy, "Kit", format_) == content


VALUES = st.tuples(
    st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.none() | st.booleans().map(int),
    st.none() | st.sampled_from(MOMENTS),
    st.none() | st.binary(),
    st.none() | st.sampled_from(["null", "{}", '{"$type":"Json","value":"2"}', '"é\\n"', "[1.5,true]"]),
    st.none() | st.sampled_from(["red", "GREEN"]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=20), st.sampled_from(FORMATS))
def test_round_trips_of_any_values_are_exact(values: list[tuple[Any, ...]], format_: Format) -> None:
    with fresh() as database, fresh() as copy:
        with database.writer() as connection:
            for each in values:
                insert(connection, each)
        load(copy, "Kit", dump(database, "Kit", format_), format_)
        assert typed(copy) == typed(database)


def test_the_forms_are_those_of_prisma(database: Database) -> None:
    with database.writer() as connection:
        insert(connection, ("t", 1, 2, 0.5, 1.25, 1, MOMENTS[0], b"ab", '{"k":1}', "red"))
    assert dump(database, "Kit", Format.JSONL).decode() == (
        '{"id":1,"text":"t","whole":1,"big":"2","real":0.5,"decimal":"1.25","yes":true,'
        '"moment":"2026-01-31T12:00:00.123Z","bytes":"YWI=","json":{"k":1},"colour":"RED"}\n'
    )
    assert dump(database, "Kit", Format.CSV).decode() == (
        "id,text,whole,big,real,decimal,yes,moment,bytes,json,colour\r\n"
        '1,t,1,2,0.5,1.25,true,2026-01-31T12:00:00.123Z,YWI=,"{""k"":1}",RED\r\n'
    )


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("whole", "abc", "Int"),
        ("whole", "1.5", "Int"),
        ("whole", "2147483648", "Int"),
        ("whole", "١", "Int"),
        ("big", "9223372036854775808", "BigInt"),
        ("big", "1_000", "BigInt"),
        ("real", "nan", "Float"),
        ("real", "1e999", "Float"),
        ("decimal", "one", "Decimal"),
        ("yes", "maybe", "Boolean"),
        ("moment", "yesterday", "DateTime"),
        ("moment", "2026-02-30", "DateTime"),
        ("bytes", "*", "Bytes"),
        ("json", "{", "Json"),
        ("colour", "red", "Colour"),
        ("whole", '""', "Int"),
    ],
)
def test_wrong_types_are_named_with_their_line(field: str, value: str, kind: str) -> None:
    model = model_of(SCHEMA, "Kit")
    (good, fault) = entries(model, f"text,{field}\n\nx,\ny,{value}\n", Format.CSV)
    assert isinstance(good, FileRecord)
    assert good.line == 3
    assert isinstance(fault, RejectedRecord)
    assert fault.line == 4
    assert fault.message.startswith(f"{field}: ")
    assert kind in fault.message


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("text", "1", "String"),
        ("whole", '"1"', "Int"),
        ("whole", "1.0", "Int"),
        ("whole", "true", "Int"),
        ("big", "1e30", "BigInt"),
        ("real", '"1"', "Float"),
        ("yes", "1", "Boolean"),
        ("moment", "0", "DateTime"),
        ("bytes", "[1]", "Bytes"),
        ("colour", '"BLUE"', "Colour"),
        ("decimal", '"NaN"', "Decimal"),
    ],
)
def test_wrong_types_in_json_lines_are_named(field: str, value: str, kind: str) -> None:
    model = model_of(SCHEMA, "Kit")
    (fault,) = entries(model, f'{{"id": 1, "{field}": {value}}}\n', Format.JSONL)
    assert isinstance(fault, RejectedRecord)
    assert fault.message.startswith(f"{field}: ")
    assert kind in fault.message


def test_lines_are_those_on_which_records_begin() -> None:
    model = model_of(SCHEMA, "Kit")
    found = entries(model, 'text,whole\n"a\nb\nc",1\n"d\ne",x\nf,2,3\n', Format.CSV)
    assert [each.line for each in found] == [2, 5, 7]
    assert isinstance(found[2], RejectedRecord)
    assert "3 fields, and the header 2" in found[2].message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Kit", "id,nosuch\n", "no field 'nosuch'"),
        ("Kit", "id,id\n", "a name twice"),
        ("Kit", "", "no header"),
        ("Kit", 'text\n"open\n', "not CSV"),
        ("Kit", b"text\n\xff\n", "line 2: it is not UTF-8"),
        ("Pet", "name,owner\n", "owner is a relation: give ownerId"),
        ("Pet", "name\n", "lacks ownerId"),
        ("Person", "id,staff\n", "its records hold the key"),
    ],
)
def test_files_that_cannot_be_read_say_why(name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        entries(model_of(SCHEMA, name), content, Format.CSV)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"nosuch": 1}', "no field 'nosuch'"),
        ('{"owner": 1}', "give ownerId"),
        ('{"name": "x"}', "ownerId is missing"),
        ('{"name": null, "ownerId": 1}', "name: it must not be null"),
    ],
)
def test_faulty_lines_of_json_say_why(content: str, message: str) -> None:
    (fault,) = entries(model_of(SCHEMA, "Pet"), content, Format.JSONL)
    assert isinstance(fault, RejectedRecord)
    assert message in fault.message


def test_a_byte_order_mark_and_other_line_ends_are_read() -> None:
    model = model_of(SCHEMA, "Kit")
    found = entries(model, b"\xef\xbb\xbftext,whole\r\nx,1\r\n\r\ny,2", Format.CSV)
    assert [each.values["the text"] for each in found if isinstance(each, FileRecord)] == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "format_"), [("name\na\nb\n", Format.CSV), ('{"name":"a"}\n{"name":"b"}\n', Format.JSONL)]
)
def test_absent_fields_get_their_defaults(database: Database, content: str, format_: Format) -> None:
    load(database, "Filled", content, format_)
    found = rows(database, "SELECT id, made, changed, colour, number, json, raw FROM Filled")
    assert len({row[0] for row in found}) == 2
    for _, made, changed, *rest in found:
        assert made.endswith("+00:00")
        assert changed.endswith("+00:00")
        assert rest == ["red", 7, '{"a":[1]}', "from SQL"]
    assert dump(database, "Filled", Format.JSONL).count(b"\n") == 2


def test_an_error_keeps_nothing_of_its_transaction(database: Database) -> None:
    content = "name\n" + "".join(f"n{number}\n" for number in range(25)) + "n3\n"
    with pytest.raises(
        SourceError, match=r"line 27: Unique .*P2002.* 20 records were loaded before, in 2"
    ) as caught:
        load(database, "Filled", content, Format.CSV, batch_records=10)
    assert rows(database, "SELECT count(*) FROM Filled") == [(20,)]
    assert "--from-line 22" in (caught.value.hint or "")
    assert "restore --in-place --yes --txid 1" in (caught.value.hint or "")


def test_an_interrupt_says_what_is_loaded(database: Database) -> None:
    def lines() -> Iterator[FileRecord | RejectedRecord]:
        yield from entries(model_of(SCHEMA, "Filled"), "name\na\nb\nc\n", Format.CSV)
        raise KeyboardInterrupt

    model = model_of(SCHEMA, "Filled")
    with pytest.raises(
        KeyboardInterrupt, match=r"2 records were loaded before, in 1 transaction\.\n.*--from-line 4"
    ):
        loading.load(database, model, lines(), name="file", batch_records=2)
    assert rows(database, "SELECT name FROM Filled") == [("a",), ("b",)]
    with pytest.raises(KeyboardInterrupt, match="no record was loaded"):
        loading.load(database, model, lines(), name="file")


def test_records_that_wait_are_not_passed_over(database: Database) -> None:
    """A record that refers to a later one is not stored yet: the rest does not begin at a line."""
    content = "id,bossId\n1,9\n2,\n3,\nx,\n"
    with pytest.raises(SourceError, match="line 5") as caught:
        load(database, "Person", content, Format.CSV, batch_records=2)
    assert "--from-line" not in (caught.value.hint or "")


def test_nothing_is_kept_of_a_file_that_fails_at_once(database: Database) -> None:
    with pytest.raises(SourceError, match="No record was loaded"):
        load(database, "Filled", "name\na\na\n", Format.CSV)
    assert rows(database, "SELECT count(*) FROM Filled") == [(0,)]


def test_so_many_errors_are_skipped_and_no_more(database: Database) -> None:
    content = "id,whole\n1,1\n2,x\n3,3\n3,4\n5,5\n"
    with pytest.raises(SourceError, match="line 5"):
        load(database, "Kit", content, Format.CSV, skip_errors=1)
    assert rows(database, "SELECT count(*) FROM Kit") == [(0,)]
    seen: list[RejectedRecord] = []
    done = load(database, "Kit", content, Format.CSV, skip_errors=2, on_fault=seen.append)
    assert done.records == 3
    assert [fault.line for fault in seen] == [3, 5] == [fault.line for fault in done.faults]
    assert rows(database, "SELECT id FROM Kit") == [(1,), (3,), (5,)]


def test_records_may_refer_to_later_ones_of_their_model(database: Database) -> None:
    people = 30
    content = "id,bossId\n" + "".join(f"{n},{n + 1 if n < people else ''}\n" for n in range(1, people + 1))
    assert load(database, "Person", content, Format.CSV, batch_records=7).records == people
    with fresh() as copy:
        load(copy, "Person", dump(database, "Person", Format.CSV), Format.CSV, batch_records=7)
        assert rows(copy, "SELECT id, bossId FROM people") == rows(database, "SELECT id, bossId FROM people")


def test_references_to_nothing_are_named(database: Database) -> None:
    with pytest.raises(SourceError, match="line 3: it refers to a record that does not exist"):
        load(database, "Person", "id,bossId\n1,\n2,99\n", Format.CSV)
    load(database, "Person", "id\n1\n", Format.CSV)
    done = load(database, "Pet", "name,ownerId\na,1\nb,2\nc,1\n", Format.CSV, skip_errors=1)
    assert [fault.line for fault in done.faults] == [3]
    assert rows(database, "SELECT name FROM Pet") == [("a",), ("c",)]


def test_transactions_are_bounded(database: Database) -> None:
    before = database.txid
    content = "name\n" + "".join(f"{number}\n" for number in range(95))
    done = load(database, "Filled", content, Format.CSV, batch_records=10)
    assert done.transactions == 10 == database.txid - before


def test_lines_are_read_as_they_are_needed(database: Database) -> None:
    """A file that never ends is read no further than its first error."""

    class Endless(io.RawIOBase):
        lines = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            self.lines += 1
            return b"text,whole\n" if self.lines == 1 else b"x,y\n" if self.lines == 5000 else b"x,1\n"

    file = Endless()
    model = model_of(SCHEMA, "Kit")
    with pytest.raises(SourceError, match="line 5000"):
        loading.load(database, model, read(file, "file", model, Format.CSV), name="file", batch_records=1000)
    assert file.lines == 5000
    assert rows(database, "SELECT count(*) FROM Kit") == [(4000,)]


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        model_of(SCHEMA, "people")
    assert caught.value.hint == "The models are Kit, Filled, Person, Post, Label, Pet."


@pytest.mark.parametrize("name", ["Post.tags", "Label.posts"])
def test_implicit_relations_have_a_table(database: Database, name: str) -> None:
    load(database, "Post", "id\n1\n2\n", Format.CSV)
    load(database, "Label", "name\nx\ny\n", Format.CSV)
    pairs = b"A,B\r\nx,1\r\nx,2\r\ny,1\r\n"
    assert load(database, name, pairs, Format.CSV).records == 3
    assert dump(database, name, Format.CSV) == pairs
    with pytest.raises(SourceError, match="P2002"):
        load(database, name, "A,B\ny,1\n", Format.CSV)
    with pytest.raises(SourceError, match="does not exist"):
        load(database, name, "A,B\ny,9\n", Format.CSV)


@pytest.mark.parametrize("name", ["Person.staff", "Pet.owner", "Post.nosuch", "Nobody.x"])
def test_other_relations_have_none(name: str) -> None:
    with pytest.raises(UsageError, match="not an implicit many-to-many relation"):
        model_of(SCHEMA, name)


# JSON lists

PAIRS = st.fixed_dictionaries(
    {"text": st.none() | st.text(), "json": st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )}
)  # fmt: skip


def listed(content: str) -> list[FileRecord | RejectedRecord]:
    return list(read(io.BytesIO(content.encode()), "kit.json", model_of(SCHEMA, "Kit"), Format.JSON))


@given(records=st.lists(PAIRS, max_size=4), indent=st.none() | st.integers(0, 2), ascii=st.booleans())
def test_a_list_is_read_however_it_is_formatted(
    records: list[dict[str, Any]], indent: int | None, ascii: bool
) -> None:
    text = json.dumps(records, indent=indent, ensure_ascii=ascii)
    lines = "\n".join(json.dumps(record) for record in records)
    model = model_of(SCHEMA, "Kit")
    expected = read(io.BytesIO(lines.encode()), "kit.jsonl", model, Format.JSONL)
    assert [_content(each) for each in listed(text)] == [_content(each) for each in expected]


def _content(record: FileRecord | RejectedRecord) -> Any:
    return record.values if isinstance(record, FileRecord) else record.message


def test_records_of_a_list_have_their_lines() -> None:
    content = '[\n  {"whole": 1},\n  {\n    "whole": "x"\n  }, {"text": "[{,\\"}"}\n]\n'
    first, second, third = listed(content)
    assert isinstance(first, FileRecord)
    assert (first.line, first.values["whole"]) == (2, 1)
    assert isinstance(second, RejectedRecord)
    assert second.line == 3
    assert isinstance(third, FileRecord)
    assert (third.line, third.values["the text"]) == (5, '[{,"}')
    (wide,) = listed('[{"text": "ü"}]')
    assert isinstance(wide, FileRecord)
    assert wide.size == len('{"text": "ü"}'.encode())


def test_a_broken_record_of_a_list_is_rejected_alone() -> None:
    first, second = listed('[{"whole": 1 2}, {"whole": 3}]')
    assert isinstance(first, RejectedRecord)
    assert isinstance(second, FileRecord)


@pytest.mark.parametrize("content", ["[]", " \n[ ]\n", "\ufeff[]"])
def test_an_empty_list_has_no_records(content: str) -> None:
    assert listed(content) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: it is not a list"),
        ('{"whole": 1}', "line 1: it is not a list"),
        ("nonsense", "line 1: it is not a list"),
        ('[{"whole": 1}', "line 1: the list does not end"),
        ('[{"whole": 1', "the list does not end"),
        ("[1]", "something else than JSON objects"),
        ('["a"]', "something else than JSON objects"),
        ('[{"whole": 1} {"whole": 2}]', "something else than JSON objects"),
        ('[{"whole": 1},,{"whole": 2}]', "a comma follows no record"),
        ('[,{"whole": 1}]', "a comma follows no record"),
        ("[]\n[]", "line 2: after the list there is more"),
        ("[] x", "after the list there is more"),
        ("[{]}]", "something else than JSON objects"),
    ],
)
def test_what_is_no_list(content: str, message: str) -> None:
    with pytest.raises(SourceError) as raised:
        listed(content)
    assert message in str(raised.value)


def test_a_record_of_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamdb.records.reading.MAX_LINE", 1000)
    with pytest.raises(
        SourceError, match="line 2: the record is longer than 1000 characters, or does not end"
    ):
        listed('[\n{"text":\n' + '"a",\n' * 1000)
