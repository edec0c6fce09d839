/** Algolia's search parameters as a search of lamDB. */

const MAX_TAKE = 1000
const MAX_REACH = 10_000
const UNSUPPORTED = [
  'filters', 'optionalFilters', 'tagFilters', 'aroundLatLng', 'aroundLatLngViaIP', 'insideBoundingBox', 'insidePolygon',
]
const NUMERIC = /^\s*(.+?)\s*(<=|>=|!=|<|>|=)\s*(-?[\d.]+(?:e[+-]?\d+)?)\s*$/i
const BETWEEN = /^\s*(.+?)\s*:\s*(-?[\d.]+)\s+TO\s+(-?[\d.]+)\s*$/i
const OPERATORS = { '<': 'lt', '>': 'gt', '!=': 'not' }

export function isFacetSearch(request) {
  return request.type === 'facet'
}

/** Returns what a request of InstantSearch asks for, as `Document` writes it and `searchResponse` answers it. */
export function toSearch(indices, request) {
  const { indexName } = request
  const own = indices[indexName]
  if (!own) throw new TypeError(`There is no index ${indexName}; \`indices\` has ${Object.keys(indices).join(', ')}.`)
  const index = own.of ? { ...indices[own.of], ...own } : own
  const params = request.params ?? {}
  for (const name of UNSUPPORTED) {
    if (params[name] !== undefined && params[name].length !== 0 && params[name] !== false) {
      throw new TypeError(`The parameter \`${name}\` is not supported. A filter of lamDB can be given as \`where\`.`)
    }
  }
  const asked = {
    indexName,
    params,
    model: index.model,
    id: index.id ?? 'id',
    node: index.node ?? index.id ?? 'id',
    query: wellFormed(String(params.query ?? request.query ?? '')),
    orderBy: index.orderBy,
    distinct: params.distinct === false || params.distinct === 0 ? undefined : index.distinct,
    typos: String(params.typoTolerance) !== 'false',
    match: params.match ?? index.match,
    fields: (params.restrictSearchableAttributes ?? []).map(nameOf),
    highlights: new Map(),
    facets: new Map(),
    hierarchies: index.hierarchies ?? {},
    json: index.json ?? [],
    separator: index.separator ?? ' > ',
    where: [index.where, params.where].filter(Boolean),
    pre: params.highlightPreTag ?? '<em>',
    post: params.highlightPostTag ?? '</em>',
  }
  page(asked, params, isFacetSearch(request))
  if (asked.take) marks(asked, index, params)
  refine(asked, params)
  if (isFacetSearch(request)) {
    asked.facetName = params.facetName ?? request.facet
    asked.facetQuery = wellFormed(String(params.facetQuery ?? ''))
    asked.maxFacetHits = params.maxFacetHits ?? 10
    asked.counted = [asked.facetName]
    ask(asked, asked.facetName, MAX_TAKE)
    return asked
  }
  asked.counted = [params.facets ?? []].flat().flatMap((name) => (name === '*' ? index.facets ?? [] : [name]))
  for (const name of asked.counted) ask(asked, name, Math.min(params.maxValuesPerFacet ?? 100, MAX_TAKE))
  return asked
}

/** `tags.name` is `tags_name` among the names of searched fields and facets. */
export function nameOf(attribute) {
  const name = String(attribute).replaceAll('.', '_')
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new TypeError(`${JSON.stringify(attribute)} is no attribute.`)
  return name
}

/** Returns the hierarchy that an attribute such as `categories.lvl1` belongs to, and its level; or undefined. */
export function levelOf(hierarchies, attribute) {
  const [, name, level] = /^(.+)\.lvl(\d+)$/.exec(attribute) ?? []
  const fields = name && hierarchies[name]
  if (!fields) return undefined
  if (!fields[level]) throw new TypeError(`The hierarchy ${name} has no level ${level}.`)
  return { fields, level: Number(level) }
}

function page(asked, params, isFacet) {
  const take = isFacet ? 0 : Math.min(params.length ?? params.hitsPerPage ?? 20, MAX_TAKE)
  asked.page = params.page ?? 0
  asked.take = take
  asked.skip = isFacet ? 0 : params.offset ?? asked.page * take
  // Hits beyond that place are not handed out.
  if (asked.skip + take > MAX_REACH) {
    asked.take = Math.max(0, MAX_REACH - asked.skip)
    asked.skip = Math.min(asked.skip, MAX_REACH)
  }
  asked.hitsPerPage = take
  asked.reach = MAX_REACH
}

function marks(asked, index, params) {
  const highlighted = params.attributesToHighlight ?? index.highlight ?? []
  for (const attribute of [highlighted].flat()) {
    asked.highlights.set(`h_${nameOf(attribute)}`, { attribute, field: nameOf(attribute) })
  }
  for (const each of [params.attributesToSnippet ?? index.snippet ?? []].flat()) {
    const [attribute, words] = each.split(':')
    asked.highlights.set(`s_${nameOf(attribute)}`, {
      attribute, field: nameOf(attribute), words: Math.min(Number(words) || 24, 64),
    })
  }
}

function facet(asked, field) {
  const name = nameOf(field)
  if (!asked.facets.has(name)) asked.facets.set(name, { field: name, take: 0 })
  return asked.facets.get(name)
}

function ask(asked, attribute, take) {
  const level = levelOf(asked.hierarchies, attribute)
  const found = facet(asked, level ? level.fields[level.level] : attribute)
  found.take = Math.max(found.take, take)
}

// Refinements

/** A group of facet filters is `a:x`, or several of which one must be true. All groups must be. */
function refine(asked, params) {
  const groups = typeof params.facetFilters === 'string' ? [params.facetFilters] : params.facetFilters ?? []
  for (const group of groups) {
    const chosen = [group].flat().flat().map((text) => filter(text))
    if (!chosen.length) continue
    const attributes = new Set(chosen.map((each) => each.attribute))
    const isPlain = attributes.size === 1 && !chosen.some((each) => each.isExcluded)
    if (isPlain) choose(asked, chosen[0].attribute, chosen.map((each) => each.value))
    else asked.where.push({ OR: chosen.map((each) => condition(asked, each)) })
  }
  for (const group of [params.numericFilters ?? []].flat()) {
    const bounds = [group].flat().flatMap(bound)
    if (Array.isArray(group) && bounds.length > 1) asked.where.push({ OR: bounds.map(comparison) })
    else for (const each of bounds) limit(asked, each)
  }
}

function filter(text) {
  text = wellFormed(text)
  const at = text.indexOf(':')
  if (at < 1) throw new TypeError(`${JSON.stringify(text)} is no facet filter: attribute:value.`)
  const value = text.slice(at + 1)
  const attribute = text.slice(0, at)
  if (value.startsWith('-')) return { attribute, value: value.slice(1), isExcluded: true }
  return { attribute, value: value.startsWith('\\-') ? value.slice(1) : value, isExcluded: false }
}

function choose(asked, attribute, values) {
  const level = levelOf(asked.hierarchies, attribute)
  if (level) {
    const paths = values.map((value) => pathOf(asked, value))
    if (paths.length > 1) {
      asked.where.push({ OR: values.map((value) => condition(asked, { attribute, value })) })
      return
    }
    asked.path = paths[0]
    paths[0].forEach((value, depth) => choose(asked, level.fields[depth], [value]))
    return
  }
  const found = facet(asked, attribute)
  if (found.values === undefined) found.values = values
  else if (values.join('\0') !== found.values.join('\0')) {
    asked.where.push(condition(asked, { attribute, values }))
  }
}

/** The values on the way to one in a hierarchy: `Audio > Radios`. */
function pathOf(asked, value) {
  return value.split(asked.separator)
}

/** A filter of Prisma. The field of a relation is one of a list: others have no two values. */
function condition(asked, { attribute, value, values = [value], isExcluded }) {
  const level = levelOf(asked.hierarchies, attribute)
  if (level) {
    const path = pathOf(asked, value)
    return { AND: path.map((each, depth) => condition(asked, { attribute: level.fields[depth], value: each })) }
  }
  if (asked.json.includes(attribute.split('.')[0])) {
    throw new TypeError(`The values of ${attribute}, which is Json, can be alternatives, and nothing else.`)
  }
  const [field, ...below] = attribute.split('.').reverse()
  const matches = below.reduce((made, relation) => ({ [relation]: { some: made } }), { [field]: { in: values } })
  return isExcluded ? { NOT: matches } : matches
}

function bound(text) {
  const between = BETWEEN.exec(text)
  if (between) {
    return [
      { attribute: between[1], sign: '>=', value: Number(between[2]) },
      { attribute: between[1], sign: '<=', value: Number(between[3]) },
    ]
  }
  const found = NUMERIC.exec(text)
  if (!found || Number.isNaN(Number(found[3]))) throw new TypeError(`${JSON.stringify(text)} is no numeric filter.`)
  return [{ attribute: found[1], sign: found[2], value: Number(found[3]) }]
}

function limit(asked, each) {
  if (each.sign in OPERATORS) {
    asked.where.push(comparison(each))
    return
  }
  const found = facet(asked, each.attribute)
  if (each.sign !== '<=') found.min = Math.max(found.min ?? -Infinity, each.value)
  if (each.sign !== '>=') found.max = Math.min(found.max ?? Infinity, each.value)
}

function comparison({ attribute, sign, value }) {
  const operator = { ...OPERATORS, '<=': 'lte', '>=': 'gte', '=': 'equals' }[sign]
  return { [attribute]: { [operator]: value } }
}

function wellFormed(text) {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD')
}
