/** The real-time order of calls and returns, as one counter over a whole run: `a` returned before `b` was called if its number is smaller. */
export class Order {
  #last = 0

  next(): number {
    return ++this.#last
  }
}
