/**
 * What the network may do to one packet, as small functions that compose (after tokio-rs/turmoil's rules): the first
 * rule that does not let a packet pass decides, delays add up.
 *
 * Two families. Links are TCP's: it loses nothing inside a connection, so a cut *holds* packets, and they arrive late
 * if the cut heals before somebody closes the link. Datagram rules lose, double and overtake single packets, which no
 * adapter of ours does, but which every protocol above must stand.
 */
import type { Lane } from '../lib/base/machine.ts'
import type { Prng } from '../lib/base/prng.ts'

export interface Packet {
  /** Names of the machines, e.g. 'goose-1': they outlive the members on them. */
  readonly from: string
  readonly to: string
  readonly kind: 'frame' | 'ping' | 'dial' | 'close'
  readonly lane: Lane
}

export type Fate =
  | { readonly kind: 'pass' }
  /** Arrives this much later; keeps its place in its lane. */
  | { readonly kind: 'after'; readonly delayMs: number }
  /** Waits until a later look at the rules lets it pass; lost when its link goes down before. */
  | { readonly kind: 'hold' }
  | { readonly kind: 'drop' }
  /** Arrives twice. */
  | { readonly kind: 'double' }
  /** Arrives this much later, overtaken by whatever came after it in its lane. */
  | { readonly kind: 'stray'; readonly delayMs: number }

export type Rule = (packet: Packet, nowMs: number) => Fate

export const pass: Fate = { kind: 'pass' }
export const hold: Fate = { kind: 'hold' }
export const drop: Fate = { kind: 'drop' }

/** Cuts every pair of machines that are not on the same side; a machine on no side is cut off alone. */
export function cut(...sides: readonly (readonly string[])[]): Rule {
  const sideOf = new Map(sides.flatMap((side, at) => side.map(name => [name, at] as const)))
  return ({ from, to }) => {
    const side = sideOf.get(from)
    return side !== undefined && side === sideOf.get(to) ? pass : hold
  }
}

/** Cuts what goes from one of `sources` to one of `targets`, and not what comes back. */
export function cutOneWay(sources: readonly string[], targets: readonly string[]): Rule {
  const from = new Set(sources)
  const to = new Set(targets)
  return packet => (from.has(packet.from) && to.has(packet.to) ? hold : pass)
}

/** Cuts single pairs, both ways: a partial partition, in which the two sides share neighbours. */
export function cutPairs(pairs: readonly (readonly [string, string])[]): Rule {
  const cutPair = new Set(pairs.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]))
  return ({ from, to }) => (cutPair.has(`${from} ${to}`) ? hold : pass)
}

/** `rule` holds in every second interval only. */
export function flapping(rule: Rule, intervalMs: number): Rule {
  return (packet, nowMs) => (Math.floor(nowMs / intervalMs) % 2 === 0 ? rule(packet, nowMs) : pass)
}

/** Adds [0, delayMaxMs) to what passes between these machines and others. */
export function slowLink(names: readonly string[], delayMaxMs: number, random: Prng): Rule {
  const slow = new Set(names)
  return ({ from, to }) =>
    slow.has(from) || slow.has(to) ? { kind: 'after', delayMs: random.float() * delayMaxMs } : pass
}

/** Any frame may be lost, doubled, or overtaken. */
export function datagram(
  ratios: {
    readonly lossRatio: number
    readonly doubleRatio: number
    readonly strayRatio: number
    readonly strayMaxMs: number
  },
  random: Prng,
): Rule {
  const doubled: Fate = { kind: 'double' }
  return packet => {
    if (packet.kind !== 'frame') return pass
    let draw = random.float()
    if ((draw -= ratios.lossRatio) < 0) return drop
    if ((draw -= ratios.doubleRatio) < 0) return doubled
    if ((draw -= ratios.strayRatio) < 0) return { kind: 'stray', delayMs: random.float() * ratios.strayMaxMs }
    return pass
  }
}

/** The fate under all `rules`: the first that is neither pass nor after decides; delays add up. */
export function fateOf(rules: Iterable<Rule>, packet: Packet, nowMs: number): Fate {
  let delayMs = 0
  for (const rule of rules) {
    const fate = rule(packet, nowMs)
    if (fate.kind === 'after') delayMs += fate.delayMs
    else if (fate.kind !== 'pass') return fate
  }
  return delayMs > 0 ? { kind: 'after', delayMs } : pass
}
