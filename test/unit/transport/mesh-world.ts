/** Meshes in one process on virtual time, with every wire in the hands of the test. */
import { parseAddress } from '../../../lib/transport/addresses.ts'
import { Admission } from '../../../lib/transport/admission.ts'
import { encodeFrame, type Frame, type FrameKind } from '../../../lib/transport/frames.ts'
import { helloCodec, type WireHello } from '../../../lib/transport/hello.ts'
import { MemoryHub } from '../../../lib/transport/memory-hub.ts'
import { MeshNetwork, type MeshOptions } from '../../../lib/transport/mesh.ts'
import type { LinkDown, LinkHello, NetworkListener, Refusal } from '../../../lib/transport/network.ts'
import type { Wire, Wires } from '../../../lib/transport/wires.ts'
import { Stranger } from './stranger.ts'
import { VirtualEnv } from './virtual-env.ts'

/** What a listener was told, a line each. */
export class Told implements NetworkListener<Uint8Array> {
  readonly log: string[] = []
  readonly refusals: Refusal[] = []
  readonly ups: LinkHello[] = []
  onMessage: (from: string) => void = () => undefined
  message(from: string, lane: string, body: Uint8Array): void {
    this.log.push(`message ${from} ${lane} ${body.length}`)
    this.onMessage(from)
  }
  linkUp(hello: LinkHello): void {
    this.ups.push(hello)
    this.log.push(`up ${hello.member}`)
  }
  linkDown(member: string, down: LinkDown): void {
    this.log.push(`down ${member} ${down.refused ? 'refused' : down.reason}`)
  }
  laneReset(member: string, lane: string): void {
    this.log.push(`reset ${member} ${lane}`)
  }
  refused(refusal: Refusal): void {
    this.refusals.push(refusal)
    this.log.push(`refused ${refusal.code}`)
  }
  heard(): void {}
}

interface Started {
  readonly network: MeshNetwork
  readonly told: Told
  /** Every wire of this peer, the first one first. */
  readonly wires: readonly Wire[]
}

export class MeshWorld {
  readonly env: VirtualEnv = new VirtualEnv()
  readonly hub: MemoryHub = new MemoryHub()
  readonly #networks: MeshNetwork[] = []
  // entropy: 32 + 12 bytes of 1 for the first wire, of 2 for the second
  #drawn = 0

  stop(): Promise<unknown> {
    return Promise.all(this.#networks.map(network => network.stop()))
  }

  async start(name: string, peer: string, over: Partial<MeshOptions> = {}): Promise<Started> {
    const wires = this.hub.wires(peer)
    const seen: Wire[] = []
    const tapped: Wires = {
      peer,
      listen: wires.listen,
      start: (accept, refused) => wires.start(wire => (seen.push(wire), accept(wire)), refused),
      resolve: address => wires.resolve(address),
      dial: async (address, signal) => {
        const wire = await wires.dial(address, signal)
        seen.push(wire)
        return wire
      },
      stop: () => wires.stop(),
    }
    const hello = () => ({
      cluster: '',
      member: name,
      name,
      holdsData: true,
      memoryBytes: 1,
      versionMin: 1,
      versionMax: 1,
    })
    const entropy = (count: number): Uint8Array => new Uint8Array(count).fill(++this.#drawn)
    const network = new MeshNetwork({ env: this.env, wires: tapped, hello, entropy, ...over })
    this.#networks.push(network)
    const told = new Told()
    await network.start(told)
    return { network, told, wires: seen }
  }

  async pair(): Promise<{ readonly a: Started; readonly b: Started }> {
    const a = await this.start('a~1', 'A')
    const b = await this.start('b~1', 'B')
    a.network.connect({ addresses: b.network.self.addresses })
    await this.env.rest()
    return { a, b }
  }

  async stranger(to: { readonly network: MeshNetwork }, peer = 'stranger'): Promise<Stranger> {
    const address = parseAddress(to.network.self.addresses[0] as string)
    return new Stranger(await this.hub.wires(peer).dial(address, new AbortController().signal))
  }

  /** Goes through admission by hand, saying `hello`. */
  async admitted(to: { network: MeshNetwork }, peer: string, over: Partial<WireHello>): Promise<Stranger> {
    const far = await this.stranger(to, peer)
    const hello: WireHello = {
      cluster: '',
      member: 'x~1',
      peer,
      name: 'x',
      addresses: [],
      holdsData: false,
      memoryBytes: 0,
      versionMin: 1,
      versionMax: 1,
      sessions: { control: 1, data: 1, bulk: 1 },
      isLinked: false,
      ...over,
    }
    const parties = {
      secret: to.network.secret,
      localPeer: peer,
      remotePeer: to.network.self.peer,
      isDialer: true,
      nonce: new Uint8Array(32),
    }
    const admission = new Admission(parties, () => helloCodec.encode(hello))
    let at = 0
    for (const step of admission.begin()) if (step.kind === 'send') far.wire.write(frameOf(step.frame, step.body))
    for (let i = 0; i < 4; i++) {
      await this.env.rest()
      for (; at < far.frames.length; at++) {
        const frame = far.frames[at] as Frame
        if (frame.kind === 'ready' || frame.kind === 'refuse') continue
        for (const step of admission.receive(frame.kind, frame.body))
          if (step.kind === 'send') far.wire.write(frameOf(step.frame, step.body))
      }
    }
    return far
  }
}

export function frameOf(kind: FrameKind, body: Uint8Array = new Uint8Array(0), over: Partial<Frame> = {}): Uint8Array {
  return encodeFrame({ kind, version: 0, lane: 'control', session: 0, body, ...over })
}
