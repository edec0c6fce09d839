/** One GraphQL document for all searches of a rendering. */

/** Collects searches. One that differs from another in what a facet is counted over is answered with that one. */
export class Document {
  #searches = []

  /** Adds a search and returns the field of the answer that is its own. */
  add(asked) {
    for (const [number, known] of this.#searches.entries()) {
      if (merges(known, asked)) return `r${number}`
    }
    this.#searches.push({ ...asked, facets: new Map([...asked.facets].map(([name, each]) => [name, { ...each }])) })
    return `r${this.#searches.length - 1}`
  }

  toJSON() {
    const declared = []
    const variables = {}
    const declare = (name, type, value) => {
      declared.push(`$${name}: ${type}`)
      variables[name] = value
      return `$${name}`
    }
    const fields = this.#searches.map((search, number) => field(search, number, declare))
    return { query: `query Search(${declared.join(', ')}) { ${fields.join(' ')} }`, variables }
  }
}

/** Makes a facet of `known` disjunctive if `asked` wants just that: its counts without its own refinement. */
function merges(known, asked) {
  // The helper of InstantSearch marks the searches so that it makes for counts alone.
  if (asked.params.analytics !== false || asked.take !== 0 || asked.counted.length !== 1) return false
  if (asked.facetName || known.facetName || asked.path || known.path) return false
  if (rest(known) !== rest(asked)) return false
  const [name] = asked.counted
  const counted = known.facets.get(name.replaceAll('.', '_'))
  const alone = asked.facets.get(name.replaceAll('.', '_'))
  if (!counted || !counted.take || !alone || chosen(alone) !== '[null,null,null]') return false
  const others = (search) =>
    [...search.facets.values()].filter((each) => each !== counted && each !== alone).map(refinement).filter(Boolean)
  if (others(known).sort().join() !== others(asked).sort().join()) return false
  counted.disjunctive = true
  counted.take = Math.max(counted.take, alone.take)
  return true
}

function rest({ model, query, where, typos, match, fields, distinct }) {
  return JSON.stringify([model, query, where, typos, match, fields, distinct])
}

function chosen({ values, min, max }) {
  return JSON.stringify([values ?? null, min ?? null, max ?? null])
}

function refinement(facet) {
  const text = chosen(facet)
  return text === '[null,null,null]' ? undefined : facet.field + text
}

function field(search, number, declare) {
  const { model } = search
  const given = [`query: ${declare(`q${number}`, 'String!', search.query)}`]
  const where = search.where.length > 1 ? { AND: search.where } : search.where[0]
  if (where) given.push(`where: ${declare(`w${number}`, `${model}WhereInput`, where)}`)
  if (search.facets.size) {
    const facets = [...search.facets.values()]
    given.push(`facets: ${declare(`f${number}`, `[${model}SearchFacetInput!]`, facets)}`)
  }
  given.push(`take: ${declare(`t${number}`, 'Int', search.take)}`, `skip: ${declare(`s${number}`, 'Int', search.skip)}`)
  if (search.orderBy && search.take) given.push(`orderBy: ${literal(search.orderBy)}`)
  if (search.distinct) given.push(`distinct: [${word(search.distinct)}]`)
  if (search.fields.length) given.push(`fields: [${search.fields.join(', ')}]`)
  if (!search.typos) given.push('typos: OFF')
  if (search.match) given.push(`match: ${word(search.match)}`)
  const selected = ['totalCount', 'correctedQuery', 'tookMs']
  if (search.facets.size) selected.push('facets { field values { value count } stats { min max } }')
  if (search.take) {
    const tags = `pre: ${JSON.stringify(search.pre)}, post: ${JSON.stringify(search.post)}, escape: false`
    const marks = [...search.highlights].map(([key, { field, words }]) =>
      words ? `${key}: snippet(field: ${field}, words: ${words}, ${tags})` : `${key}: highlight(field: ${field}, ${tags})`
    )
    const identity = search.node === search.id ? '' : `objectID: ${word(search.id)} `
    selected.push(`hits { score matchedWords ${marks.join(' ')} node { ${identity}${search.node} } }`)
  }
  return `r${number}: search${word(model)}(${given.join(', ')}) { ${selected.join(' ')} }`
}

/** An order as GraphQL writes it: `asc` and `desc` are values of an enum. */
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value === 'string') return word(value)
  return `{ ${Object.entries(value).map(([name, each]) => `${word(name)}: ${literal(each)}`).join(', ')} }`
}

function word(name) {
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name.`)
  return name
}
