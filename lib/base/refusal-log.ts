/**
 * What a port refuses, in the log: one line for each cause and remote address a minute, then one with how many more there
 * were. So whoever is refused a thousand times a second is seen, and fills neither the log nor the memory.
 *
 * A port counts a cause by its code, not by its words: random bytes are wrong in many ways. Over `causesMax` in a minute
 * (e.g. from many addresses) all further ones are one.
 */
import type { Env } from './env.ts'

export interface Refused {
  /** 'host:port'; the host alone counts, because each connection has another port. */
  readonly from: string
  /** Stable, e.g. 'malformed', 'too-large'. */
  readonly code: string
  /** What was wrong, for people. */
  readonly reason: string
  /** What to do about it, for people. */
  readonly remedy: string
  /** Tells several at one address apart, where who they are is proven. */
  readonly who?: string | undefined
}

export interface RefusalLogOptions {
  /** Of every line, e.g. 'http.refused'. */
  readonly event: string
  /** Which one it is, for people, e.g. 'HTTP door'. */
  readonly door: string
  /** Told of one by one within a minute. Default 64. */
  readonly causesMax?: number
}

interface Cause {
  readonly host: string
  readonly code: string
  /** Not told of. */
  more: number
  readonly cancel: () => void
}

const causesMaxDefault = 64
const windowMs = 60_000
const others = 'more causes'

export class RefusalLog {
  readonly #env: Env
  readonly #options: RefusalLogOptions
  // of the last minute; at most causesMax, and the others
  readonly #causes = new Map<string, Cause>()
  #isClosed = false

  constructor(env: Env, options: RefusalLogOptions) {
    this.#env = env
    this.#options = options
  }

  tell(refused: Refused): void {
    if (this.#isClosed) return
    const { from, code, reason, remedy, who = '' } = refused
    const host = hostOf(from)
    const key = `${code} ${host} ${who}`
    const known = this.#causes.get(key)
    if (known !== undefined) known.more++
    else if (this.#causes.size < (this.#options.causesMax ?? causesMaxDefault)) {
      this.#remember(key, host, code)
      this.#emit({ from, code, reason, remedy })
    } else this.#tellOthers(refused)
  }

  /** Tells the counts that are open. Nothing is told afterwards. */
  close(): void {
    if (this.#isClosed) return
    for (const key of this.#causes.keys()) this.#end(key)
    this.#isClosed = true
  }

  #tellOthers({ from, code, reason, remedy }: Refused): void {
    const known = this.#causes.get(others)
    if (known !== undefined) return void known.more++
    this.#remember(others, 'elsewhere', others)
    this.#emit({ from, code, reason: `${reason}; further causes within this minute are only counted`, remedy })
  }

  #remember(key: string, host: string, code: string): void {
    const cancel = this.#env.at(this.#env.now().monotonicMs + windowMs, () => this.#end(key))
    this.#causes.set(key, { host, code, more: 0, cancel })
  }

  #end(key: string): void {
    const { host, code, more, cancel } = this.#causes.get(key) as Cause
    cancel()
    this.#causes.delete(key)
    if (more > 0) this.#emit({ from: host, code, reason: `refused ${more} more times within a minute`, more })
  }

  #emit(fields: Readonly<Record<string, string | number>>): void {
    const { event, door } = this.#options
    this.#env.emit({ kind: 'emit', level: 'warn', event, fields: { door, ...fields } })
  }
}

/** '10.0.0.7:51234' -> '10.0.0.7'; what has no port stays as it is. */
function hostOf(from: string): string {
  return from.replace(/:\d+$/, '')
}
