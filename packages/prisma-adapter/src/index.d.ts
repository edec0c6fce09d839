import type { SqlDriverAdapter, SqlDriverAdapterFactory } from '@prisma/driver-adapter-utils'

export interface LamdbConfig {
  /** Address of the database: of a server, a stage or a tenant (`https://…`, `http://…` or `libsql://…`). */
  url: string
  /** Bearer token, or a function that returns the current one before each request. */
  authToken?: string | (() => string | Promise<string>)
  /** Key that is sent as `x-api-key`. */
  apiKey?: string
  /** Headers to send with each request, such as `x-lamdb-consistency`. */
  headers?: Record<string, string>
  /** In place of the global `fetch`: one that signs requests with AWS's Signature Version 4, for example. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Milliseconds to wait for an answer, P1008 after that. Default: no limit but the server's. */
  timeout?: number
  /**
   * How often a request is sent again that got no answer, or 429, 502, 503 or 504. Writes carry an idempotency
   * key then, by which lamDB executes them once; other servers may execute them twice. Default: 0.
   */
  retries?: number
  /** Transaction (`x-lamdb-txid`) that an earlier session has seen; reads then see at least as much. */
  txid?: string
}

/** Factory of driver adapters: `new PrismaClient({ adapter: new PrismaLamdb({ url }) })`. */
export declare class PrismaLamdb implements SqlDriverAdapterFactory {
  constructor(config: LamdbConfig)
  readonly provider: 'sqlite'
  readonly adapterName: string
  connect(): Promise<SqlDriverAdapter>
  /** Newest transaction that this session has seen, to hand on to another; undefined before the first answer. */
  readonly txid: string | undefined
}
