/**
 * Names of queues for whoever asks what there is: those with agreed settings, and those that came into being by a put
 * through a door. The latter are noted in a map of the grid, once per door and name, and forgotten after some days.
 */
import type { Grid } from '../../grid/handles.ts'

const mapName = 'skein.queues'
const remember = '7d'
/** Names that one door keeps in mind as noted; more are noted again. */
const notedMax = 10_000

export class QueueNames {
  readonly #grid: Grid
  readonly #noted = new Set<string>()

  constructor(grid: Grid) {
    this.#grid = grid
  }

  /** Does not wait, and does not matter much: it is for lists. */
  note(name: string): void {
    if (this.#noted.has(name) || this.#grid.definitions(`queue/${name}`).has(`queue/${name}`)) return
    if (this.#noted.size >= notedMax) this.#noted.clear()
    this.#noted.add(name)
    this.#grid
      .map<true>(mapName)
      .put(name, true, { ttl: remember })
      .catch(() => this.#noted.delete(name))
  }

  /** Sorted. */
  async list(): Promise<readonly string[]> {
    const names = new Set([...this.#grid.definitions('queue/').keys()].map(name => name.slice('queue/'.length)))
    for await (const name of this.#grid.map(mapName).keys()) names.add(name)
    return [...names].sort()
  }
}
