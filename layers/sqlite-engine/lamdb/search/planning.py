"""Plans a query: spellings, prefixes and synonyms of its words, and variants with fewer words."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from lamdb.search.definition import Language, SearchDefinition
from lamdb.search.syntax import Clause, IndexedWord, Query, Term
from lamdb.search.vocabulary import Candidate, Vocabulary, most_edits

_RARE: Final = 5
_RARE_SHARE: Final = 2_000
"""A word that fewer than five documents have, or one in 2,000 of a small table, may be misspelt."""
_CORRECTIONS: Final = 4
_COMPLETIONS: Final = 8
_SHORT_PREFIX: Final = 3
"""Letters from which the index is asked for all words with a beginning. Of shorter ones, it would be most."""
_COMPLETED_DOCUMENTS: Final = 20_000
_MAX_VARIANTS: Final = 10

MISSPELT: Final = 0.6
_BEGUN: Final = 0.8
_SYNONYM: Final = 0.9
_SPLIT: Final = 0.7


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a record may have a word: a term in FTS5's language, and its weight (0 to 1)."""

    term: str
    weight: float
    idf: float
    words: str
    """The words themselves, as people read them."""
    documents: int
    """The number of documents that have the term."""


@dataclass(frozen=True, slots=True)
class Group:
    """The variants of one word of the query: any of them is enough.

    `expression` says more than that if a part of the query has an AND inside an OR.
    """

    variants: tuple[Variant, ...]
    token: IndexedWord | None = None
    """The word in the query's text, if it is a single one."""
    expression: str | None = None
    known: bool = True
    """Whether the word itself occurs."""

    @property
    def idf(self) -> float:
        """How rare the word is."""
        return max(variant.idf for variant in self.variants)

    @property
    def most(self) -> int:
        """The number of documents that may match, at most."""
        return sum(variant.documents for variant in self._apart)

    @property
    def exact(self) -> bool:
        """True if `most` documents match, not fewer."""
        return self.expression is None and len(self._apart) == 1

    @property
    def _apart(self) -> list[Variant]:
        """The variants without words that begin as another variant demands."""
        begun = {variant.term for variant in self.variants if variant.term.endswith("*")}
        return [variant for variant in self.variants if f"{variant.term}*" not in begun]

    def match(self) -> str:
        """The group in FTS5's language."""
        return f"({self.expression or ' OR '.join(variant.term for variant in self.variants)})"


@dataclass(frozen=True, slots=True)
class Expression:
    """A MATCH expression. `phrases` are the group and the variant of each phrase in it, in order.

    At most `most` documents match; with `exact`, so many. `likely` would match if the words were independent.
    """

    text: str
    phrases: tuple[tuple[int, Variant], ...]
    most: int
    likely: float = math.inf
    exact: bool = False


class _Meant(NamedTuple):
    """The words that a misspelt one may stand for, the beginnings of words, and the two words without the
    space between them."""

    words: list[Candidate]
    begun: list[Candidate]
    parts: tuple[str, str] | None

    def all_words(self) -> list[str]:
        return [*(each.word for each in (*self.words, *self.begun)), *(self.parts or ())]


type Counter = Callable[[str], int]
"""The number of documents that match an expression."""


class Planner:
    """Finds what stands for the words of a query."""

    def __init__(
        self,
        definition: SearchDefinition,
        count: Counter,
        vocabulary: Callable[[], Vocabulary],
        documents: int,
        *,
        typos: bool,
        prefix: bool,
        stems: Callable[[Sequence[str]], Sequence[str]],
        announce: Callable[[Sequence[str]], None] | None,
    ) -> None:
        """`stems` gives words as the index has them.

        `announce` is called with words before the documents that have them are counted.
        """
        self._definition = definition
        self._count = count
        self._vocabulary = vocabulary
        self._documents = documents
        self._rare = max(1, min(_RARE, documents // _RARE_SHARE))
        self._typos = typos
        self._stems = stems
        self._announce = announce
        self._prefix = prefix and definition.language is not Language.CJK
        self._synonyms = _synonyms_by_first_word(definition)
        self._meant: dict[tuple[str, bool], _Meant] = {}

    def groups(self, query: Query) -> list[Group]:
        """Returns a group for each clause that counts."""
        clauses = self._without_stop_words(list(query.clauses))
        if self._announce is not None:
            self._announce_meant(clauses, query)
        found: list[Group] = []
        at = 0
        while at < len(clauses):
            length, alternatives = self._synonyms_at(clauses, at)
            last = query.open_ended and at + length == len(clauses) and not query.excluded
            found += self._group(clauses[at : at + length], alternatives, last=last)
            at += length
        return found

    def _without_stop_words(self, clauses: list[Clause]) -> list[Clause]:
        stop = self._definition.stop_words
        kept = [clause for clause in clauses if clause.word is None or clause.word.tokens[0].text not in stop]
        return kept or clauses

    # Synonyms

    def _synonyms_at(self, clauses: Sequence[Clause], at: int) -> tuple[int, list[tuple[str, ...]]]:
        """The number of clauses from `at` on that are a known expression, and what means the same."""
        words = []
        for clause in clauses[at:]:
            if clause.word is None or clause.word.prefix:
                break
            words.append(clause.word.tokens[0].text)
        if words:
            for member, others in self._synonyms.get(words[0], ()):
                if tuple(words[: len(member)]) == member:
                    return len(member), others
        return 1, []

    def _group(
        self, clauses: Sequence[Clause], synonyms: Sequence[tuple[str, ...]], *, last: bool
    ) -> list[Group]:
        others = [self._variant('"' + " ".join(words) + '"', _SYNONYM, " ".join(words)) for words in synonyms]
        if len(clauses) > 1:
            terms = [clause.word for clause in clauses if clause.word is not None]
            own = [self._of_term(term) for term in terms]
            both = " AND ".join(variant.term for variant in own)
            expression = " OR ".join([f"({both})", *(variant.term for variant in others)])
            return [Group((*own, *others), expression=expression)]
        word = clauses[0].word
        if word is None:
            terms = [term for terms in clauses[0].alternatives for term in terms]
            return [Group(tuple(map(self._of_term, terms)), expression=clauses[0].match())]
        group = self._single(word, last=last and self._prefix)
        return [] if group is None else [replace(group, variants=(*group.variants, *others)[:_MAX_VARIANTS])]

    # Single words

    def _single(self, term: Term, *, last: bool) -> Group | None:
        token = term.tokens[0]
        word = token.text
        short = term.prefix and len(word) < _SHORT_PREFIX and self._definition.language is not Language.CJK
        if short:
            term, last = replace(term, prefix=False), True
        own = self._of_term(term)
        documents = self._count(own.term)
        variants = [own]
        if last and not term.prefix:
            if len(word) < _SHORT_PREFIX:
                variants += self._completed(word)
            else:
                begun = self._variant(f"{own.term}*", _BEGUN, word)
                documents = self._count(begun.term)
                variants.append(begun)
        if self._typos and documents < self._rare and most_edits(word):
            variants += self._corrected(word, prefix=last or term.prefix)
        return Group(self._different(variants), token, known=documents > 0)

    def _different(self, variants: Sequence[Variant]) -> tuple[Variant, ...]:
        """The variants without those that the index has as another's word, as it does all of one stem."""
        if len(variants) <= 2:
            return tuple(variants)
        found: dict[tuple[str, bool], Variant] = {}
        for variant in variants:
            key = " ".join(self._stems(variant.words.split())), variant.term.endswith("*")
            known = found.get(key)
            if known is None or known.weight < variant.weight:
                found[key] = variant
        return tuple(found.values())

    def _completed(self, word: str) -> list[Variant]:
        """The most common words that begin with one or two letters."""
        found: list[Variant] = []
        documents = 0
        completions = self._vocabulary().completions(word, _COMPLETIONS)
        if self._announce is not None:
            self._announce([each.word for each in completions])
        for candidate in completions:
            variant = self._variant(f'"{candidate.word}"', _BEGUN, candidate.word)
            documents += self._count(variant.term)
            if found and documents > _COMPLETED_DOCUMENTS:
                break
            if candidate.word != word:
                found.append(variant)
        return found

    def _corrected(self, word: str, *, prefix: bool) -> list[Variant]:
        meant = self._meant_by(word, prefix=prefix)
        found = [self._variant(f'"{each.word}"', _weight(each), each.word) for each in meant.words]
        found += [self._variant(f'"{each.word}"*', _weight(each) * _BEGUN, each.word) for each in meant.begun]
        if meant.parts is not None:
            parts = " ".join(meant.parts)
            found.append(self._variant(f'"{parts}"', _SPLIT, parts))
        return found

    def _meant_by(self, word: str, *, prefix: bool) -> "_Meant":
        """The spellings that a misspelt word may stand for."""
        known = self._meant.get((word, prefix))
        if known is None:
            vocabulary = self._vocabulary()
            known = self._meant[word, prefix] = _Meant(
                vocabulary.corrections(word, _CORRECTIONS),
                vocabulary.prefix_corrections(word, _CORRECTIONS) if prefix else [],
                None if prefix else vocabulary.split(word),
            )
        return known

    def _announce_meant(self, clauses: Sequence[Clause], query: Query) -> None:
        """Announces the corrections of all words at once."""
        announced: list[str] = []
        for clause in clauses:
            term = clause.word
            if not self._typos or term is None or not most_edits(term.tokens[0].text):
                continue
            word = term.tokens[0].text
            last = query.open_ended and clause is clauses[-1] and not query.excluded and self._prefix
            begun = last or term.prefix
            if (
                self._count(f"{self._of_term(term).term}{'*' if last and not term.prefix else ''}")
                < self._rare
            ):
                announced += self._meant_by(word, prefix=begun).all_words()
        if announced and self._announce is not None:
            self._announce(announced)

    def _of_term(self, term: Term) -> Variant:
        return self._variant(term.match(), 1.0, " ".join(token.text for token in term.tokens))

    def _variant(self, term: str, weight: float, words: str) -> Variant:
        documents = self._count(term)
        others = max(self._documents - documents, 0)
        return Variant(term, weight, math.log(1 + (others + 0.5) / (documents + 0.5)), words, documents)


def _weight(candidate: Candidate) -> float:
    return float(MISSPELT ** max(1.0, candidate.edits))


def _synonyms_by_first_word(
    definition: SearchDefinition,
) -> dict[str, list[tuple[tuple[str, ...], list[tuple[str, ...]]]]]:
    found: dict[str, list[tuple[tuple[str, ...], list[tuple[str, ...]]]]] = {}
    for group in definition.synonyms:
        members = [tuple(member.lower().split()) for member in group]
        for member in members:
            if member:
                others = [other for other in members if other not in ((), member)]
                found.setdefault(member[0], []).append((member, others))
    for known in found.values():
        known.sort(key=lambda each: -len(each[0]))
    return found


# Expressions


def all_of(groups: Sequence[Group], documents: int) -> Expression:
    """Returns the expression that wants every group. `documents` are all that there are."""
    text = " AND ".join(group.match() for group in groups)
    most = min(group.most for group in groups)
    return _expression(text, range(len(groups)), groups, most, _together(groups, documents))


def any_of(groups: Sequence[Group]) -> Expression:
    """Returns the expression that is content with any group."""
    most = sum(group.most for group in groups)
    return _expression(" OR ".join(group.match() for group in groups), range(len(groups)), groups, most, most)


def all_but_one_of(groups: Sequence[Group], documents: int) -> Expression:
    """Returns the expression that wants all groups but any one.

    Halves the groups, so that each of n occurs some log2(n) times rather than n.
    """
    text, order = _all_but_one(groups, range(len(groups)))
    most = sum(group.most for group in groups) // (len(groups) - 1)
    likely = sum(
        _together([*groups[:place], *groups[place + 1 :]], documents) for place in range(len(groups))
    )
    return _expression(text, order, groups, most, likely)


def _together(groups: Sequence[Group], documents: int) -> float:
    """The number of documents that have all groups if each is in any document with the same probability."""
    return documents * math.prod(min(1.0, group.most / max(1, documents)) for group in groups)


def _all_but_one(groups: Sequence[Group], places: Sequence[int]) -> tuple[str, list[int]]:
    if len(places) == 2:
        return f"({groups[places[0]].match()} OR {groups[places[1]].match()})", list(places)
    if len(places) == 1:
        return "", []
    middle = len(places) // 2
    parts, order = [], []
    for whole, short in ((places[:middle], places[middle:]), (places[middle:], places[:middle])):
        text = " AND ".join(groups[place].match() for place in whole)
        rest, rest_order = _all_but_one(groups, short)
        parts.append(f"({text} AND {rest})" if rest else f"({text})")
        order += [*whole, *rest_order]
    return f"({' OR '.join(parts)})", order


def _expression(
    text: str, order: Sequence[int], groups: Sequence[Group], most: int, likely: float
) -> Expression:
    phrases = tuple((place, variant) for place in order for variant in groups[place].variants)
    return Expression(text, phrases, most, likely, exact=len(groups) == 1 and groups[0].exact)
