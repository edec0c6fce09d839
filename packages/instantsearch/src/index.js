import { isFacetSearch, toSearch } from './request.js'
import { Document } from './document.js'
import { facetHits, searchResponse } from './response.js'

const KEPT = 200

/** An answer of lamDB that is an error. `code` is that of lamDB's documentation, `status` that of HTTP. */
export class LamdbSearchError extends Error {
  constructor(message, { code, status } = {}) {
    super(message)
    this.name = 'LamdbSearchError'
    this.code = code
    this.status = status
  }
}

/**
 * Returns a search client for InstantSearch. All searches of one rendering are one HTTP request, and the counts of a
 * disjunctive facet come with the search that is refined by it.
 */
export function createSearchClient({ url = '/graphql', indices, token, headers = {}, fetch, cache = true }) {
  if (!indices || !Object.keys(indices).length) throw new TypeError('`indices` is missing: what is there to search?')
  for (const [name, index] of Object.entries(indices)) {
    const model = (index.of ? indices[index.of] : index)?.model
    if (!model) throw new TypeError(`The index ${name} has no \`model\`, nor an index with one in \`of\`.`)
  }
  const send = fetch ?? globalThis.fetch.bind(globalThis)
  const kept = new Map()

  async function post(body) {
    const given = typeof token === 'function' ? await token() : token
    const response = await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(given ? { authorization: `Bearer ${given}` } : {}),
        ...(typeof headers === 'function' ? await headers() : headers),
      },
      body,
    })
    const text = await response.text()
    let answer
    try {
      answer = JSON.parse(text)
    } catch {
      throw new LamdbSearchError(`The answer with status ${response.status} is not JSON.`, { status: response.status })
    }
    const error = answer.errors?.[0]
    if (error) throw new LamdbSearchError(error.message, { code: error.extensions?.code, status: response.status })
    if (!answer.data) {
      const message = answer.message ?? `The answer with status ${response.status} has no data.`
      throw new LamdbSearchError(message, { status: response.status })
    }
    return answer.data
  }

  async function ask(body) {
    if (!cache) return await post(body)
    const known = kept.get(body)
    if (known) return await known
    const asked = post(body)
    kept.set(body, asked)
    if (kept.size > KEPT) kept.delete(kept.keys().next().value)
    try {
      return await asked
    } catch (error) {
      kept.delete(body)
      throw error
    }
  }

  async function search(requests) {
    if (!requests.length) return { results: [] }
    const document = new Document()
    const places = requests.map((request) => {
      const asked = toSearch(indices, request)
      return { request, asked, name: document.add(asked) }
    })
    const data = await ask(JSON.stringify(document.toJSON()))
    const results = places.map(({ request, asked, name }) =>
      isFacetSearch(request) ? facetHits(asked, data[name]) : searchResponse(asked, data[name])
    )
    return { results }
  }

  return {
    search,
    async searchForFacetValues(requests) {
      const { results } = await search(requests.map((request) => ({ ...request, type: 'facet' })))
      return results
    },
    clearCache() {
      kept.clear()
      return Promise.resolve()
    },
  }
}
