/** What lamDB answers, as Algolia answers it. */

import { levelOf, nameOf } from './request.js'

/** Matches over which lamDB counts facets; of more, it counts the first of them. */
const COUNTED = 50_000

export function searchResponse(asked, found) {
  const hits = asked.take ? found.hits.map((hit, place) => record(asked, hit, asked.skip + place)) : []
  const total = found.totalCount
  const { facets, stats } = counts(asked, found.facets ?? [])
  return {
    index: asked.indexName,
    query: asked.query,
    correctedQuery: found.correctedQuery,
    hits,
    nbHits: total,
    page: asked.page,
    nbPages: asked.hitsPerPage ? Math.ceil(Math.min(total, asked.reach) / asked.hitsPerPage) : 0,
    hitsPerPage: asked.hitsPerPage,
    ...(asked.params.offset === undefined ? {} : { offset: asked.skip, length: asked.hitsPerPage }),
    processingTimeMS: Math.round(found.tookMs),
    exhaustiveNbHits: true,
    exhaustiveFacetsCount: total <= COUNTED,
    exhaustiveTypo: true,
    facets,
    facets_stats: stats,
    params: new URLSearchParams(
      Object.entries(asked.params).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])
    ).toString(),
  }
}

/** Values of a facet in which a word begins with what was typed. */
export function facetHits(asked, found) {
  const { facets } = counts(asked, found.facets ?? [])
  const values = Object.entries(facets[asked.facetName] ?? {})
  const wanted = plain(asked.facetQuery.trim())
  const hits = []
  for (const [value, count] of values) {
    const at = wanted ? begins(value, wanted) : 0
    if (at >= 0) hits.push({ value, count, highlighted: marked(value, at, wanted ? asked.facetQuery.trim().length : 0, asked) })
  }
  return {
    facetHits: hits.slice(0, asked.maxFacetHits),
    exhaustiveFacetsCount: values.length < 1000,
    processingTimeMS: Math.round(found.tookMs),
  }
}

function plain(text) {
  return [...text.normalize('NFC')].map((each) => each.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()[0] ?? '').join('')
}

function begins(value, wanted) {
  const text = plain(value)
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1])) return at
  }
  return -1
}

function marked(value, at, length, { pre, post }) {
  if (!length) return value
  const signs = [...value.normalize('NFC')]
  return signs.slice(0, at).join('') + pre + signs.slice(at, at + length).join('') + post + signs.slice(at + length).join('')
}

function counts(asked, found) {
  const byName = new Map(found.map((facet) => [facet.field, facet]))
  const facets = {}
  const stats = {}
  for (const attribute of asked.counted) {
    const level = levelOf(asked.hierarchies, attribute)
    const facet = byName.get(nameOf(level ? level.fields[level.level] : attribute))
    if (!facet) continue
    const known = facet.values.filter(({ value }) => value !== null)
    if (level) {
      // Values below the first level are those of one parent: the widget asks for no others.
      const parents = (asked.path ?? []).slice(0, level.level)
      if (parents.length < level.level) continue
      facets[attribute] = Object.fromEntries(
        known.map(({ value, count }) => [[...parents, value].join(asked.separator), count])
      )
      continue
    }
    facets[attribute] = Object.fromEntries(known.map(({ value, count }) => [value, count]))
    if (facet.stats) stats[attribute] = { ...facet.stats }
  }
  return { facets, stats }
}

// Hits

function record(asked, hit, place) {
  const { objectID, ...node } = hit.node
  for (const name of asked.json) {
    if (typeof node[name] === 'string') node[name] = JSON.parse(node[name])
  }
  const made = {
    ...node,
    objectID: String(asked.node === asked.id ? node[asked.id] : objectID),
    _highlightResult: {},
    _snippetResult: {},
    __position: place + 1,
    _rankingInfo: { score: hit.score },
  }
  const words = new Set(asked.query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).size
  for (const [key, { attribute, words: isSnippet }] of asked.highlights) {
    const target = isSnippet ? made._snippetResult : made._highlightResult
    if (hit[key] !== null) put(target, attribute, hit[key], node, (text) => match(asked, text, words, isSnippet))
  }
  return made
}

/** Writes the text of `tags.name` where InstantSearch looks for it: in an object, or in a list like the record's. */
function put(target, attribute, text, node, made) {
  const [name, ...below] = attribute.split('.')
  if (!below.length) target[name] = Array.isArray(node?.[name]) ? text.split('\n').map(made) : made(text)
  else if (Array.isArray(node?.[name]) && below.length === 1) {
    target[name] = text.split('\n').map((line) => ({ [below[0]]: made(line) }))
  } else {
    target[name] ??= {}
    put(target[name], below.join('.'), text, node?.[name], made)
  }
}

function match({ pre, post }, value, words, isSnippet) {
  const found = value.split(pre).slice(1).map((part) => part.split(post)[0].toLowerCase())
  const matchedWords = [...new Set(found.flatMap((text) => text.match(/[\p{L}\p{N}]+/gu) ?? []))]
  const matchLevel = !found.length ? 'none' : matchedWords.length >= words ? 'full' : 'partial'
  if (isSnippet) return { value, matchLevel }
  const outside = value.split(pre).map((part, at) => (at ? part.split(post)[1] ?? '' : part)).join('')
  return { value, matchLevel, matchedWords, ...(found.length ? { fullyHighlighted: !/[\p{L}\p{N}]/u.test(outside) } : {}) }
}
