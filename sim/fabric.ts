/**
 * The wires between simulated machines: who listens at which address, how long a packet takes, and the rules in force.
 * Latency is a base drawn per pair plus a jitter with a long tail per packet.
 */
import type { Prng } from '../lib/base/prng.ts'
import type { Channel } from './channel.ts'
import type { SimNetwork } from './network.ts'
import { fateOf, pass, type Fate, type Packet, type Rule } from './rules.ts'
import type { World } from './world.ts'

export interface FabricOptions {
  /** Bounds of the base latency of a pair, one way. Defaults 0.1 and 1 ms. */
  readonly latencyMinMs?: number
  readonly latencyMaxMs?: number
  /** Mean of the jitter; default 0.1 ms. */
  readonly jitterMs?: number
  /** One packet in this many takes `tailMs` more; default 1,000. 0 for none. */
  readonly tailEvery?: number
  /** Default 20 ms. */
  readonly tailMs?: number
}

/** How often held packets look at the rules again, for those that change by themselves. */
const lookIntervalMs = 20

export class Fabric<Body> {
  readonly world: World
  readonly ports: Map<string, SimNetwork<Body>> = new Map()
  /** Some rule loses, doubles or reorders single frames: batches are taken apart. */
  hasDatagrams = false
  /** Sees every body that arrives. */
  watch: (body: Body) => void = () => {}
  readonly #random: Prng
  readonly #options: Required<FabricOptions>
  readonly #rules = new Set<Rule>()
  readonly #baseMs = new Map<string, Map<string, number>>()
  readonly #holding = new Set<Channel<Body>>()
  #isLooking = false

  constructor(world: World, options: FabricOptions = {}) {
    this.world = world
    this.#random = world.random.fork('fabric')
    this.#options = { latencyMinMs: 0.1, latencyMaxMs: 1, jitterMs: 0.1, tailEvery: 1_000, tailMs: 20, ...options }
  }

  /** Puts a rule in force; returns how to lift it. */
  impose(rule: Rule): () => void {
    this.#rules.add(rule)
    return () => {
      this.#rules.delete(rule)
      this.#look()
    }
  }

  fate(packet: Packet): Fate {
    return this.#rules.size === 0 ? pass : fateOf(this.#rules, packet, this.world.nowMs)
  }

  latencyMs(packet: Packet): number {
    const { jitterMs, tailEvery, tailMs } = this.#options
    let ms = this.#base(packet.from, packet.to)
    ms -= jitterMs * Math.log(1 - this.#random.float())
    if (tailEvery > 0 && this.#random.chance(1 / tailEvery)) ms += this.#random.float() * tailMs
    return ms
  }

  retransmitMs(): number {
    return this.#random.float() * 200
  }

  holds(channel: Channel<Body>): void {
    this.#holding.add(channel)
    if (this.#isLooking) return
    this.#isLooking = true
    this.world.after(lookIntervalMs, () => {
      this.#isLooking = false
      this.#look()
    })
  }

  #look(): void {
    for (const channel of this.#holding) {
      channel.release()
      if (channel.heldCount === 0) this.#holding.delete(channel)
    }
    const next = this.#holding.values().next().value
    if (next !== undefined) this.holds(next)
  }

  /** The same in both directions. */
  #base(from: string, to: string): number {
    const known = this.#baseMs.get(from)?.get(to)
    if (known !== undefined) return known
    const ms = this.#random.between(this.#options.latencyMinMs, this.#options.latencyMaxMs)
    this.#basesOf(from).set(to, ms)
    this.#basesOf(to).set(from, ms)
    return ms
  }

  #basesOf(name: string): Map<string, number> {
    let bases = this.#baseMs.get(name)
    if (bases === undefined) this.#baseMs.set(name, (bases = new Map()))
    return bases
  }
}
