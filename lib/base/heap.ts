/** A binary min-heap. Ties leave in the order in which they came, so that a replay is exact. */
export class Heap<T> {
  readonly #nodes: { readonly rank: number; readonly order: number; readonly item: T }[] = []
  #order = 0

  get length(): number {
    return this.#nodes.length
  }

  push(rank: number, item: T): void {
    const nodes = this.#nodes
    const node = { rank, order: this.#order++, item }
    let i = nodes.length
    nodes.push(node)
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = nodes[parent] as (typeof nodes)[number]
      if (!before(node, above)) break
      nodes[i] = above
      i = parent
    }
    nodes[i] = node
  }

  peek(): T | undefined {
    return this.#nodes[0]?.item
  }

  /** The smallest rank; undefined when empty. */
  peekRank(): number | undefined {
    return this.#nodes[0]?.rank
  }

  pop(): T | undefined {
    const nodes = this.#nodes
    const top = nodes[0]
    const last = nodes.pop()
    if (top === undefined || last === undefined || nodes.length === 0) return top?.item
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= nodes.length) break
      const right = nodes[child + 1]
      if (right !== undefined && before(right, nodes[child] as typeof right)) child++
      const below = nodes[child] as typeof last
      if (!before(below, last)) break
      nodes[i] = below
      i = child
    }
    nodes[i] = last
    return top.item
  }

  clear(): void {
    this.#nodes.length = 0
  }
}

function before(
  a: { readonly rank: number; readonly order: number },
  b: { readonly rank: number; readonly order: number },
): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.order < b.order)
}
