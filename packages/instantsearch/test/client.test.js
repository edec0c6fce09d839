import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createSearchClient, LamdbSearchError } from '../src/index.js'

const INDICES = {
  products: {
    model: 'Product',
    id: 'sku',
    node: 'title tags { name } maker { name }',
    highlight: ['title', 'tags.name', 'maker.name'],
    snippet: ['body:12'],
    facets: ['category', 'brand'],
    hierarchies: { categories: ['category', 'kind'] },
  },
  cheap: { of: 'products', orderBy: { price: 'asc' } },
}
const EMPTY = { totalCount: 0, correctedQuery: null, tookMs: 0.4, facets: [], hits: [] }

/** A client whose server answers every search with `found`; `sent` has the requests. */
function client(found = EMPTY, options = {}) {
  const sent = []
  const fetch = async (url, init) => {
    const body = JSON.parse(init.body)
    sent.push({ url, headers: init.headers, ...body })
    const names = [...body.query.matchAll(/\b(r\d+): search/g)].map(([, name]) => name)
    return new Response(JSON.stringify({ data: Object.fromEntries(names.map((name) => [name, found])) }))
  }
  return { sent, client: createSearchClient({ indices: INDICES, fetch, ...options }) }
}

async function sentFor(params, indexName = 'products') {
  const made = client()
  await made.client.search([{ indexName, params }])
  return made.sent[0]
}

test('several searches are one request', async () => {
  const { sent, client: made } = client()
  const { results } = await made.search([
    { indexName: 'products', params: { query: 'radio', hitsPerPage: 5, page: 2 } },
    { indexName: 'cheap', params: { query: 'tv' } },
  ])
  assert.equal(sent.length, 1)
  assert.deepEqual(results.map((each) => each.index), ['products', 'cheap'])
  const { query, variables } = sent[0]
  assert.deepEqual([variables.q0, variables.t0, variables.s0, variables.q1, variables.t1], ['radio', 5, 10, 'tv', 20])
  assert.match(query, /r1: searchProduct\([^)]*orderBy: \{ price: asc \}/)
  assert.doesNotMatch(query.split('r1:')[0], /orderBy/)
})

test('what people type is never part of the document', async () => {
  for (const text of ['") { x } #', '\0\ud800', '"""', '{', '$q0']) {
    const { query, variables } = await sentFor({ query: text, facetFilters: [`category:${text}`] })
    assert.equal(query, (await sentFor({ query: 'a', facetFilters: ['category:a'] })).query)
    assert.equal(variables.q0, text.replace('\ud800', '\uFFFD'))
  }
})

test('refinements', async () => {
  const cases = [
    [{ facetFilters: [['category:a', 'category:b:c']] }, { f: [['category', ['a', 'b:c']]] }],
    [{ facetFilters: 'category:a' }, { f: [['category', ['a']]] }],
    [{ facetFilters: ['category:a', 'brand:\\-5'] }, { f: [['category', ['a']], ['brand', ['-5']]] }],
    [{ facetFilters: ['tags.name:a', 'tags.name:b'] },
      { f: [['tags_name', ['a']]], w: { tags: { some: { name: { in: ['b'] } } } } }],
    [{ facetFilters: ['category:-a'] }, { w: { OR: [{ NOT: { category: { in: ['a'] } } }] } }],
    [{ facetFilters: [['category:a', 'brand:b']] },
      { w: { OR: [{ category: { in: ['a'] } }, { brand: { in: ['b'] } }] } }],
    [{ facetFilters: [['categories.lvl1:a > b']] }, { f: [['category', ['a']], ['kind', ['b']]] }],
    [{ numericFilters: ['price>=1.5', 'price<=3'] }, { f: [['price', undefined, 1.5, 3]] }],
    [{ numericFilters: ['price=2'] }, { f: [['price', undefined, 2, 2]] }],
    [{ numericFilters: ['price:1 TO 2'] }, { f: [['price', undefined, 1, 2]] }],
    [{ numericFilters: ['price>1', 'price != 3'] }, { w: { AND: [{ price: { gt: 1 } }, { price: { not: 3 } }] } }],
    [{ numericFilters: [['price<1', 'price>=-9e2']] }, { w: { OR: [{ price: { lt: 1 } }, { price: { gte: -900 } }] } }],
    [{ where: { live: true } }, { w: { live: true } }],
  ]
  for (const [params, { f, w }] of cases) {
    const { variables } = await sentFor(params)
    const facets = variables.f0?.map(({ field, values, min, max }) => [field, values, min, max])
    assert.deepEqual(facets, f?.map(([field, values, min, max]) => [field, values, min, max]), JSON.stringify(params))
    assert.deepEqual(variables.w0, w)
  }
})

test('the search for the counts of a disjunctive facet is the search it belongs to', async () => {
  const { sent, client: made } = client()
  const counts = { query: 'a', hitsPerPage: 0, analytics: false, maxValuesPerFacet: 50 }
  await made.search([
    { indexName: 'products', params: { query: 'a', facets: ['category', 'brand'],
      facetFilters: [['category:x'], ['brand:y', 'brand:z']], numericFilters: ['price>=3'] } },
    { indexName: 'products', params: { ...counts, facets: 'category',
      facetFilters: [['brand:y', 'brand:z']], numericFilters: ['price>=3'] } },
    { indexName: 'products', params: { ...counts, facets: 'brand', facetFilters: [['category:x']], numericFilters: ['price>=3'] } },
    // Not that search: another query, another bound.
    { indexName: 'products', params: { ...counts, query: 'b', facets: 'brand', facetFilters: [['category:x']], numericFilters: ['price>=3'] } },
    { indexName: 'products', params: { ...counts, facets: 'brand', facetFilters: [['category:x']] } },
  ])
  const { query, variables } = sent[0]
  assert.equal([...query.matchAll(/: searchProduct/g)].length, 3)
  assert.deepEqual(variables.f0.map(({ field, disjunctive }) => [field, disjunctive]),
    [['category', true], ['brand', true], ['price', undefined]])
})

test('hits', async () => {
  const hit = {
    score: 2, matchedWords: ['red'], objectIDx: 1,
    h_title: '<em>Red</em> radio', h_tags_name: 'small\n<em>red</em>', h_maker_name: '<em>Red</em>', s_body: 'a <em>red</em> one',
    node: { objectID: 7, title: 'Red radio', tags: [{ name: 'small' }, { name: 'red' }], maker: { name: 'Red' } },
  }
  const { client: made } = client({ ...EMPTY, totalCount: 25_000, hits: [hit] })
  const [found] = (await made.search([{ indexName: 'products', params: { query: 'red radio' } }])).results
  assert.equal(found.nbPages, 500, 'hits after the 10,000th are not handed out')
  const [record] = found.hits
  assert.equal(record.objectID, '7')
  assert.deepEqual(record._highlightResult.title,
    { value: '<em>Red</em> radio', matchLevel: 'partial', matchedWords: ['red'], fullyHighlighted: false })
  assert.deepEqual(record._highlightResult.tags.map(({ name }) => [name.value, name.matchLevel]),
    [['small', 'none'], ['<em>red</em>', 'partial']])
  assert.equal(record._highlightResult.maker.name.fullyHighlighted, true)
  assert.deepEqual(record._snippetResult.body, { value: 'a <em>red</em> one', matchLevel: 'partial' })
})

test('facets, their statistics and a hierarchy', async () => {
  const facets = [
    { field: 'category', values: [{ value: 'Audio', count: 3 }, { value: null, count: 1 }], stats: null },
    { field: 'kind', values: [{ value: 'Radios', count: 2 }], stats: null },
    { field: 'price', values: [{ value: '5', count: 2 }], stats: { min: 5, max: 9.5 } },
  ]
  const { client: made } = client({ ...EMPTY, facets })
  const asked = { facets: ['categories.lvl0', 'categories.lvl1', 'price'] }
  const [open, closed] = (await made.search([
    { indexName: 'products', params: { ...asked, facetFilters: [['categories.lvl0:Audio']] } },
    { indexName: 'products', params: asked },
  ])).results
  assert.deepEqual(open.facets['categories.lvl1'], { 'Audio > Radios': 2 })
  const indices = { products: { ...INDICES.products, separator: '/' } }
  const params = { ...asked, facetFilters: [['categories.lvl1:Audio/Radios']] }
  const [other] = (await client({ ...EMPTY, facets }, { indices }).client.search([{ indexName: 'products', params }])).results
  assert.deepEqual(other.facets['categories.lvl1'], { 'Audio/Radios': 2 })
  assert.deepEqual(closed.facets, { 'categories.lvl0': { Audio: 3 }, price: { 5: 2 } })
  assert.deepEqual(open.facets_stats, { price: { min: 5, max: 9.5 } })
})

test('values of a facet by what is typed', async () => {
  const values = ['Ära', 'Red Arrow', 'bar', 'Arrow'].map((value, count) => ({ value, count }))
  const { sent, client: made } = client({ ...EMPTY, facets: [{ field: 'brand', values, stats: null }] })
  const params = { facetName: 'brand', facetQuery: 'aR', maxFacetHits: 3, query: 'x' }
  const [{ facetHits }] = await made.searchForFacetValues([{ indexName: 'products', params }])
  assert.deepEqual(facetHits.map(({ highlighted }) => highlighted), ['<em>Är</em>a', 'Red <em>Ar</em>row', '<em>Ar</em>row'])
  const { results } = await made.search([{ type: 'facet', facet: 'brand', indexName: 'products', params }])
  assert.deepEqual(results[0].facetHits, facetHits)
  assert.equal(sent.length, 1, 'the answer is kept')
  await made.clearCache()
  await made.searchForFacetValues([{ indexName: 'products', params }])
  assert.equal(sent.length, 2)
})

test('tokens and headers', async () => {
  const { sent, client: made } = client(EMPTY, { token: async () => 'abc', headers: { 'x-api-key': 'k' }, url: 'https://db.example.com/graphql' })
  await made.search([{ indexName: 'products' }])
  assert.equal(sent[0].url, 'https://db.example.com/graphql')
  assert.equal(sent[0].headers.authorization, 'Bearer abc')
  assert.equal(sent[0].headers['x-api-key'], 'k')
})

test('errors of the server, which are not kept', async () => {
  const answers = [
    [401, JSON.stringify({ errors: [{ message: 'The token has expired.', extensions: { code: 'UNAUTHORIZED' } }] }), 'UNAUTHORIZED'],
    [502, '<html>', undefined],
    [403, JSON.stringify({ message: 'Forbidden' }), undefined],
  ]
  const made = createSearchClient({
    indices: INDICES,
    fetch: async () => new Response(answers[0][1], { status: answers[0][0] }),
  })
  while (answers.length) {
    await assert.rejects(made.search([{ indexName: 'products' }]), (error) => {
      assert.ok(error instanceof LamdbSearchError)
      assert.deepEqual([error.status, error.code], [answers[0][0], answers[0][2]])
      return true
    })
    answers.shift()
  }
})

test('what cannot be answered is refused before anything is sent', async () => {
  const { sent, client: made } = client()
  for (const params of [
    { filters: 'price > 3' }, { aroundLatLng: '1,2' }, { facetFilters: ['category'] }, { numericFilters: ['price'] },
    { facets: ['a) { b'] }, { facets: ['categories.lvl2'] }, { match: 'ALL) {' },
  ]) {
    await assert.rejects(made.search([{ indexName: 'products', params }]), TypeError, JSON.stringify(params))
  }
  await assert.rejects(made.search([{ indexName: 'nothing' }]), /no index nothing/)
  assert.equal(sent.length, 0)
  assert.throws(() => createSearchClient({ indices: { a: { of: 'b' } } }), /no `model`/)
  assert.throws(() => createSearchClient({}), /`indices` is missing/)
})

test('fields of type Json', async () => {
  const indices = { talks: { model: 'Talk', node: 'name tags more', highlight: ['name', 'tags'], json: ['tags', 'more'] } }
  const hit = {
    score: 1,
    matchedWords: ['red'],
    h_name: 'A talk',
    h_tags: '<em>red</em>\nblue',
    node: { objectID: 't', name: 'A talk', tags: '["red","blue"]', more: null },
  }
  const { sent, client: made } = client({ ...EMPTY, totalCount: 1, hits: [hit] }, { indices })
  const params = { query: 'red', facetFilters: [['tags:red', 'tags:blue']], facets: ['tags'] }
  const { results } = await made.search([{ indexName: 'talks', params }])
  const [found] = results[0].hits
  assert.deepEqual([found.tags, found.more], [['red', 'blue'], null])
  assert.deepEqual(
    found._highlightResult.tags.map(({ value, matchLevel }) => [value, matchLevel]),
    [['<em>red</em>', 'full'], ['blue', 'none']]
  )
  assert.deepEqual(sent[0].variables.f0, [{ field: 'tags', take: 100, values: ['red', 'blue'] }])
  for (const facetFilters of [['tags:-red'], [['tags:red', 'name:x']], ['tags:red', 'tags:blue']]) {
    await assert.rejects(made.search([{ indexName: 'talks', params: { facetFilters } }]), /can be alternatives/)
  }
})
