/**
 * Stays connected: for each target it dials until a link is up, and again for ever after each loss, with jittered
 * back-off. It also finds out what a lost link means: it dials the address at once, and tells if nobody listens there
 * or somebody else does.
 *
 * What it does not do: admission and the choice among wires (link.ts, mesh.ts); discovery of members (membership).
 */
import type { Env } from '../base/env.ts'
import type { MemberId } from '../base/ids.ts'
import { type Address, formatAddress, parseAddress } from './addresses.ts'
import type { ConnectTarget, NetworkLimits } from './network.ts'
import { DialError } from './wires.ts'

export interface DialerPorts {
  /** Resolves to the member that answered, once its link is up. Rejects with DialError. */
  dial(address: Address, signal: AbortSignal): Promise<MemberId>
  resolve(address: Address): Promise<readonly Address[]>
  isLinked(member: MemberId): boolean
  /** The member is provably not at any of its addresses. */
  refused(member: MemberId, reason: string): void
}

interface Target {
  readonly key: string
  readonly addresses: readonly Address[]
  readonly member: MemberId | undefined
  /** Dialed once to learn whether it is still there; nobody asked to stay connected. */
  readonly isProbe: boolean
  // members found at a seed
  readonly reached: Set<MemberId>
  // rounds since a link to it last held for a while; sets the back-off
  attempt: number
  isRefusalTold: boolean
  // seeds: every address is the own one, nothing left to dial
  isSelf: boolean
  cancelTimer: (() => void) | undefined
  dialing: AbortController | undefined
}

const answeredMax = 1_000

export class Dialer {
  readonly #env: Env
  readonly #limits: NetworkLimits
  readonly #ports: DialerPorts
  readonly #targets = new Map<string, Target>()
  // who answered last at an address, so that a wrong one is not dialed again and again; at answeredMax the oldest goes
  readonly #answered = new Map<string, MemberId>()
  #isStopped = false

  constructor(env: Env, limits: NetworkLimits, ports: DialerPorts) {
    this.#env = env
    this.#limits = limits
    this.#ports = ports
  }

  /** Throws InvalidError if an address is none. */
  connect(target: ConnectTarget): void {
    const addresses = target.addresses.map(parseAddress)
    const key = keyOf(target)
    const before = this.#targets.get(key)
    if (before !== undefined && sameAddresses(before.addresses, addresses)) return
    this.#remove(key)
    this.#add(key, addresses, target.member, false)
  }

  forget(target: ConnectTarget): void {
    this.#remove(keyOf(target))
  }

  /** A link came up. */
  up(member: MemberId): void {
    for (const target of this.#targets.values()) {
      if (target.member !== member) continue
      target.isRefusalTold = false
      target.dialing?.abort()
      target.cancelTimer?.()
    }
  }

  /** A link went down. `isAtOnce`: it had held, so its address is worth a dial now. */
  down(member: MemberId, addresses: readonly string[], isAtOnce: boolean): void {
    let isTarget = false
    for (const target of this.#targets.values()) {
      if (target.member !== member && !target.reached.delete(member)) continue
      isTarget ||= target.member === member
      if (!isAtOnce) this.#later(target)
      else {
        target.attempt = 0
        this.#begin(target)
      }
    }
    if (!isTarget && isAtOnce) this.#probe(member, addresses)
  }

  stop(): void {
    this.#isStopped = true
    for (const key of this.#targets.keys()) this.#remove(key)
  }

  #probe(member: MemberId, addresses: readonly string[]): void {
    const known = addresses.flatMap(text => {
      try {
        return [parseAddress(text)]
      } catch {
        return [] // what another member says of itself
      }
    })
    if (known.length > 0) this.#add(`member ${member}`, known, member, true)
  }

  #add(key: string, addresses: readonly Address[], member: MemberId | undefined, isProbe: boolean): void {
    if (this.#isStopped) return
    const state = { attempt: 0, isRefusalTold: false, isSelf: false, cancelTimer: undefined, dialing: undefined }
    const target: Target = { key, addresses, member, isProbe, reached: new Set(), ...state }
    this.#targets.set(key, target)
    this.#begin(target)
  }

  #remove(key: string): void {
    const target = this.#targets.get(key)
    this.#targets.delete(key)
    target?.cancelTimer?.()
    target?.dialing?.abort()
  }

  #isSatisfied(target: Target): boolean {
    if (target.isSelf) return true
    return target.member === undefined ? target.reached.size > 0 : this.#ports.isLinked(target.member)
  }

  #begin(target: Target): void {
    target.cancelTimer?.()
    target.cancelTimer = undefined
    if (target.dialing !== undefined || this.#isSatisfied(target)) return
    target.dialing = new AbortController()
    void this.#round(target, target.dialing.signal).then(isRefused => {
      target.dialing = undefined
      if (this.#targets.get(target.key) !== target) return
      if (isRefused) this.#tellRefused(target)
      else target.isRefusalTold = false
      if (target.isProbe) this.#remove(target.key)
      else if (!this.#isSatisfied(target)) this.#later(target)
    })
  }

  #later(target: Target): void {
    target.cancelTimer?.()
    const { redialMinMs, redialMaxMs } = this.#limits
    const pauseMs = Math.min(redialMaxMs, redialMinMs * 2 ** Math.min(target.attempt++, 16))
    const dueMs = this.#env.now().monotonicMs + pauseMs * this.#env.random.between(0.5, 1)
    target.cancelTimer = this.#env.at(dueMs, () => this.#begin(target))
  }

  #tellRefused(target: Target): void {
    if (target.member === undefined || target.isRefusalTold || this.#ports.isLinked(target.member)) return
    target.isRefusalTold = true
    this.#ports.refused(
      target.member,
      `nobody, or somebody else, listens at ${target.addresses.map(formatAddress).join(', ')}`,
    )
  }

  /** Dials every address: of a member one after another until it answers, of a seed all. True if each is provably not the member's. Never rejects. */
  async #round(target: Target, signal: AbortSignal): Promise<boolean> {
    const candidates = (await Promise.all(target.addresses.map(address => this.#resolve(address)))).flat()
    if (target.member === undefined) {
      const outcomes = await Promise.all(candidates.map(address => this.#try(target, address, signal)))
      target.isSelf = outcomes.length > 0 && outcomes.every(outcome => outcome === 'self')
      return false
    }
    let isRefused = candidates.length > 0 && target.addresses.every(address => address.kind !== 'dns')
    for (const address of candidates) {
      if (signal.aborted) return false
      const outcome = await this.#try(target, address, signal)
      if (outcome === 'reached') return false
      if (outcome === 'failed') isRefused = false
    }
    return isRefused
  }

  async #resolve(address: Address): Promise<readonly Address[]> {
    try {
      return await this.#ports.resolve(address)
    } catch {
      return [] // tried again in the next round
    }
  }

  async #try(
    target: Target,
    address: Address,
    signal: AbortSignal,
  ): Promise<'reached' | 'refused' | 'self' | 'failed'> {
    const text = formatAddress(address)
    const known = this.#answered.get(text)
    if (known !== undefined && this.#ports.isLinked(known)) return this.#found(target, known)
    const giveUp = new AbortController()
    const cancel = this.#env.at(this.#env.now().monotonicMs + this.#limits.dialTimeoutMs, () => giveUp.abort())
    try {
      const member = await this.#ports.dial(address, AbortSignal.any([signal, giveUp.signal]))
      this.#remember(text, member)
      return this.#found(target, member)
    } catch (error) {
      return error instanceof DialError ? error.kind : 'failed'
    } finally {
      cancel()
    }
  }

  #found(target: Target, member: MemberId): 'reached' | 'refused' {
    if (target.member === undefined) target.reached.add(member)
    return target.member === undefined || target.member === member ? 'reached' : 'refused'
  }

  #remember(text: string, member: MemberId): void {
    this.#answered.delete(text)
    this.#answered.set(text, member)
    if (this.#answered.size > answeredMax) this.#answered.delete(this.#answered.keys().next().value as string)
  }
}

function keyOf(target: ConnectTarget): string {
  return target.member === undefined ? `seed ${target.addresses.join(' ')}` : `member ${target.member}`
}

function sameAddresses(one: readonly Address[], other: readonly Address[]): boolean {
  return (
    one.length === other.length &&
    one.every((address, at) => formatAddress(address) === formatAddress(other[at] as Address))
  )
}
