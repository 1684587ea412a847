/**
 * A set of positions in order: sorted blocks of at most 512 numbers. The smallest leaves first, new ones mostly come last,
 * and both touch one block; anything else is a binary search. Takes 8 to 16 bytes a position, and never rebuilds itself:
 * a heap over a set took ten times that, and swept out what was stale in one go.
 */
const blockLengthMax = 512

export class Positions {
  // None is empty; each ascends, and all of one are smaller than all of the next.
  readonly #blocks: number[][] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  has(position: number): boolean {
    const block = this.#blocks[this.#locate(position)]
    return block !== undefined && block[rank(block, position)] === position
  }

  /** Returns whether it is new. */
  add(position: number): boolean {
    const number = this.#locate(position)
    const block = this.#blocks[number]
    if (block === undefined) this.#blocks.push([position])
    else {
      const at = rank(block, position)
      if (block[at] === position) return false
      if (at === block.length) block.push(position)
      else block.splice(at, 0, position)
      // The last one is not halved: what comes in order leaves full blocks behind.
      if (block.length > blockLengthMax) {
        const isLast = number === this.#blocks.length - 1
        this.#blocks.splice(number + 1, 0, block.splice(isLast ? blockLengthMax : blockLengthMax / 2))
      }
    }
    this.#size++
    return true
  }

  delete(position: number): boolean {
    const number = this.#locate(position)
    const block = this.#blocks[number]
    if (block === undefined) return false
    const at = rank(block, position)
    if (block[at] !== position) return false
    if (block.length === 1) this.#blocks.splice(number, 1)
    else if (at === 0) block.shift()
    else block.splice(at, 1)
    this.#size--
    return true
  }

  /** The smallest; undefined when empty. */
  first(): number | undefined {
    return this.#blocks[0]?.[0]
  }

  /** The last block that starts at or before the position, or else the first. */
  #locate(position: number): number {
    let low = 0
    let high = this.#blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (((this.#blocks[middle] as number[])[0] as number) <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** How many of the block are smaller. */
function rank(block: readonly number[], position: number): number {
  let low = 0
  let high = block.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((block[middle] as number) < position) low = middle + 1
    else high = middle
  }
  return low
}
