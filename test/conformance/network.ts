/**
 * What every Network keeps, whatever it stands on. `networkConformance('libp2p', createHarness)` in a test file runs it.
 *
 * A harness hides how bodies look and how time passes: `settle` resolves when the condition holds, on virtual time or
 * on real events, and rejects when that cannot come about any more.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Lane } from '../../lib/base/machine.ts'
import type {
  HelloSource,
  LinkDown,
  LinkHello,
  Network,
  NetworkListener,
  Refusal,
} from '../../lib/transport/network.ts'

export interface PeerOptions {
  readonly name: string
  /** Default ''. May be read again at any time. */
  readonly cluster?: () => string
  /** Default 1 and 1. */
  readonly versionMin?: number
  readonly versionMax?: number
  readonly secret?: string
  /** Default a small one, so that a lane can be overrun. */
  readonly laneUnsentBytesMax?: number
}

export interface NetworkHarness<Body> {
  /** A network not yet started, with fast limits (silence below a second of its time). */
  create(options: PeerOptions & { readonly hello: HelloSource }): Network<Body>
  body(text: string): Body
  text(body: Body): string
  settle(condition: () => boolean): Promise<void>
  /** Called by recorders whenever something was told; a harness on real time looks at its conditions then. */
  poke(): void
  /** The process of that peer is gone: closed links, refused addresses. */
  kill(network: Network<Body>): Promise<void>
  /** Nothing to or from that peer gets through, and nobody is told; `restore` ends it. */
  isolate(network: Network<Body>): void
  restore(network: Network<Body>): void
  /** Makes the bulk lane from this peer to that member run over its limit. Unless given, sends ten megabytes in one turn. */
  readonly overrun?: (network: Network<Body>, member: string) => void
  dispose(): Promise<void>
}

/** What a listener was told, in order. */
export class Recorder<Body> implements NetworkListener<Body> {
  readonly messages: { readonly from: string; readonly lane: Lane; readonly text: string }[] = []
  readonly ups: { readonly hello: LinkHello; readonly version: number }[] = []
  readonly downs: ({ readonly member: string } & LinkDown)[] = []
  readonly resets: { readonly member: string; readonly lane: Lane }[] = []
  readonly refusals: Refusal[] = []
  readonly heardOf: Set<string> = new Set()
  /** Everything in one line each. */
  readonly log: string[] = []
  readonly #harness: NetworkHarness<Body>

  constructor(harness: NetworkHarness<Body>) {
    this.#harness = harness
  }

  message(from: string, lane: Lane, body: Body): void {
    const text = this.#harness.text(body)
    this.messages.push({ from, lane, text })
    this.#note(`message ${from} ${lane} ${text.slice(0, 40)}`)
  }

  linkUp(hello: LinkHello, version: number): void {
    this.ups.push({ hello, version })
    this.#note(`up ${hello.member}`)
  }

  linkDown(member: string, down: LinkDown): void {
    this.downs.push({ member, ...down })
    this.#note(`down ${member} ${down.refused ? 'refused' : 'lost'}`)
  }

  laneReset(member: string, lane: Lane): void {
    this.resets.push({ member, lane })
    this.#note(`reset ${member} ${lane}`)
  }

  refused(refusal: Refusal): void {
    this.refusals.push(refusal)
    this.#note(`refused ${refusal.code}`)
  }

  heard(member: string): void {
    this.heardOf.add(member)
    this.#harness.poke()
  }

  #note(line: string): void {
    this.log.push(line)
    this.#harness.poke()
  }
}

interface Peer<Body> {
  readonly network: Network<Body>
  readonly told: Recorder<Body>
  readonly member: string
}

export interface Abilities {
  /** Secrets are checked. Not so where nothing leaves the process. */
  readonly hasSecrets: boolean
}

export function networkConformance<Body>(
  name: string,
  createHarness: () => NetworkHarness<Body>,
  abilities: Abilities = { hasSecrets: true },
): void {
  describe(`network: ${name}`, () => {
    let harness: NetworkHarness<Body>
    let memberCount = 0

    beforeEach(() => {
      harness = createHarness()
    })
    afterEach(() => harness.dispose())

    async function start(options: PeerOptions): Promise<Peer<Body>> {
      const member = `${options.name}~${++memberCount}`
      const { name: own, cluster = () => '', versionMin = 1, versionMax = 1 } = options
      const hello: HelloSource = () => ({
        cluster: cluster(),
        member,
        name: own,
        holdsData: true,
        memoryBytes: 1_000_000,
        versionMin,
        versionMax,
      })
      const network = harness.create({ ...options, hello })
      const told = new Recorder<Body>(harness)
      await network.start(told)
      return { network, told, member }
    }

    function join(from: Peer<Body>, to: Peer<Body>): void {
      from.network.connect({ addresses: to.network.self.addresses })
    }

    function overrun(from: Peer<Body>, to: Peer<Body>): void {
      if (harness.overrun !== undefined) return harness.overrun(from.network, to.member)
      const body = harness.body('x'.repeat(50_000))
      for (let i = 0; i < 200; i++) from.network.send(to.member, 'bulk', body)
    }

    function isLinked(one: Peer<Body>, other: Peer<Body>): boolean {
      return one.network.links.includes(other.member) && other.network.links.includes(one.member)
    }

    async function pair(a: Partial<PeerOptions> = {}, b: Partial<PeerOptions> = {}): Promise<[Peer<Body>, Peer<Body>]> {
      const one = await start({ name: 'one', ...a })
      const two = await start({ name: 'two', ...b })
      join(one, two)
      await harness.settle(() => isLinked(one, two))
      return [one, two]
    }

    test('tells both ends of a link who is at the other', async () => {
      const [one, two] = await pair()
      expect(one.told.ups).toHaveLength(1)
      expect(one.told.ups[0]?.hello).toMatchObject({ member: two.member, name: 'two', peer: two.network.self.peer })
      expect(one.told.ups[0]?.hello.addresses).toEqual(two.network.self.addresses)
      expect(two.told.ups[0]?.hello).toMatchObject({
        member: one.member,
        name: 'one',
        holdsData: true,
        memoryBytes: 1_000_000,
      })
      expect(two.told.ups[0]?.version).toBe(1)
    })

    test('delivers the messages of each lane in order, in both directions', async () => {
      const [one, two] = await pair()
      for (let i = 0; i < 300; i++) {
        for (const lane of ['bulk', 'data', 'control'] as const) {
          one.network.send(two.member, lane, harness.body(`${lane}-${i}`))
          two.network.send(one.member, lane, harness.body(`back-${lane}-${i}`))
        }
      }
      await harness.settle(() => one.told.messages.length === 900 && two.told.messages.length === 900)
      for (const lane of ['control', 'data', 'bulk'] as const) {
        const texts = two.told.messages.filter(each => each.lane === lane).map(each => each.text)
        expect(texts).toEqual(Array.from({ length: 300 }, (_, i) => `${lane}-${i}`))
      }
      expect(
        one.told.messages.every(each => each.from === two.member && each.text.startsWith(`back-${each.lane}-`)),
      ).toBe(true)
    })

    test('delivers nothing from inside send, and nothing before linkUp', async () => {
      const [one, two] = await pair()
      one.network.send(two.member, 'data', harness.body('x'))
      expect(two.told.messages).toEqual([])
      await harness.settle(() => two.told.messages.length === 1)
      expect(two.told.log.indexOf(`up ${one.member}`)).toBeLessThan(
        two.told.log.findIndex(line => line.startsWith('message')),
      )
    })

    test('carries a large message whole', async () => {
      const [one, two] = await pair()
      const text = 'goose'.repeat(60_000)
      one.network.send(two.member, 'bulk', harness.body(text))
      one.network.send(two.member, 'data', harness.body(`${text}!`))
      await harness.settle(() => two.told.messages.length === 2)
      expect(two.told.messages.find(each => each.lane === 'bulk')?.text === text).toBe(true)
      expect(two.told.messages.find(each => each.lane === 'data')?.text === `${text}!`).toBe(true)
    })

    test('drops what is sent to nobody', async () => {
      const one = await start({ name: 'one' })
      one.network.send('nobody~1', 'control', harness.body('x'))
      one.network.drop('nobody~1', 'no reason')
      expect(one.network.links).toEqual([])
    })

    test('keeps one link between two that dial each other at once', async () => {
      const one = await start({ name: 'one' })
      const two = await start({ name: 'two' })
      join(one, two)
      join(two, one)
      await harness.settle(() => isLinked(one, two))
      // one of the two connections may still have to give way, and take a message with it
      await harness.settle(() => {
        if (one.told.messages.length > 0 && two.told.messages.length > 0) return true
        one.network.send(two.member, 'data', harness.body('a'))
        two.network.send(one.member, 'data', harness.body('b'))
        return false
      })
      expect([one.network.links, two.network.links]).toEqual([[two.member], [one.member]])
      for (const { told } of [one, two]) expect(told.ups.length - told.downs.length).toBe(1)
    })

    test('leaves its own address alone', async () => {
      const one = await start({ name: 'one' })
      const two = await start({ name: 'two' })
      join(one, one)
      join(one, two)
      await harness.settle(() => isLinked(one, two))
      expect(one.network.links).toEqual([two.member])
      expect(one.told.refusals).toEqual([])
    })

    test('dials until somebody listens', async () => {
      const two = await start({ name: 'two' })
      const addresses = two.network.self.addresses
      await harness.kill(two.network)
      const one = await start({ name: 'one' })
      one.network.connect({ addresses, member: two.member })
      await harness.settle(() => one.told.downs.some(down => down.member === two.member && down.refused))
      one.network.forget({ addresses, member: two.member })
      expect(one.network.links).toEqual([])
    })

    test('tells at once that a killed peer is gone: first that the link closed, then that its address refuses', async () => {
      const [one, two] = await pair()
      one.network.connect({ addresses: two.network.self.addresses, member: two.member })
      await harness.kill(two.network)
      await harness.settle(() => one.told.downs.length >= 2)
      expect(one.told.downs.slice(0, 2).map(down => [down.member, down.refused])).toEqual([
        [two.member, false],
        [two.member, true],
      ])
      expect(one.network.links).toEqual([])
    })

    test('tells the other end of a stop', async () => {
      const [one, two] = await pair()
      await one.network.stop()
      await harness.settle(() => two.told.downs.length > 0)
      expect(two.told.downs[0]).toMatchObject({ member: one.member, refused: false })
      const lines = one.told.log.length
      await harness.settle(() => two.told.downs.length > 0)
      expect(one.told.log).toHaveLength(lines)
    })

    test('links again after a drop, in a new session', async () => {
      const [one, two] = await pair()
      one.network.drop(two.member, 'malformed something')
      expect(one.told.downs).toEqual([])
      await harness.settle(() => one.told.downs.length === 1 && two.told.downs.length === 1)
      await harness.settle(() => isLinked(one, two))
      two.network.send(one.member, 'control', harness.body('again'))
      await harness.settle(() => one.told.messages.length === 1)
      const links = one.told.log.filter(line => /^(up|down)/.test(line))
      expect(links).toEqual([`up ${two.member}`, `down ${two.member} lost`, `up ${two.member}`])
    })

    test('refuses another cluster, and tells both why', async () => {
      const one = await start({ name: 'one', cluster: () => 'red' })
      const two = await start({ name: 'two', cluster: () => 'blue' })
      join(one, two)
      await harness.settle(() => one.told.refusals.length > 0 && two.told.refusals.length > 0)
      expect(one.told.refusals[0]?.code).toBe('cluster')
      expect(one.told.refusals[0]?.reason).toContain('blue')
      expect([one.network.links, two.network.links]).toEqual([[], []])
    })

    test('links a member of a cluster to one that belongs to none, and tells when it joined', async () => {
      let cluster = ''
      const [one, two] = await pair({ cluster: () => cluster }, { cluster: () => 'red' })
      expect(two.told.ups[0]?.hello.cluster).toBe('')
      cluster = 'red'
      one.network.announce()
      await harness.settle(() => two.told.ups.length === 2)
      expect(two.told.ups[1]?.hello).toMatchObject({ member: one.member, cluster: 'red' })
      expect(two.told.downs).toEqual([])
    })

    test('parts when two on a link turn out to belong to two clusters', async () => {
      let cluster = ''
      const [one, two] = await pair({ cluster: () => cluster }, { cluster: () => 'red' })
      cluster = 'blue'
      one.network.announce()
      await harness.settle(() => one.told.downs.length > 0 && two.told.downs.length > 0)
      await harness.settle(() => two.told.refusals.length > 0)
      expect(two.told.refusals[0]?.code).toBe('cluster')
    })

    test('speaks the newest version that both know', async () => {
      const [one, two] = await pair({ versionMin: 1, versionMax: 3 }, { versionMin: 2, versionMax: 5 })
      expect([one.told.ups[0]?.version, two.told.ups[0]?.version]).toEqual([3, 3])
    })

    test('refuses a peer with no version in common', async () => {
      const one = await start({ name: 'one', versionMin: 1, versionMax: 1 })
      const two = await start({ name: 'two', versionMin: 2, versionMax: 3 })
      join(one, two)
      await harness.settle(() => one.told.refusals.length > 0 && two.told.refusals.length > 0)
      expect(one.told.refusals[0]?.code).toBe('version')
    })

    // The simulated network carries no secrets: nothing to prove there.
    test.for(abilities.hasSecrets ? ['the secret'] : [])(
      'refuses a peer without %s, once, and admits one that has it',
      async () => {
        const one = await start({ name: 'one', secret: 'grey lag' })
        const two = await start({ name: 'two', secret: 'grey leg' })
        const three = await start({ name: 'three', secret: 'grey lag' })
        join(one, two)
        join(one, three)
        await harness.settle(() => isLinked(one, three) && one.told.refusals.length > 0 && two.told.refusals.length > 0)
        expect([one.told.refusals[0]?.code, two.told.refusals[0]?.code]).toEqual(['secret', 'secret'])
        expect(two.network.links).toEqual([])
      },
    )

    test('resets a lane that runs over, tells both ends, and goes on with what is sent after', async () => {
      const [one, two] = await pair()
      overrun(one, two)
      await harness.settle(() => one.told.resets.length > 0)
      one.network.send(two.member, 'bulk', harness.body('after'))
      await harness.settle(() => two.told.messages.some(each => each.text === 'after') && two.told.resets.length > 0)
      expect(one.told.resets[0]).toEqual({ member: two.member, lane: 'bulk' })
      expect(two.told.resets[0]).toEqual({ member: one.member, lane: 'bulk' })
      expect(two.told.log.findIndex(line => line.startsWith('reset'))).toBeLessThan(
        two.told.log.findIndex(line => line.endsWith('after')),
      )
      expect(one.told.downs).toEqual([])
    })

    test('tells that a peer cut off is silent, and links again when it is heard', async () => {
      const [one, two] = await pair()
      harness.isolate(two.network)
      await harness.settle(() => one.told.downs.length > 0 && two.told.downs.length > 0)
      expect(one.told.downs[0]).toMatchObject({ member: two.member, refused: false })
      harness.restore(two.network)
      await harness.settle(() => isLinked(one, two))
    })

    test('keeps an idle link up, and tells signs of life', async () => {
      const [one, two] = await pair()
      await harness.settle(() => one.told.heardOf.has(two.member) && two.told.heardOf.has(one.member))
      expect([one.told.downs, two.told.downs]).toEqual([[], []])
    })

    test('joins five that know one seed only to that seed', async () => {
      const seed = await start({ name: 'seed' })
      const others = await Promise.all(['a', 'b', 'c', 'd'].map(each => start({ name: each })))
      for (const other of others) join(other, seed)
      await harness.settle(() => others.every(other => isLinked(other, seed)))
      expect([...seed.network.links].sort()).toEqual(others.map(other => other.member).sort())
    })
  })
}
