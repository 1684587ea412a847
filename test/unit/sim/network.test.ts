import { describe, expect, test } from 'vitest'
import { SimClock } from '../../../sim/clock.ts'
import { Fabric } from '../../../sim/fabric.ts'
import { SimNetwork } from '../../../sim/network.ts'
import { SimProcess } from '../../../sim/env.ts'
import { cut, cutOneWay, datagram, flapping, type Rule } from '../../../sim/rules.ts'
import { World } from '../../../sim/world.ts'
import { Prng } from '../../../lib/base/prng.ts'

interface Node {
  readonly process: SimProcess
  readonly network: SimNetwork<string>
  readonly seen: string[]
}

class Wires {
  readonly world: World
  readonly fabric: Fabric<string>
  readonly nodes = new Map<string, Node>()

  constructor(seed = 1) {
    this.world = new World({ seed })
    this.fabric = new Fabric(this.world)
  }

  start(name: string, ordinal = 1, cluster = ''): Node {
    const clock = new SimClock(this.world, { driftPpm: 0, monotonicStartMs: 0, wallOffsetMs: 0 })
    const process = new SimProcess(this.world, name, clock, () => {})
    const member = `${name}~${ordinal}`
    const network = new SimNetwork<string>({
      fabric: this.fabric,
      process,
      address: `${name}:1`,
      hello: () => ({ cluster, member, name, holdsData: true, memoryBytes: 1, versionMin: 1, versionMax: 1 }),
    })
    const seen: string[] = []
    void network.start({
      message: (from, lane, body) => seen.push(`${from} ${lane} ${body}`),
      linkUp: hello => seen.push(`up ${hello.member}`),
      linkDown: (far, { refused }) => seen.push(`down ${far}${refused ? ' refused' : ''}`),
      laneReset: (far, lane) => seen.push(`reset ${far} ${lane}`),
      refused: ({ code }) => seen.push(`refused ${code}`),
      heard: () => {},
    })
    const node = { process, network, seen }
    this.nodes.set(name, node)
    return node
  }

  pair(): readonly [Node, Node] {
    const a = this.start('a')
    const b = this.start('b')
    a.network.connect({ addresses: ['b:1'], member: 'b~1' })
    b.network.connect({ addresses: ['a:1'], member: 'a~1' })
    this.world.run(this.world.nowMs + 100)
    return [a, b]
  }

  run(ms: number): void {
    this.world.run(this.world.nowMs + ms)
  }

  imposed(rule: Rule, ms: number): void {
    const lift = this.fabric.impose(rule)
    this.run(ms)
    lift()
  }
}

describe('a simulated link', () => {
  test('comes up once at both ends though both dial', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const wires = new Wires(seed)
      const [a, b] = wires.pair()
      expect(a.network.links).toEqual(['b~1'])
      expect(b.network.links).toEqual(['a~1'])
      a.network.send('b~1', 'data', 'x')
      b.network.send('a~1', 'data', 'y')
      wires.run(50)
      expect(a.seen.at(-1)).toBe('b~1 data y')
      expect(b.seen.at(-1)).toBe('a~1 data x')
    }
  })

  test('keeps the order within a lane', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    for (let i = 0; i < 100; i++) wires.world.after(i * 0.05, () => a.network.send('b~1', 'data', String(i)))
    wires.run(200)
    const numbers = b.seen.filter(line => line.includes('data')).map(line => Number(line.split(' ')[2]))
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  test('delivers late what a short cut held, in order', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    const lift = wires.fabric.impose(cut(['a'], ['b']))
    a.network.send('b~1', 'data', '1')
    a.network.send('b~1', 'data', '2')
    wires.run(500)
    expect(b.seen.filter(line => line.includes('data'))).toEqual([])
    lift()
    wires.run(500)
    expect(b.seen.filter(line => line.includes('data'))).toEqual(['a~1 data 1', 'a~1 data 2'])
  })

  test('goes down at both ends after a long cut, loses what it held, and comes up again', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    const lift = wires.fabric.impose(cut(['a'], ['b']))
    a.network.send('b~1', 'data', 'lost')
    wires.run(5_000)
    expect(a.seen).toContain('down b~1')
    expect(b.seen).toContain('down a~1')
    lift()
    wires.run(10_000)
    expect(a.network.links).toEqual(['b~1'])
    a.network.send('b~1', 'data', 'kept')
    wires.run(50)
    expect(b.seen.filter(line => line.includes('data'))).toEqual(['a~1 data kept'])
  })

  test('goes down at both ends when one direction alone is cut', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    wires.imposed(cutOneWay(['a'], ['b']), 5_000)
    expect(b.seen).toContain('down a~1')
    expect(a.seen).toContain('down b~1')
  })

  test('stays up through a cut that flaps faster than silence', () => {
    const wires = new Wires()
    const [a] = wires.pair()
    wires.imposed(flapping(cut(['a'], ['b']), 500), 10_000)
    expect(a.seen).toEqual(['up b~1'])
  })

  test('tells of a crash at once, then that the address refuses', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    b.process.kill()
    b.network.leave(true)
    wires.run(20)
    expect(a.seen).toEqual(['up b~1', 'down b~1', 'down b~1 refused'])
  })

  test('takes another member at the address for proof that the old one is gone', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    b.process.kill()
    b.network.leave(true)
    wires.start('b', 2)
    wires.run(5_000)
    expect(a.seen).toContain('up b~2')
    expect(a.seen).toContain('down b~1 refused')
  })

  test('of a stopped process falls silent and is not refused', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    b.process.stop()
    wires.run(4_000)
    expect(a.seen).toEqual(['up b~1', 'down b~1'])
    b.process.continue()
    wires.run(10_000)
    expect(a.network.links).toEqual(['b~1'])
    expect(b.network.links).toEqual(['a~1'])
  })

  test('is refused between two clusters, with one reason', () => {
    const wires = new Wires()
    const a = wires.start('a', 1, 'red')
    const b = wires.start('b', 1, 'blue')
    a.network.connect({ addresses: ['b:1'] })
    wires.run(10_000)
    expect(a.seen).toEqual(['refused cluster'])
    expect(b.seen).toEqual(['refused cluster'])
  })

  test('loses what was under way on a broken lane, tells both ends, and keeps the other lanes', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    a.network.send('b~1', 'data', 'lost')
    a.network.send('b~1', 'control', 'kept')
    a.network.breakLane('b~1', 'data')
    a.network.send('b~1', 'data', 'after')
    wires.run(50)
    expect(a.seen).toContain('reset b~1 data')
    expect(b.seen.filter(line => !/^(up|down)/.test(line)).toSorted()).toEqual(
      ['a~1 control kept', 'a~1 data after', 'reset a~1 data', 'reset a~1 data'].toSorted(),
    )
  })

  test('may lose, double and reorder frames as datagrams', () => {
    const wires = new Wires()
    const [a, b] = wires.pair()
    wires.fabric.hasDatagrams = true
    const ratios = { lossRatio: 0.1, doubleRatio: 0.1, strayRatio: 0.1, strayMaxMs: 50 }
    wires.fabric.impose(datagram(ratios, new Prng(3)))
    for (let i = 0; i < 500; i++) wires.world.after(i, () => a.network.send('b~1', 'data', String(i)))
    wires.run(2_000)
    const numbers = b.seen.filter(line => line.includes('data')).map(line => Number(line.split(' ')[2]))
    const distinct = new Set(numbers)
    expect(distinct.size).toBeGreaterThan(400)
    expect(distinct.size).toBeLessThan(500)
    expect(numbers.length).toBeGreaterThan(distinct.size)
    expect(numbers).not.toEqual(numbers.toSorted((x, y) => x - y))
  })
})
