/** The kinds of faults, each a draw from the seed: what it strikes, for how long, and how it ends. */
import { doublyServed } from './checkers/one-owner.ts'
import type { Machine } from './machine.ts'
import type { Arena } from './nemesis.ts'
import { cut, cutOneWay, cutPairs, datagram, flapping, slowLink, type Rule } from './rules.ts'

export interface Fault {
  /** For the event log, e.g. 'goose-2 for 1200 ms'. */
  readonly about: string
  /** 0: over at once. */
  readonly lastsMs: number
  /** It may stay for good and the rest of the cluster still has to answer. */
  readonly mayLast: boolean
  begin(): void
  end(): void
}

export const faultKinds = [
  'crash',
  'leave',
  'stop',
  'slow',
  'suspend',
  'wall-jump',
  'slow-disk',
  'split',
  'isolate',
  'one-way',
  'partial',
  'deposed',
  'contested',
  'flapping',
  'slow-link',
  'broken-link',
  'broken-lane',
  'datagrams',
] as const
export type FaultKind = (typeof faultKinds)[number]

/** A fault of the kind, or undefined if none fits now. */
export const faults: Readonly<Record<FaultKind, (arena: Arena) => Fault | undefined>> = {
  crash: arena => {
    const machine = arena.target()
    if (machine === undefined || !arena.mayKill(machine)) return undefined
    const { cluster, random } = arena
    const entry = cluster.state?.partitions.some(({ owner }) => owner === machine.running?.member)
    if (cluster.leader() === machine && entry === true) cluster.observer.count('leader-and-owner-lost')
    return struck(arena, machine, random.chance(0.5) ? random.between(50, 1_500) : random.between(1_500, 10_000), {
      mayLast: true,
      begin: () => machine.crash(),
      end: () => machine.start(),
    })
  },

  leave: arena => {
    const machine = arena.target()
    if (machine === undefined || !arena.mayLeave(machine)) return undefined
    return { about: machine.name, lastsMs: 0, mayLast: false, begin: () => machine.leave(), end: () => {} }
  },

  stop: arena =>
    onProcess(arena, lastingMs(arena, [100, 1_000], [1_000, 8_000]), ({ process }) => ({
      begin: () => process.stop(),
      end: () => process.continue(),
    })),

  slow: arena => {
    const lagMaxMs = arena.random.pick([5, 20, 60, 200, 500]) as number
    return onProcess(arena, lastingMs(arena, [500, 3_000], [3_000, 10_000]), ({ process }) => ({
      begin: () => process.slow({ lagMaxMs }),
      end: () => process.slow(undefined),
    }))
  },

  /** The virtual machine sleeps: its monotonic clock stands still, its wall clock does not. */
  suspend: arena => {
    const machine = arena.target()
    if (machine === undefined) return undefined
    return onProcess(
      arena,
      lastingMs(arena, [100, 1_000], [1_000, 6_000]),
      ({ process }) => ({
        begin: () => {
          machine.clock.suspend()
          process.stop()
        },
        end: () => {
          machine.clock.resume()
          process.continue()
          // The first moment awake is the one in which it may still believe in a lease that ran out.
          arena.world.after(0.001, () => {
            for (const problem of doublyServed(arena.cluster)) arena.cluster.observer.violate('one-owner', problem)
          })
        },
      }),
      machine,
    )
  },

  'wall-jump': arena => {
    const { random, cluster } = arena
    const machine = random.pick(cluster.machines)
    if (machine === undefined) return undefined
    const sizeMs = random.pick([20, 200, 2_000, 60_000, 3_600_000]) as number
    const byMs = Math.round(random.between(-sizeMs, sizeMs))
    return {
      about: `${machine.name} by ${byMs} ms`,
      lastsMs: 0,
      mayLast: false,
      begin: () => machine.clock.jumpWall(byMs),
      end: () => {},
    }
  },

  'slow-disk': arena => {
    const delayMaxMs = arena.random.pick([2, 20, 100]) as number
    return onProcess(arena, lastingMs(arena, [500, 3_000], [3_000, 8_000]), ({ storage }) => ({
      begin: () => storage.delay(delayMaxMs),
      end: () => storage.delay(0),
    }))
  },

  split: arena => {
    const names = arena.random.shuffle(namesOf(arena))
    const at = arena.random.int(1, names.length - 1)
    const sides = [names.slice(0, at), names.slice(at)].toSorted((a, b) => a.length - b.length)
    return onWires(arena, cut(...sides), sides.map(side => side.join(' ')).join(' | '))
  },

  isolate: arena => {
    const machine = arena.target()
    if (machine === undefined) return undefined
    const others = namesOf(arena).filter(name => name !== machine.name)
    return onWires(arena, cut(others, [machine.name]), machine.name)
  },

  'one-way': arena => {
    const machine = arena.target()
    if (machine === undefined) return undefined
    const others = namesOf(arena).filter(name => name !== machine.name)
    const some = arena.random.shuffle(others).slice(0, arena.random.int(1, others.length))
    const rule = arena.random.chance(0.5) ? cutOneWay([machine.name], some) : cutOneWay(some, [machine.name])
    return onWires(arena, rule, `${machine.name} and ${some.join(' ')}`)
  },

  partial: arena => {
    const names = arena.random.shuffle(namesOf(arena))
    const pairs = names.slice(1).map((name, i) => [names[i] as string, name] as const)
    const some = pairs.slice(0, arena.random.int(1, Math.max(1, pairs.length - 1)))
    return onWires(arena, cutPairs(some), some.map(pair => pair.join('-')).join(' '))
  },

  /** An owner and the leader do not hear each other, and everybody else hears both: it is deposed while clients still reach it. */
  deposed: arena => {
    const leader = arena.cluster.leader()
    const owners = arena.cluster.machines.filter(machine => machine !== leader && machine.running !== undefined)
    const owner = arena.random.pick(owners)
    if (leader === undefined || owner === undefined) return undefined
    return onWires(arena, cutPairs([[leader.name, owner.name]]), `${owner.name} by ${leader.name}`)
  },

  /** The leader is cut off while all links are slow: candidates cross each other, and the old leader does not know. */
  contested: arena => {
    const leader = arena.cluster.leader()
    if (leader === undefined) return undefined
    const names = namesOf(arena)
    const others = names.filter(name => name !== leader.name)
    const delayMaxMs = arena.random.pick([10, 40, 120]) as number
    const slow = slowLink(names, delayMaxMs, arena.random.fork('contested'))
    const apart = cut(others, [leader.name])
    const rule: Rule = (packet, nowMs) => {
      const fate = apart(packet, nowMs)
      return fate.kind === 'pass' ? slow(packet, nowMs) : fate
    }
    return onWires(arena, rule, `${leader.name} ${delayMaxMs} ms`)
  },

  flapping: arena => {
    const machine = arena.target()
    if (machine === undefined) return undefined
    const others = namesOf(arena).filter(name => name !== machine.name)
    const intervalMs = arena.random.pick([30, 150, 500, 2_000]) as number
    return onWires(arena, flapping(cut(others, [machine.name]), intervalMs), `${machine.name} every ${intervalMs} ms`)
  },

  'slow-link': arena => {
    const machine = arena.target()
    if (machine === undefined) return undefined
    const delayMaxMs = arena.random.pick([5, 30, 100, 300]) as number
    return onWires(
      arena,
      slowLink([machine.name], delayMaxMs, arena.random.fork('slow-link')),
      `${machine.name} ${delayMaxMs} ms`,
    )
  },

  'broken-link': arena =>
    once(arena, (machine, other) => machine.running?.network.breakLink(other.running?.member ?? '')),

  'broken-lane': arena => {
    const lane = arena.random.pick(['control', 'data', 'data', 'bulk'] as const) as 'control' | 'data' | 'bulk'
    return once(arena, (machine, other) => machine.running?.network.breakLane(other.running?.member ?? '', lane))
  },

  datagrams: arena => {
    const { random, cluster } = arena
    const ratio = random.pick([0.002, 0.01, 0.05]) as number
    const ratios = { lossRatio: ratio, doubleRatio: ratio, strayRatio: ratio, strayMaxMs: 300 }
    const fault = onWires(arena, datagram(ratios, random.fork('datagrams')), `${ratio}`)
    return {
      ...fault,
      begin: () => {
        cluster.fabric.hasDatagrams = true
        fault.begin()
      },
    }
  },
}

function namesOf(arena: Arena): string[] {
  return arena.cluster.machines.map(machine => machine.name)
}

function lastingMs(arena: Arena, short: readonly [number, number], long: readonly [number, number]): number {
  const [min, max] = arena.random.chance(0.6) ? short : long
  return arena.random.between(min, max)
}

function struck(
  arena: Arena,
  machine: Machine,
  lastsMs: number,
  fault: { readonly mayLast: boolean; begin(): void; end(): void },
): Fault {
  return {
    about: `${machine.name} for ${Math.round(lastsMs)} ms`,
    lastsMs,
    mayLast: fault.mayLast,
    begin: () => {
      arena.struck.add(machine)
      fault.begin()
    },
    end: () => {
      arena.struck.delete(machine)
      fault.end()
    },
  }
}

type Running = NonNullable<Machine['running']>

/** A fault of one process; its end does nothing to a process that is no longer the same. */
function onProcess(
  arena: Arena,
  lastsMs: number,
  of: (running: Running) => { begin(): void; end(): void },
  machine: Machine | undefined = arena.target(),
): Fault | undefined {
  if (machine?.running === undefined) return undefined
  return struck(arena, machine, lastsMs, { mayLast: false, ...of(machine.running) })
}

function onWires(arena: Arena, rule: Rule, about: string): Fault {
  const lastsMs = lastingMs(arena, [100, 1_500], [1_500, 8_000])
  let lift = (): void => {}
  return {
    about: `${about} for ${Math.round(lastsMs)} ms`,
    lastsMs,
    mayLast: false,
    begin: () => {
      lift = arena.cluster.fabric.impose(rule)
    },
    end: () => lift(),
  }
}

function once(arena: Arena, act: (machine: Machine, other: Machine) => void): Fault | undefined {
  const [machine, other] = arena.random.shuffle(arena.cluster.machines)
  if (machine === undefined || other === undefined) return undefined
  return {
    about: `${machine.name}-${other.name}`,
    lastsMs: 0,
    mayLast: false,
    begin: () => act(machine, other),
    end: () => {},
  }
}
