/** Requests of `/v3/pipeline` and their answers, by `fetch`. */

import { DriverAdapterError } from '@prisma/driver-adapter-utils'

import { closedTransaction } from './errors.js'

/** The transaction that a session has seen: what is sent back sees at least as much. */
const TXID_HEADER = 'x-lamdb-txid'

/** With which lamDB executes a request once, however often it is sent. */
const KEY_HEADER = 'idempotency-key'

/** Refusals after which the same request may succeed. */
const TRANSIENT = new Set([429, 502, 503, 504])
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5_000

/** Characters of an answer that is none of the protocol's that an error shows. */
const SHOWN = 200

/** Where the next request of a stream goes, and the baton that it carries. */
export class Stream {
  baton = null
  isClosed = false

  constructor(base) {
    this.base = base
  }
}

export class Pipeline {
  /** The newest transaction seen, as the header has it; undefined before the first answer. */
  txid
  #base
  #config
  #fetch

  constructor(config) {
    this.#base = baseOf(config.url)
    this.#config = config
    this.#fetch = config.fetch ?? globalThis.fetch
    this.txid = config.txid
  }

  open() {
    return new Stream(this.#base)
  }

  /**
   * Send requests and return a result for each.
   *
   * `stream` is null for requests that need none, the last of which must be `close`. A stream that got no
   * answer is closed: nobody knows what became of the request.
   */
  async send(stream, requests) {
    if (stream?.isClosed) throw closedTransaction('The stream of the transaction is closed.')
    const within = stream ?? this.open()
    const isNew = within.baton === null
    let body
    try {
      body = await this.#post(within.base, { baton: within.baton, requests }, isNew)
    } catch (error) {
      within.isClosed = true
      throw error
    }
    within.baton = body.baton ?? null
    within.isClosed = within.baton === null
    if (typeof body.base_url === 'string') within.base = baseOf(body.base_url)
    return body.results
  }

  async #post(base, content, isNew) {
    const url = new URL('v3/pipeline', base)
    const text = JSON.stringify(content)
    const retries = this.#config.retries ?? 0
    // A stream that goes on has its baton, which is used once.
    const key = retries > 0 && isNew ? { [KEY_HEADER]: globalThis.crypto.randomUUID() } : {}
    for (let attempt = 0; ; attempt++) {
      const { body, error, pause } = await this.#attempt(url, text, content.requests.length, key, isNew)
      if (body) return body
      if (pause === undefined || attempt >= retries) throw error
      const backoff = Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE) * (0.5 + Math.random() / 2)
      await new Promise((resolve) => setTimeout(resolve, Math.max(pause, backoff)))
    }
  }

  /** Returns the body, or the error; `pause`: milliseconds to wait at least, if it is worth another attempt. */
  async #attempt(url, text, expected, key, isNew) {
    const init = { method: 'POST', headers: { ...(await this.#headers()), ...key }, body: text }
    if (this.#config.timeout) init.signal = AbortSignal.timeout(this.#config.timeout)
    let response, answer
    try {
      response = await this.#fetch(url.href, init)
      answer = await response.text()
    } catch (error) {
      return { error: unreachable(url, error), pause: 0 }
    }
    this.#see(response.headers.get(TXID_HEADER))
    const body = parsed(answer)
    if (response.ok && Array.isArray(body?.results) && body.results.length === expected) return { body }
    const error = refused(url, response.status, messageOf(body) ?? answer.slice(0, SHOWN).trim(), isNew)
    if (!TRANSIENT.has(response.status)) return { error }
    return { error, pause: Math.min((Number(response.headers.get('retry-after')) || 0) * 1000, LONGEST_PAUSE) }
  }

  async #headers() {
    const { apiKey, authToken, headers } = this.#config
    const token = typeof authToken === 'function' ? await authToken() : authToken
    return {
      ...headers,
      'content-type': 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(apiKey ? { 'x-api-key': apiKey } : {}),
      ...(this.txid === undefined ? {} : { [TXID_HEADER]: this.txid }),
    }
  }

  #see(txid) {
    if (!txid || !/^\d{1,18}$/.test(txid)) return
    if (this.txid === undefined || Number(txid) > Number(this.txid)) this.txid = txid
  }
}

/** The address to which paths are relative: `libsql:` is HTTPS, and the path ends with a slash. */
function baseOf(text) {
  const url = new URL(text.replace(/^libsql:/, 'https:'))
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TypeError(`The URL must begin with https:, http: or libsql:, not ${url.protocol}`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a refusal says, in the protocol's words, GraphQL's or API Gateway's. */
function messageOf(body) {
  const said = body?.message ?? body?.errors?.[0]?.message ?? body?.error?.message ?? body?.error
  return typeof said === 'string' ? said : undefined
}

function unreachable(url, error) {
  const originalMessage = `${url.origin}: ${error?.cause?.message ?? error?.message ?? error}`
  if (error?.name === 'TimeoutError') return new DriverAdapterError({ kind: 'SocketTimeout', originalMessage })
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  return new DriverAdapterError({ kind: 'DatabaseNotReachable', host: url.hostname, port, originalMessage })
}

function refused(url, status, message, isNew) {
  const originalMessage = `${url.href} answered ${status}: ${message}`
  const known = { originalCode: String(status), originalMessage }
  switch (status) {
    case 401:
      return new DriverAdapterError({ kind: 'AuthenticationFailed', ...known })
    case 403:
      return new DriverAdapterError({ kind: 'DatabaseAccessDenied', db: url.href, ...known })
    case 404:
      // The endpoint is there for the one who has a stream of it.
      if (isNew) return new DriverAdapterError({ kind: 'DatabaseDoesNotExist', db: url.href, ...known })
      break
    case 408:
    case 504:
      return new DriverAdapterError({ kind: 'SocketTimeout', ...known })
    case 429:
    case 503:
      return new DriverAdapterError({ kind: 'TooManyConnections', cause: message, ...known })
  }
  if (!isNew && status >= 400 && status < 500) return closedTransaction(message)
  return new DriverAdapterError({ kind: 'sqlite', extendedCode: 1, message: originalMessage, ...known })
}
