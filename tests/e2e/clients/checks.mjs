/** Named checks of one client, run in turn; what each found is printed as one JSON object. */

import { randomBytes } from 'node:crypto'

/** `checks` maps names to functions, which throw if something is wrong. Prints null or the error by name. */
export async function run(checks) {
  const found = {}
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check()
      found[name] = null
    } catch (error) {
      found[name] = String(error?.stack ?? error)
    }
  }
  console.log(JSON.stringify(found))
  // Some clients keep connections that would keep the process.
  process.exit(0)
}

/** Expect that a promise fails, with all of `parts` in what the error says (its causes' words included). */
export async function fails(promise, ...parts) {
  let error
  try {
    await promise
  } catch (thrown) {
    error = thrown
  }
  if (error === undefined) throw new Error(`nothing failed where ${parts.join(', ')} was expected`)
  const said = []
  for (let each = error; each; each = each.cause) said.push(each.code, each.extendedCode, each.message)
  const text = said.filter(Boolean).join(' | ')
  for (const part of parts) {
    if (!text.includes(part)) throw new Error(`${part} is not in: ${text}`, { cause: error })
  }
  return error
}

export const BIG = 2n ** 62n + 1n
export const BYTES = Uint8Array.from([0, 1, 2, 253, 254, 255])
export const ROWS = 10_000

/** Texts of 1000 characters that can hardly be compressed. */
export function randomTexts(count) {
  return Array.from({ length: count }, () => randomBytes(500).toString('hex'))
}
