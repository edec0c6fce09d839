"""Reading the searches that a schema declares.

    /// @lamdb.search title^4 body tags.name^2
    /// @lamdb.search.facets category price
    /// @lamdb.search.rank views desc
    /// @lamdb.search.language en
    /// @lamdb.search.synonyms tv, television
    /// @lamdb.search.stopwords the a an
    model Post { … }

- `@lamdb.search`: the fields that are searched, each with a weight after `^` (1 if there is none). They are
  texts, enums or whole numbers of the model or of related ones, or Json with a text, a number or a list of
  them, to which keys may lead (`details.colours`). Several lines add up.
- `.facets`: fields whose values are counted, also for filters and order.
- `.rank`: fields that tell how much a record matters, numbers or times, with `desc` (the default) or `asc`,
  with commas between.
- `.language`: `en` (stems of English), `none` (words) or `cjk` (any three characters).
- `.synonyms`: words or phrases that mean the same, with commas between; a line for each group.
- `.stopwords`: words that a query may do without.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.search import PREFIX
from lamdb.search.annotations import Annotation, AnnotationToken, annotations_of, raise_faults
from lamdb.search.definition import (
    DOCID,
    ColumnSource,
    Facet,
    FacetKind,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)
from lamdb.search.paths import Model, PathFault, Paths, column_of, table_of, uniques_of

OPTIONS: Final = ("facets", "rank", "language", "synonyms", "stopwords")

_FIELD: Final = re.compile(r"^(?P<path>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(?P<caret>\^(?P<weight>.*))?$")
_MOST_WEIGHT: Final = 1000
_KEYS: Final = frozenset({"String", "Int", "BigInt"})
_TEXTS: Final = _KEYS | {"Json"}
_KINDS: Final = {
    "String": FacetKind.TEXT,
    "Int": FacetKind.NUMBER,
    "BigInt": FacetKind.NUMBER,
    "Float": FacetKind.NUMBER,
    "Decimal": FacetKind.NUMBER,
    "Boolean": FacetKind.BOOLEAN,
    "DateTime": FacetKind.DATETIME,
    "Json": FacetKind.TEXT,
}
_TAKEN: Final = frozenset({"rank", "rowid", "oid", "_rowid_", DOCID, "indexed"})
"""Names that a column of the index cannot have."""
_HIDDEN: Final = ("rowid", "_rowid_", "oid")


def definitions_of(
    files: Iterable[tuple[str, str]], datamodel: Mapping[str, Any]
) -> tuple[SearchDefinition, ...]:
    """Returns the searches of a schema with these files (name, content) and the DMMF's `datamodel`.

    Raises SchemaError (P1012) with file, line and column of everything that cannot be followed.
    """
    models = {model["name"]: model for model in datamodel["models"]}
    found: dict[str, list[Annotation]] = {}
    faults: list[str] = []
    for annotation in annotations_of(files):
        if annotation.option not in ("", *OPTIONS):
            known = ", ".join([PREFIX, *(f"{PREFIX}.{option}" for option in OPTIONS)])
            faults.append(annotation.name.fault(f"There is no {annotation.name.text}; there are {known}."))
        elif annotation.kind != "model" or annotation.block not in models:
            faults.append(
                annotation.name.fault(f"{annotation.name.text} stands above a model, nowhere else.")
            )
        else:
            found.setdefault(annotation.block, []).append(annotation)
    paths = Paths(datamodel)
    tables = {table_of(model).lower(): name for name, model in models.items()}
    made = []
    for name, annotations in found.items():
        reader = _Reader(paths, models[name], tables)
        definition = reader.read(annotations)
        faults += reader.faults
        if definition is not None:
            made.append(definition)
    raise_faults(faults)
    return tuple(made)


class _Reader:
    """Reads the annotations of one model; `faults` are the errors found in them."""

    def __init__(self, paths: Paths, model: Model, tables: Mapping[str, str]) -> None:
        self._paths = paths
        self._model = model
        self._tables = tables
        self.faults: list[str] = []

    def read(self, annotations: Sequence[Annotation]) -> SearchDefinition | None:
        """Returns the search; None if there are faults."""
        by_option: dict[str, list[Annotation]] = {}
        for annotation in annotations:
            by_option.setdefault(annotation.option, []).append(annotation)
            if not annotation.rest.text:
                self._fail(annotation.name, f"{annotation.name.text} names nothing.")
        name, table = self._model["name"], table_of(self._model)
        if "" not in by_option:
            self._fail(annotations[0].name, f"{name} is not searched; name its fields with {PREFIX}.")
            return None
        index = f"{table}_search"
        for suffix in ("", "_data", "_idx", "_docsize", "_config"):
            if other := self._tables.get(f"{index}{suffix}".lower()):
                self._fail(
                    by_option[""][0].name,
                    f"The search of {name} needs the table {index}{suffix}, which the model {other} has.",
                )
        fields = self._fields(by_option[""])
        texts = {field.column.lower(): field.source for field in fields}
        facets = self._facets(by_option.get("facets", ()), texts)
        rank = self._rank(by_option.get("rank", ()), texts)
        language = self._language(by_option.get("language", ()))
        synonyms = tuple(self._synonyms(by_option.get("synonyms", ())))
        words = [word for each in by_option.get("stopwords", ()) for word in each.words()]
        if self.faults:
            return None
        sources = [*(f.source for f in fields), *(f.source for f in facets), *(r.source for r in rank)]
        has_hops = any(source.hops for source in sources)
        return SearchDefinition(
            model=name,
            table=table,
            rowid=_rowid(self._model),
            index=index,
            fields=fields,
            columns=tuple((each["name"], column_of(each)) for each in _scalars(self._model)),
            key=_key(self._model),
            uniques=tuple(uniques_of(self._model)),
            cascades=has_hops or self._paths.cascades(self._model),
            facets=facets,
            rank=rank,
            language=language,
            synonyms=synonyms,
            stop_words=frozenset(word.text.lower() for word in words),
        )

    def _fields(self, annotations: Sequence[Annotation]) -> tuple[SearchField, ...]:
        made: dict[str, SearchField] = {}
        for word in (word for each in annotations for word in each.words()):
            found = _FIELD.match(word.text)
            if found is None:
                self._fail(word, f"{word.text} is not a field with a weight, such as title^4 or tags.name.")
                continue
            weight = self._weight(word, found["weight"]) if found["caret"] else 1.0
            field = self._follow(word, found["path"])
            if weight is None or field is None:
                continue
            type_, source, path = field
            if type_["kind"] != "enum" and type_["type"] not in _TEXTS:
                self._fail(
                    word,
                    f"{found['path']} is a {type_['type']}: text, enums, integers and Json are searched.",
                )
            column = _column(path)
            if column.lower() in made:
                self._fail(word, f"{found['path']} is named twice.")
                continue
            made[column.lower()] = SearchField(path, column, weight, source)
        return tuple(made.values())

    def _weight(self, word: AnnotationToken, text: str) -> float | None:
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not 0 < weight <= _MOST_WEIGHT:
            self._fail(word, f"The weight {text!r} is not a number over 0 and up to {_MOST_WEIGHT}.")
            return None
        return weight

    def _facets(
        self, annotations: Sequence[Annotation], texts: Mapping[str, ColumnSource]
    ) -> tuple[Facet, ...]:
        made: dict[str, Facet] = {}
        for word in (word for each in annotations for word in each.words()):
            field = self._follow(word, word.text)
            if field is None:
                continue
            type_, source, path = field
            kind = FacetKind.TEXT if type_["kind"] == "enum" else _KINDS.get(type_["type"])
            if kind is None:
                self._fail(word, f"{word.text} is a {type_['type']}, whose values cannot be counted.")
                continue
            if source.json and any(hop.many for hop in source.hops):
                self._fail(word, f"{word.text} is Json of several records, which cannot be counted.")
                continue
            if word.text in made:
                self._fail(word, f"{word.text} is named twice.")
                continue
            # The text of several values is one text; a facet has them apart.
            column = f"{_column(path)}_values" if source.many else _column(path)
            if texts.get(column.lower(), source) != source:
                self._fail(word, f"{word.text} and a searched field would have one column, {column}.")
            made[word.text] = Facet(word.text, column, kind, source, many=source.many)
        return tuple(made.values())

    def _rank(self, annotations: Sequence[Annotation], texts: Mapping[str, ColumnSource]) -> tuple[Rank, ...]:
        made: dict[str, Rank] = {}
        for part in (part for each in annotations for part in each.parts()):
            name, *order = part.text.split()
            if len(order) > 1 or (order and order[0] not in ("asc", "desc")):
                self._fail(
                    part, f"{part.text!r} is not a field with desc or asc; separate several by commas."
                )
                continue
            field = self._follow(part, name)
            if field is None:
                continue
            type_, source, path = field
            if source.many or type_["kind"] == "enum" or type_["type"] == "String":
                self._fail(part, f"{name} cannot rank records: only numbers, booleans and times can.")
                continue
            if type_["type"] not in _KINDS or name in made:
                self._fail(part, f"{name} is named twice." if name in made else f"{name} cannot be compared.")
                continue
            column = _column(path)
            if texts.get(column.lower(), source) != source:
                self._fail(part, f"{name} and a searched field would have one column, {column}.")
            made[name] = Rank(name, column, order != ["asc"], source)
        return tuple(made.values())

    def _language(self, annotations: Sequence[Annotation]) -> Language:
        if len(annotations) > 1:
            self._fail(annotations[1].name, f"{annotations[1].name.text} is given twice.")
        for annotation in annotations[:1]:
            try:
                return Language(annotation.rest.text)
            except ValueError:
                known = ", ".join(Language)
                self._fail(annotation.rest, f"{annotation.rest.text!r} is not one of the languages {known}.")
        return Language.NONE

    def _synonyms(self, annotations: Sequence[Annotation]) -> Iterator[tuple[str, ...]]:
        for annotation in annotations:
            group = tuple(dict.fromkeys(" ".join(part.text.lower().split()) for part in annotation.parts()))
            if annotation.rest.text and len(group) < 2:
                self._fail(annotation.rest, "One word has no synonym: put commas between several.")
            yield group

    def _follow(
        self, word: AnnotationToken, text: str
    ) -> tuple[Mapping[str, Any], ColumnSource, tuple[str, ...]] | None:
        path = tuple(text.split("."))
        try:
            field, source = self._paths.follow(self._model, path)
        except PathFault as fault:
            self._fail(word, str(fault))
            return None
        return field, source, path

    def _fail(self, token: AnnotationToken, message: str) -> None:
        self.faults.append(token.fault(message))


def _column(path: Sequence[str]) -> str:
    name = "_".join(path)
    return f"{name}_" if name.lower() in _TAKEN else name


def _scalars(model: Model) -> list[Mapping[str, Any]]:
    return [field for field in model["fields"] if field["kind"] != "object"]


def _key(model: Model) -> tuple[str, str]:
    """A field that can be compared with a value, the id first."""
    fields = [field for field in _scalars(model) if field["kind"] == "scalar" and field["type"] in _KEYS]
    found = sorted(fields, key=lambda field: (not field["isId"], not field["isRequired"]))
    return (found[0]["name"], found[0]["type"]) if found else ("", "")


def _rowid(model: Model) -> str:
    """The column of integers that identifies a record, or a name of SQLite's own number of the row."""
    for field in model["fields"]:
        if field["isId"] and field["type"] in ("Int", "BigInt"):
            return column_of(field)
    columns = {column_of(field).lower() for field in _scalars(model)}
    return next(name for name in _HIDDEN if name not in columns)
