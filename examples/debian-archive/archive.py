"""Debian's package lists as rows for the schema beside this file.

The format is that of `apt-cache dumpavail`: stanzas of `Field: value` lines, parted by blank lines, values
continued on lines that begin with a blank (deb822(5)); relationship fields as in Debian Policy 7.1.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

type Stanza = dict[str, str]
type Row = dict[str, Any]

KINDS = {
    "Pre-Depends": "PRE_DEPENDS",
    "Depends": "DEPENDS",
    "Recommends": "RECOMMENDS",
    "Suggests": "SUGGESTS",
    "Enhances": "ENHANCES",
    "Breaks": "BREAKS",
    "Conflicts": "CONFLICTS",
    "Replaces": "REPLACES",
}
COMPARISONS = {
    "<<": "EARLIER",
    "<=": "AT_MOST",
    "<": "AT_MOST",  # the old spelling
    "=": "EXACTLY",
    ">=": "AT_LEAST",
    ">": "AT_LEAST",  # the old spelling
    ">>": "LATER",
}

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<architecture>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<comparison><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s()]+)\s*\))?"
)
_MAINTAINER = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^<>]+)>[\s,]*")


class MalformedList(Exception):
    """The text is not a package list; the message says where."""


@dataclass(frozen=True)
class Relation:
    """One name in a relationship field, and its place there."""

    clause: int
    alternative: int
    name: str
    architecture: str | None
    comparison: str | None
    version: str | None


def stanzas(text: str) -> Iterator[Stanza]:
    """The stanzas of a package list. Raises MalformedList."""
    stanza: Stanza = {}
    field = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            if stanza:
                yield stanza
            stanza, field = {}, ""
        elif line[0] in " \t" and field:
            stanza[field] += "\n" + line.strip()
        else:
            field, colon, value = line.partition(":")
            if not colon or field != field.strip():
                raise MalformedList(f"line {number}: neither a field nor its continuation: {line[:60]!r}")
            stanza[field] = value.strip()
    if stanza:
        yield stanza


def relations(field: str) -> Iterator[Relation]:
    """The names in a relationship field, in order. Raises MalformedList."""
    for clause, alternatives in enumerate(field.split(",")):
        for alternative, text in enumerate(alternatives.split("|")):
            found = _RELATION.fullmatch(text.strip())
            if found is None:
                raise MalformedList(f"not a relationship to a package: {text.strip()!r}")
            comparison = found["comparison"] and COMPARISONS[found["comparison"]]
            yield Relation(
                clause, alternative, found["name"], found["architecture"], comparison, found["version"]
            )


def maintainer(field: str) -> tuple[str, str]:
    """`Jo Doe <jo@example.org>` → (address, name)."""
    found = _MAINTAINER.fullmatch(field)
    return (found["email"], found["name"] or found["email"]) if found else (field, field)


def rows(packages: Iterable[Stanza]) -> dict[str, list[Row]]:
    """Every model's rows, each list in the order of its key, models in the order in which they can be
    written. Raises MalformedList.
    """
    return _Tables().fill(packages).tables()


class _Tables:
    def __init__(self) -> None:
        self.sections: set[str] = set()
        self.maintainers: dict[str, str] = {}
        self.tags: set[str] = set()
        self.packages: dict[str, Row] = {}
        self.package_tags: list[Row] = []
        self.dependencies: list[Row] = []
        self.provisions: list[Row] = []

    def fill(self, packages: Iterable[Stanza]) -> "_Tables":
        for stanza in packages:
            try:
                self._add(stanza)
            except (KeyError, ValueError, MalformedList) as error:
                reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
                raise MalformedList(f"package {stanza.get('Package', '?')}: {reason}") from error
        return self

    def tables(self) -> dict[str, list[Row]]:
        # Sorted by key, so that the rows already in a table are always the first ones.
        return {
            "Section": [{"name": name} for name in sorted(self.sections)],
            "Maintainer": [
                {"email": email, "name": name} for email, name in sorted(self.maintainers.items())
            ],
            "Tag": [{"name": name, "facet": name.partition("::")[0]} for name in sorted(self.tags)],
            "Target": list(self._targets()),
            "Package": [self.packages[name] for name in sorted(self.packages)],
            "PackageTag": sorted(self.package_tags, key=lambda row: (row["packageName"], row["tagName"])),
            "Dependency": sorted(self.dependencies, key=_dependency_key),
            "Provision": sorted(self.provisions, key=lambda row: (row["packageName"], row["position"])),
        }

    def _add(self, stanza: Stanza) -> None:
        name = stanza["Package"]
        if name in self.packages:
            raise MalformedList("listed twice")
        email, maintainer_name = maintainer(stanza["Maintainer"])
        self.sections.add(stanza["Section"])
        self.maintainers.setdefault(email, maintainer_name)
        self.packages[name] = {
            "name": name,
            "version": stanza["Version"],
            "architecture": stanza["Architecture"],
            "source": stanza.get("Source", name).partition(" ")[0],
            "summary": stanza["Description"].partition("\n")[0],
            "homepage": stanza.get("Homepage"),
            "priority": stanza["Priority"].upper(),
            "essential": stanza.get("Essential") == "yes",
            "downloadSize": _integer(stanza.get("Size")),
            "installedSize": _integer(stanza.get("Installed-Size")),
            "sectionName": stanza["Section"],
            "maintainerEmail": email,
        }
        tags = set(re.split(r"[,\s]+", stanza.get("Tag", ""))) - {""}
        self.tags |= tags
        self.package_tags += ({"packageName": name, "tagName": tag} for tag in tags)
        for field, kind in KINDS.items():
            if field in stanza:
                self.dependencies += (_dependency(name, kind, found) for found in relations(stanza[field]))
        if "Provides" in stanza:
            self.provisions += (
                {"packageName": name, "position": r.clause, "targetName": r.name, "version": r.version}
                for r in relations(stanza["Provides"])
            )

    def _targets(self) -> Iterator[Row]:
        provided = {row["targetName"] for row in self.provisions}
        named = {row["targetName"] for row in self.dependencies}
        for name in sorted(self.packages.keys() | provided | named):
            kind = "PACKAGE" if name in self.packages else "VIRTUAL" if name in provided else "MISSING"
            yield {"name": name, "kind": kind}


def _dependency(package: str, kind: str, relation: Relation) -> Row:
    return {
        "packageName": package,
        "kind": kind,
        "clause": relation.clause,
        "alternative": relation.alternative,
        "targetName": relation.name,
        "architecture": relation.architecture,
        "comparison": relation.comparison,
        "version": relation.version,
    }


def _dependency_key(row: Row) -> tuple[str, str, int, int]:
    return row["packageName"], row["kind"], row["clause"], row["alternative"]


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)
