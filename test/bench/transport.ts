/**
 * Echo over one link: how many 100-byte messages a second go there and back, with 1, 64 and 1024 in flight, coalesced
 * per turn as the Network does it, beside a bare TCP socket and a libp2p stream written once per message. Then bulk in
 * 64 KiB messages, and the delay of control messages while bulk runs at full speed. Both ends in one process: compare
 * within a table. `node test/bench/transport.ts [seconds per row]`
 */
import { randomBytes } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { FrameDecoder, encodeFrame } from '../../lib/transport/frames.ts'
import { Libp2pWires } from '../../lib/transport/libp2p.ts'
import { MemoryHub } from '../../lib/transport/memory-hub.ts'
import { MeshNetwork } from '../../lib/transport/mesh.ts'
import type { NetworkListener } from '../../lib/transport/network.ts'
import type { Wire, Wires } from '../../lib/transport/wires.ts'
import { realEnv } from '../conformance/real-env.ts'

const rowMs = Number(process.argv[2] ?? 1) * 1_000
const payload = new Uint8Array(100).fill(7)

interface Echo {
  readonly name: string
  /** Sends one message there; `onBack` is called when it came back. */
  send(): void
  onBack: () => void
  close(): Promise<unknown>
}

interface Row {
  readonly inFlight: number
  readonly perSecond: number
  readonly cpuMicros: number
  readonly p50Micros: number
  readonly p99Micros: number
}

function measure(echo: Echo, inFlight: number): Promise<Row> {
  return new Promise(resolve => {
    const delays: number[] = []
    const sentMs: number[] = []
    let count = 0
    const startMs = performance.now()
    const startCpu = process.cpuUsage()
    let isOver = false
    const send = (): void => {
      sentMs.push(performance.now())
      echo.send()
    }
    echo.onBack = () => {
      const nowMs = performance.now()
      delays.push(nowMs - (sentMs.shift() ?? nowMs))
      count++
      if (nowMs - startMs < rowMs) send()
      else if (!isOver) {
        isOver = true
        const cpu = process.cpuUsage(startCpu)
        const elapsedMs = nowMs - startMs
        setTimeout(() => resolve(rowOf(inFlight, count, elapsedMs, cpu.user + cpu.system, delays)), 100)
      }
    }
    for (let i = 0; i < inFlight; i++) send()
  })
}

function rowOf(inFlight: number, count: number, elapsedMs: number, cpu: number, delays: number[]): Row {
  const sorted = delays.toSorted((a, b) => a - b)
  const at = (ratio: number): number => (sorted[Math.floor(sorted.length * ratio)] ?? 0) * 1_000
  return {
    inFlight,
    perSecond: (count / elapsedMs) * 1_000,
    cpuMicros: cpu / count,
    p50Micros: at(0.5),
    p99Micros: at(0.99),
  }
}

function print(name: string, row: Row): void {
  const cells = [
    name.padEnd(34),
    row.inFlight,
    Math.round(row.perSecond),
    row.cpuMicros.toFixed(1),
    Math.round(row.p50Micros),
    Math.round(row.p99Micros),
  ]
  console.log(cells.map((cell, at) => (at === 0 ? cell : String(cell).padStart(10))).join(' '))
}

function network(wires: Wires, name: string): MeshNetwork {
  const hello = () => ({
    cluster: '',
    member: name,
    name,
    holdsData: true,
    memoryBytes: 0,
    versionMin: 1,
    versionMax: 1,
  })
  return new MeshNetwork({ env: realEnv(), wires, hello, entropy: count => randomBytes(count) })
}

function silentListener(overrides: Partial<NetworkListener<Uint8Array>>): NetworkListener<Uint8Array> {
  const nothing = (): void => undefined
  return {
    message: nothing,
    linkUp: nothing,
    linkDown: nothing,
    laneReset: nothing,
    refused: nothing,
    heard: nothing,
    ...overrides,
  }
}

async function linked(wires: () => Wires): Promise<{
  near: MeshNetwork
  far: MeshNetwork
  on: { near: (lane: string, body: Uint8Array) => void; far: (lane: string, body: Uint8Array) => void }
}> {
  const near = network(wires(), 'near')
  const far = network(wires(), 'far')
  const nothing: (lane: string, body: Uint8Array) => void = () => {}
  const on = { near: nothing, far: nothing }
  const up = Promise.withResolvers<void>()
  await far.start(silentListener({ message: (_, lane, body) => on.far(lane, body) }))
  await near.start(silentListener({ message: (_, lane, body) => on.near(lane, body), linkUp: () => up.resolve() }))
  near.connect({ addresses: far.self.addresses })
  await up.promise
  return { near, far, on }
}

async function networkEcho(name: string, wires: () => Wires): Promise<Echo> {
  const { near, far, on } = await linked(wires)
  const echo: Echo = {
    name,
    send: () => near.send('far', 'data', payload),
    onBack: () => {},
    close: () => Promise.all([near.stop(), far.stop()]),
  }
  on.far = (_, body) => far.send('near', 'data', body)
  on.near = () => echo.onBack()
  return echo
}

async function tcpEcho(): Promise<Echo> {
  const frame = encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: payload })
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, socket => {
    sockets.push(socket)
    socket.on('data', chunk => socket.write(chunk))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
  const decoder = new FrameDecoder(1_000)
  let queued: Uint8Array[] = []
  const echo: Echo = {
    name: 'bare TCP, coalesced',
    send: () => {
      if (queued.length === 0)
        setImmediate(() => {
          socket.write(Buffer.concat(queued))
          queued = []
        })
      queued.push(frame)
    },
    onBack: () => {},
    close: async () => {
      for (const each of [socket, ...sockets]) each.destroy()
      server.close()
    },
  }
  socket.on('data', chunk =>
    decoder.push(chunk, () => {
      echo.onBack()
      return true
    }),
  )
  return echo
}

/** The naive use: one write a message. */
async function perMessageEcho(): Promise<Echo> {
  const frame = encodeFrame({ kind: 'whole', version: 1, lane: 'data', session: 1, body: payload })
  const near = new Libp2pWires({ listen: [] })
  const far = new Libp2pWires({ listen: ['127.0.0.1:0'] })
  const accepted = Promise.withResolvers<Wire>()
  const [address] = await far.start(wire => accepted.resolve(wire))
  await near.start(() => {})
  if (address === undefined) throw new Error('not listening')
  const wire = await near.dial(address, AbortSignal.timeout(5_000))
  const decoders = [new FrameDecoder(1_000), new FrameDecoder(1_000)] as const
  const echo: Echo = {
    name: 'libp2p wire, a write per message',
    send: () => wire.write(frame.slice()),
    onBack: () => {},
    close: () => Promise.all([near.stop(), far.stop()]),
  }
  const take = (decoder: FrameDecoder, act: () => void) => ({
    bytes: (chunk: Uint8Array) =>
      decoder.push(chunk, () => {
        act()
        return true
      }),
    drain: () => {},
    closed: () => {},
  })
  wire.open(take(decoders[0], () => echo.onBack()))
  wire.write(frame.slice())
  const there = await accepted.promise
  there.open(take(decoders[1], () => there.write(frame.slice())))
  return echo
}

async function bulk(wires: () => Wires): Promise<void> {
  const { near, far, on } = await linked(wires)
  const piece = new Uint8Array(65_536).fill(9)
  let bytes = 0
  const delays: number[] = []
  const startMs = performance.now()
  const isOver = Promise.withResolvers<void>()
  on.far = (lane, body) => {
    if (lane === 'control') return far.send('near', 'control', body)
    bytes += body.length
    // a window of 4 MiB, as transfers keep theirs
    if (performance.now() - startMs < rowMs) far.send('near', 'data', payload)
    else isOver.resolve()
  }
  let pingMs = performance.now()
  on.near = lane => {
    if (lane === 'data') return near.send('far', 'bulk', piece)
    delays.push(performance.now() - pingMs)
    setTimeout(() => {
      pingMs = performance.now()
      near.send('far', 'control', payload)
    }, 2)
  }
  near.send('far', 'control', payload)
  for (let i = 0; i < 64; i++) near.send('far', 'bulk', piece)
  await isOver.promise
  const sorted = delays.toSorted((a, b) => a - b)
  const at = (ratio: number): string => (sorted[Math.floor(sorted.length * ratio)] ?? 0).toFixed(1)
  console.log(
    `bulk ${(bytes / 1e6 / ((performance.now() - startMs) / 1_000)).toFixed(0)} MB/s; control round trip beside it p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1 - 1e-9)} ms`,
  )
  await Promise.all([near.stop(), far.stop()])
}

async function linkTimes(): Promise<void> {
  const startMs = performance.now()
  const first = await linked(() => new Libp2pWires({ listen: ['127.0.0.1:0'] }))
  const coldMs = performance.now() - startMs
  await Promise.all([first.near.stop(), first.far.stop()])
  const warm: number[] = []
  for (let i = 0; i < 10; i++) {
    const near = network(new Libp2pWires({ listen: ['127.0.0.1:0'] }), 'near')
    const far = network(new Libp2pWires({ listen: ['127.0.0.1:0'] }), 'far')
    const up = Promise.withResolvers<void>()
    await far.start(silentListener({}))
    await near.start(silentListener({ linkUp: () => up.resolve() }))
    const dialMs = performance.now()
    near.connect({ addresses: far.self.addresses })
    await up.promise
    warm.push(performance.now() - dialMs)
    await Promise.all([near.stop(), far.stop()])
  }
  warm.sort((a, b) => a - b)
  console.log(
    `import, two starts and a link: ${coldMs.toFixed(0)} ms; dial to link up, warm: median ${(warm[5] ?? 0).toFixed(1)} ms`,
  )
}

await linkTimes()
console.log(
  ['100-byte echo'.padEnd(34), 'in flight', 'msg/s', 'CPU us/msg', 'p50 us', 'p99 us']
    .map((cell, at) => (at === 0 ? cell : cell.padStart(10)))
    .join(' '),
)
const hub = new MemoryHub()
const kinds: (() => Promise<Echo>)[] = [
  tcpEcho,
  perMessageEcho,
  () => networkEcho('Network over libp2p', () => new Libp2pWires({ listen: ['127.0.0.1:0'] })),
  () => networkEcho('Network in one process', () => hub.wires()),
]
for (const kind of kinds) {
  const echo = await kind()
  await measure(echo, 64)
  for (const inFlight of [1, 64, 1024]) print(echo.name, await measure(echo, inFlight))
  await echo.close()
}
await bulk(() => new Libp2pWires({ listen: ['127.0.0.1:0'] }))
