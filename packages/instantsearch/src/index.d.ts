/** An index of InstantSearch: a model that is searched, or, with `of`, another index in another order. */
export interface Index {
  /** The model in the Prisma schema. */
  model?: string
  /** The index whose settings this one shares: a replica. */
  of?: string
  /** The field that is a hit's `objectID`; `id` without one. */
  id?: string
  /** The fields of a hit, as GraphQL selects them: `"title price maker { name }"`. */
  node?: string
  /** Searched fields that are highlighted: `["title", "tags.name"]`. */
  highlight?: readonly string[]
  /** Searched fields of which a part is shown, with the number of its words: `["body:24"]`. */
  snippet?: readonly string[]
  /** The facets that `facets: ["*"]` stands for. */
  facets?: readonly string[]
  /** The fields of hierarchical menus: `{ categories: ["category", "kind"] }` for `categories.lvl0` and `.lvl1`. */
  hierarchies?: Readonly<Record<string, readonly string[]>>
  /** Fields of type Json, which hits have as values and not as texts. */
  json?: readonly string[]
  /** Between the values of a hierarchy; `" > "` without one, as the widgets have it. */
  separator?: string
  /** An order in place of relevance, as Prisma writes it: `{ price: "asc" }`. */
  orderBy?: Order | readonly Order[]
  /** A field with one hit for each of its values. */
  distinct?: string
  /** How many words a hit must have. */
  match?: 'ALL_THEN_FEWER' | 'ALL' | 'ANY'
  /** A filter of Prisma that holds for all searches. It is no protection: use a token with a filter for that. */
  where?: Readonly<Record<string, unknown>>
}

export type Order = Readonly<Record<string, 'asc' | 'desc'>>

export interface Options {
  /** The address of the GraphQL endpoint; `/graphql` without one. */
  url?: string
  indices: Readonly<Record<string, Index>>
  /** A token, such as one of `lamdb token search`, or a function that returns one. */
  token?: string | (() => string | undefined | Promise<string | undefined>)
  /** Headers to send with each request. */
  headers?: Readonly<Record<string, string>> | (() => Record<string, string> | Promise<Record<string, string>>)
  fetch?: typeof globalThis.fetch
  /** Whether the answers to the last 200 requests are kept until `clearCache()`. */
  cache?: boolean
}

export interface SearchRequest {
  indexName: string
  params?: Readonly<Record<string, any>>
  type?: 'default' | 'facet'
  facet?: string
}

export interface Highlighted {
  value: string
  matchLevel: 'none' | 'partial' | 'full'
  matchedWords: string[]
  fullyHighlighted?: boolean
}

export type Hit = Record<string, any> & { objectID: string }

export interface SearchResponse {
  index: string
  query: string
  correctedQuery: string | null
  hits: Hit[]
  nbHits: number
  page: number
  nbPages: number
  hitsPerPage: number
  processingTimeMS: number
  facets: Record<string, Record<string, number>>
  facets_stats: Record<string, { min: number; max: number }>
  exhaustiveNbHits: boolean
  exhaustiveFacetsCount: boolean
  params: string
}

export interface FacetResponse {
  facetHits: { value: string; highlighted: string; count: number }[]
  exhaustiveFacetsCount: boolean
  processingTimeMS: number
}

export interface SearchClient {
  search(requests: readonly SearchRequest[]): Promise<{ results: any[] }>
  searchForFacetValues(requests: readonly SearchRequest[]): Promise<any[]>
  clearCache(): Promise<void>
}

export declare class LamdbSearchError extends Error {
  code?: string
  status?: number
}

export declare function createSearchClient(options: Options): SearchClient
