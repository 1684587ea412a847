/** Reads through given peers all that a ledger says was acknowledged; what is missing, or there too often, in words. */
import { Redis } from 'ioredis'
import { ask, askJson } from './http.ts'
import type { Ledger, Tally } from './ledger.ts'
import type { ChaosPeer } from './peer.ts'

const batch = 200
const lanes = 16

/** The ledger must rest. Each peer is asked for its share, so that both doors of all are read. */
export async function readBack(peers: readonly ChaosPeer[], ledger: Ledger): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const [at, peer] of peers.entries()) wrong.push(...(await throughResp(peer, ledger, at, peers.length)))
  const peerOf = (at: number): ChaosPeer => peers[at % peers.length] as ChaosPeer
  await each([...ledger.entries], async ([key, value], at) => {
    const answer = await ask(peerOf(at).http, 'GET', `/v1/maps/chaos/${key}`)
    if (answer.status !== 200 || answer.body !== value) wrong.push(`map entry ${key}: ${answer.status} ${answer.body}`)
  })
  await each([...ledger.counters], async ([key, tally], at) => {
    const { value } = await askJson<{ value: number }>(peerOf(at).http, 'GET', `/v1/counters/${key}`)
    judge(`counter ${key}`, value, tally, wrong)
  })
  return wrong
}

async function throughResp(peer: ChaosPeer, ledger: Ledger, share: number, shares: number): Promise<readonly string[]> {
  const [host, port] = (peer.ready?.resp ?? '').split(':')
  const redis = new Redis({ host: host as string, port: Number(port) })
  redis.on('error', () => undefined)
  const wrong: string[] = []
  try {
    const keys = [...ledger.strings].filter((_, at) => at % shares === share)
    for (let from = 0; from < keys.length; from += batch) {
      const part = keys.slice(from, from + batch)
      const values = await redis.mget(part.map(([key]) => key))
      for (const [at, [key, value]] of part.entries())
        if (values[at] !== value) wrong.push(`string ${key} is ${values[at]}`)
    }
    for (const [key, tally] of ledger.respCounters)
      judge(`string counter ${key}`, Number(await redis.get(key)), tally, wrong)
    for (const [key, pushed] of ledger.lists) {
      const counts = new Map<string, number>()
      for (const item of await redis.lrange(key, 0, -1)) counts.set(item, (counts.get(item) ?? 0) + 1)
      for (const item of pushed) if (counts.get(item) !== 1) wrong.push(`item ${item}: ${counts.get(item) ?? 0} times`)
    }
  } finally {
    redis.disconnect()
  }
  return wrong
}

function judge(what: string, value: number, { acknowledged, unknown }: Tally, wrong: string[]): void {
  if (!(value >= acknowledged && value <= acknowledged + unknown))
    wrong.push(`${what} is ${value}, wants ${acknowledged}..${acknowledged + unknown}`)
}

/** Takes all messages out of the queue and settles them: each acknowledged one must come, once. */
export async function emptyQueue(peers: readonly ChaosPeer[], ledger: Ledger): Promise<readonly string[]> {
  const counts = new Map<string, number>()
  const lane = async (at: number): Promise<void> => {
    const base = (peers[at % peers.length] as ChaosPeer).http
    for (;;) {
      const { messages } = await askJson<{ messages: readonly { body: string; token: string }[] }>(
        base,
        'POST',
        '/v1/queues/chaos/receive?max=500&leaseMs=60000&waitMs=500',
      )
      if (messages.length === 0) return
      for (const { body } of messages) counts.set(body, (counts.get(body) ?? 0) + 1)
      await askJson(base, 'POST', '/v1/queues/chaos/ack', { tokens: messages.map(({ token }) => token) })
    }
  }
  await Promise.all(peers.map((_, at) => lane(at)))
  const missing = [...ledger.messages].filter(key => !counts.has(key)).map(key => `message ${key} is lost`)
  const doubled = [...counts].filter(([, count]) => count > 1).map(([key, count]) => `message ${key}: ${count} times`)
  return [...missing, ...doubled]
}

async function each<T>(items: readonly T[], read: (item: T, at: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) await read(items[at] as T, at)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
