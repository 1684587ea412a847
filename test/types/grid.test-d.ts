/** What must and must not compile of the embedded grid (API C). `tsc` is the test: each expected error is asserted. */
import { join, secret, type Grid, type GridMap, type Message, type Queue } from '../../lib/index.ts'

interface Cart {
  readonly items: readonly string[]
}

/** API C as it stands, but for `near`. */
export async function shop(ship: (order: Cart, id: string, signal: AbortSignal) => Promise<void>): Promise<void> {
  await using grid = await join({ cluster: 'shop', seeds: ['dns:shop-peers:7400'], secret: secret('SKEIN_SECRET') })
  grid.on('safety', s => console.warn(`can lose ${s.level} more peers: ${s.reason}`))

  const carts = grid.map<Cart>('carts', { ttl: '30m' })
  await carts.update('c42', cart => ({ items: [...(cart?.items ?? []), 'sku-7'] }))
  await grid.queue<Cart>('orders').put({ items: ['sku-7'] }, { group: 'c42' })
  await using worker = grid
    .queue<Cart>('orders')
    .consume(async (order, { id, signal }) => ship(order, id, signal), { concurrency: 8 })
  worker.inHand satisfies number
  await grid.lock('nightly').run(async ({ fence, signal }) => {
    fence satisfies number
    signal satisfies AbortSignal
  })
}

export async function typed(grid: Grid): Promise<void> {
  const carts: GridMap<Cart> = grid.map<Cart>('carts')
  const cart = await carts.get('c42')
  cart?.items satisfies readonly string[] | undefined
  // @ts-expect-error it may be absent
  cart.items satisfies readonly string[]
  // @ts-expect-error another type of value
  await carts.put('c42', { item: 'sku-7' })
  // @ts-expect-error no such unit of time
  grid.map<Cart>('carts', { ttl: '30 minutes' })
  // @ts-expect-error near reads are not offered
  grid.map<Cart>('carts', { near: true })
  ;(await carts.update('c42', () => undefined)) satisfies undefined

  const orders: Queue<Cart> = grid.queue('orders')
  const [message] = await orders.receive({ max: 10, wait: '5s' })
  message satisfies Message<Cart> | undefined
  // @ts-expect-error two durations make a back-off
  grid.queue('orders', { backoff: ['1s'] })

  const moved = await grid.transaction(async tx => {
    const bank = tx.map<number>('bank')
    // @ts-expect-error the value of another type
    bank.put('a', 'much')
    return (await bank.get('a')) ?? 0
  })
  moved satisfies number
  // @ts-expect-error not an event
  grid.on('safetey', () => undefined)
  grid.on('member', ({ state }) => state satisfies 'live' | 'silent' | 'leaving' | 'gone')
  // @ts-expect-error not a setting
  await join({ copys: 2 })
}
