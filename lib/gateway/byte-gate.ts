/**
 * How many bytes of values the doors of one member have on their way into the grid at a time. Members' lanes are bounded, and
 * a lane that overruns is reset and begins again: clients that send faster than copies can be made would keep it
 * resetting. So they wait here, in order of arrival; who waits too long is refused, and nothing happened.
 */
import { UnavailableError } from '../base/errors.ts'
import type { Grid } from '../grid/handles.ts'

/** A larger value goes alone. More fills faster links; less spares slower ones. */
const bytesMax = 1024 * 1024
const waitMsMax = 5_000
/** Counts for what surrounds a value. */
const overheadBytes = 128

interface Waiting {
  readonly bytes: number
  readonly begin: () => void
}

export class ByteGate {
  readonly #grid: Grid
  // of those who passed and have not ended; <= bytesMax, or of one alone
  #bytes = 0
  readonly #waiting = new Set<Waiting>()

  constructor(grid: Grid) {
    this.#grid = grid
  }

  /** Runs it when there is room. Throws UnavailableError if there is none in time. */
  pass<T>(valueBytes: number, run: () => Promise<T>): Promise<T> {
    const bytes = valueBytes + overheadBytes
    if (this.#waiting.size === 0 && this.#hasRoom(bytes)) return this.#run(bytes, run)
    return new Promise((resolve, reject) => {
      const { env } = this.#grid
      const cancel = env.at(env.now().monotonicMs + waitMsMax, () => {
        this.#waiting.delete(waiting)
        reject(new UnavailableError('more is being written than copies can be made of'))
        this.#admit()
      })
      const waiting = {
        bytes,
        begin: (): void => {
          cancel()
          this.#run(bytes, run).then(resolve, reject)
        },
      }
      this.#waiting.add(waiting)
    })
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= bytesMax
  }

  async #run<T>(bytes: number, run: () => Promise<T>): Promise<T> {
    this.#bytes += bytes
    try {
      return await run()
    } finally {
      this.#bytes -= bytes
      this.#admit()
    }
  }

  #admit(): void {
    for (const waiting of this.#waiting) {
      if (!this.#hasRoom(waiting.bytes)) return
      this.#waiting.delete(waiting)
      waiting.begin()
    }
  }
}

const gates = new WeakMap<Grid, ByteGate>()

/** The one of all doors of a member. */
export function gateOf(grid: Grid): ByteGate {
  const found = gates.get(grid)
  if (found !== undefined) return found
  const gate = new ByteGate(grid)
  gates.set(grid, gate)
  return gate
}
