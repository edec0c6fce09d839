// Against a server of examples/product-search: LAMDB_URL=http://127.0.0.1:8000 node --test test/
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createSearchClient } from '../src/index.js'

const url = process.env.LAMDB_URL && `${process.env.LAMDB_URL}/graphql`
const indices = {
  products: {
    model: 'Product',
    id: 'sku',
    node: 'title brand price',
    highlight: ['title'],
    snippet: ['description:6'],
    facets: ['category', 'brand', 'price'],
    hierarchies: { categories: ['category', 'kind'] },
  },
  cheapest: { of: 'products', orderBy: { price: 'asc' } },
}
const client = createSearchClient({ url, indices })
const skip = url ? false : 'LAMDB_URL is not set'

async function search(params, indexName = 'products') {
  return (await client.search([{ indexName, params }])).results[0]
}

test('a misspelt word, highlighted', { skip }, async () => {
  const found = await search({ query: 'hedphones', facets: ['*'] })
  assert.equal(found.correctedQuery, 'headphones')
  assert.ok(found.hits.length >= 3)
  assert.match(found.hits[0]._highlightResult.title.value, /<em>headphones<\/em>/)
  assert.deepEqual(Object.keys(found.facets), ['category', 'brand', 'price'])
  assert.deepEqual(found.facets.category, { Audio: found.nbHits })
})

test('refinements, disjunctive counts and a range', { skip }, async () => {
  const all = await search({ facets: ['category', 'price'], hitsPerPage: 0 })
  const params = { facets: ['category', 'price'], facetFilters: [['category:Audio', 'category:Photo']], numericFilters: ['price>=20'] }
  const counts = { facets: ['category'], numericFilters: ['price>=20'], hitsPerPage: 0, analytics: false }
  const [found, disjunctive] = (await client.search([
    { indexName: 'products', params },
    { indexName: 'products', params: counts },
  ])).results
  const alone = await search({ ...counts, analytics: true })
  assert.deepEqual(disjunctive.facets, alone.facets)
  assert.equal(found.nbHits, alone.facets.category.Audio + alone.facets.category.Photo)
  assert.ok(found.facets_stats.price.min >= 20 && all.facets_stats.price.min < 20)
  assert.ok(found.hits.every((hit) => hit.price >= 20))
})

test('a hierarchy', { skip }, async () => {
  const found = await search({ facets: ['categories.lvl0', 'categories.lvl1'], facetFilters: [['categories.lvl1:Audio > Radios']] })
  assert.deepEqual(Object.keys(found.facets['categories.lvl1']), ['Audio > Radios'])
  assert.equal(found.nbHits, found.facets['categories.lvl1']['Audio > Radios'])
})

test('an order, pages', { skip }, async () => {
  const pages = []
  for (let page = 0; page < 99; page++) {
    const found = await search({ hitsPerPage: 7, page }, 'cheapest')
    if (page >= found.nbPages) break
    pages.push(...found.hits)
  }
  assert.deepEqual(pages.map(({ price }) => price), pages.map(({ price }) => price).sort((a, b) => a - b))
  assert.equal(new Set(pages.map(({ objectID }) => objectID)).size, (await search({})).nbHits)
})

test('values of a facet', { skip }, async () => {
  const params = { facetName: 'brand', facetQuery: 'co', query: '' }
  const [{ facetHits }] = await client.searchForFacetValues([{ indexName: 'products', params }])
  assert.deepEqual(facetHits.map(({ highlighted }) => highlighted), ['<em>Co</em>rvus'])
})

test('exclusions and unusual filters', { skip }, async () => {
  const all = await search({ facets: ['category'], hitsPerPage: 0 })
  const others = await search({ facetFilters: ['category:-Audio'] })
  assert.equal(others.nbHits, all.nbHits - all.facets.category.Audio)
  const bounds = await search({ numericFilters: ['price>20', 'price!=29'], hitsPerPage: 100 })
  assert.ok(bounds.hits.length && bounds.hits.every(({ price }) => price > 20 && price !== 29))
})

test('what people type is no error', { skip }, async () => {
  for (const query of ['"', '-', 'a AND', '\0', '\ud800', '*', '🎧', 'x'.repeat(3000)]) {
    assert.equal(typeof (await search({ query, facetFilters: [`category:${query}`] })).nbHits, 'number')
  }
})
