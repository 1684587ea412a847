/** Draws faults, proposals, questions and configuration changes for a world; the seed decides all of it. */
import { RaftWorld } from './world.ts'

export interface Run {
  readonly world: RaftWorld
  /** Proposals that the caller saw committed. */
  readonly committed: readonly string[]
  readonly recoveryMs: number
  readonly changeCount: number
}

const memberNames = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

/** `ms` of trouble, then none: everything must answer again, and what was committed must be everywhere. */
export function runSeed(
  seed: number,
  ms = 4_000,
  make = (at: number): RaftWorld => new RaftWorld(at, { logLengthMax: 24, itemsPerPartMax: 3 }),
): Run {
  const world = make(seed)
  const { random } = world
  const memberCount = random.int(3, 6)
  const members = memberNames.slice(0, memberCount)
  world.found(members, random.chance(0.5) ? 3 : Math.min(5, memberCount))
  world.faults.lossRatio = random.pick([0, 0, 0.02, 0.2]) as number
  world.faults.duplicateRatio = random.pick([0, 0.1]) as number
  world.faults.delayMaxMs = random.pick([1, 5, 40]) as number
  world.faults.persistMaxMs = random.pick([0, 0, 10, 30]) as number
  const isCrashing = random.chance(0.5)
  const down = new Set<string>()
  const proposed = new Map<number, string>()
  let changeCount = 0
  const endMs = world.nowMs + ms
  while (world.nowMs < endMs) {
    world.run(random.between(1, 60))
    for (let i = random.int(0, 3); i > 0; i--) propose(world, random.pick(members) as string, proposed)
    for (let i = random.int(0, 2); i > 0; i--) world.confirm(random.pick(members) as string)
    if (random.chance(0.12)) disturb(world, members, down, isCrashing)
    if (random.chance(0.05)) changeCount += change(world) ? 1 : 0
    if (random.chance(0.02)) world.input(random.pick(members) as string, { kind: 'resign' })
    if (random.chance(0.1)) world.checker.logMatching()
  }
  world.heal()
  Object.assign(world.faults, { lossRatio: 0, duplicateRatio: 0, delayMaxMs: 1, persistMaxMs: 0 })
  for (const member of members) if (world.node(member).isPaused) revive(world, member, down)
  let id = 0
  const healedAtMs = world.nowMs
  const recoveryMs = world.runUntil(() => {
    const leader = world.leader()
    if (leader === undefined) return false
    const isAnswered = world.results.has(id) || id === 0
    if (world.results.get(id) === 'committed') return isEven(world)
    if (isAnswered || world.nowMs > healedAtMs + 1_000) id = world.propose(leader)
    return false
  }, 5_000)
  world.checker.logMatching()
  const committed = [...proposed].filter(([at]) => world.results.get(at) === 'committed').map(([, name]) => name)
  const furthest = [...world.nodes.values()].reduce((best, node) =>
    node.machine.commitIndex > best.machine.commitIndex ? node : best,
  )
  const { definitions } = furthest.machine.state
  for (const name of committed) if (!definitions.has(name)) world.checker.fail(`${name} was committed and is lost`)
  for (const [at, name] of proposed)
    if (world.results.get(at) === 'dropped' && definitions.has(name))
      world.checker.fail(`${name} was dropped and is there`)
  return { world, committed, recoveryMs, changeCount }
}

/** All members of the configuration are at one commit point. */
function isEven(world: RaftWorld): boolean {
  const leader = world.node(world.leader() as string).machine
  const { voters, learners } = leader.config
  return [...voters, ...learners].every(member => {
    const { machine } = world.node(member)
    return machine.leader === leader.leader && machine.commitIndex >= leader.commitIndex - 2
  })
}

function propose(world: RaftWorld, member: string, proposed: Map<number, string>): void {
  const name = `seen-${proposed.size}`
  const target = world.random.chance(0.8) ? (world.leader() ?? member) : member
  // The id is known only afterwards, and the answer may come at once.
  const id = world.propose(target, { kind: 'define', name, definition: 1, ifAbsent: false })
  proposed.set(id, name)
}

function disturb(world: RaftWorld, members: readonly string[], down: Set<string>, isCrashing: boolean): void {
  const { random } = world
  const one = random.chance(0.5) ? (world.leader() ?? 'a') : (random.pick(members) as string)
  const other = random.pick(members) as string
  switch (random.int(0, 6)) {
    case 0:
      return world.isolate(one)
    case 1:
      return one === other ? undefined : world.cut(one, other)
    case 2:
      return one === other ? undefined : world.cutOneWay(one, other)
    case 3: {
      const mixed = random.shuffle(members)
      const at = random.int(1, mixed.length - 1)
      return world.partition(mixed.slice(0, at), mixed.slice(at))
    }
    case 4:
      if (world.node(one).isPaused) return
      if (isCrashing && random.chance(0.5)) {
        down.add(one)
        world.crash(one)
      } else world.pause(one)
      return world.at(random.between(10, 800), () => {
        if (world.node(one).isPaused) revive(world, one, down)
      })
    default:
      return world.heal()
  }
}

function revive(world: RaftWorld, member: string, down: Set<string>): void {
  if (down.delete(member)) world.restart(member)
  else world.resume(member)
}

/** One step towards a random set of voters, proposed at whoever claims to lead. */
function change(world: RaftWorld): boolean {
  const { random } = world
  const leaders = [...world.nodes.values()].filter(({ machine, isPaused }) => machine.role === 'leader' && !isPaused)
  const leader = random.pick(leaders)
  if (leader === undefined) return false
  const { voters, learners } = leader.machine.config
  const isGrowing = learners.length > 0 && (voters.length < 3 || random.chance(0.5))
  const moved = random.pick(isGrowing ? learners : voters) as string
  const config = isGrowing
    ? { voters: [...voters, moved], learners: learners.filter(member => member !== moved) }
    : { voters: voters.filter(member => member !== moved), learners: [...learners, moved] }
  if (config.voters.length === 0) return false
  return world.results.get(world.propose(leader.member, undefined, config)) !== 'dropped'
}
