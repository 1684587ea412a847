/**
 * One simulated connection between two processes, from the dial to the close. Each end is up for itself: the dialer once
 * it has heard the other's hello, the other once it has heard the answer to it, so that a link is up only when both ends
 * heard each other. An end that hears nothing for too long closes on its own.
 */
import type { LinkDown, LinkHello } from '../lib/transport/network.ts'
import type { Lane } from '../lib/base/machine.ts'
import { Channel } from './channel.ts'
import type { Fabric } from './fabric.ts'
import type { SimNetwork } from './network.ts'

export class End<Body> {
  readonly network: SimNetwork<Body>
  state: 'opening' | 'up' | 'down' = 'opening'
  /** What the other end said of itself last. */
  far: LinkHello | undefined
  heardMs = 0
  /** From here to the other end. */
  out!: Channel<Body>
  other!: End<Body>

  constructor(network: SimNetwork<Body>) {
    this.network = network
  }

  get member(): string {
    return this.far?.member ?? ''
  }
}

/** The two ends of a fresh connection, the dialer's first. */
export function openLink<Body>(
  fabric: Fabric<Body>,
  dialer: SimNetwork<Body>,
  listener: SimNetwork<Body>,
): readonly [End<Body>, End<Body>] {
  const near = new End<Body>(dialer)
  const far = new End<Body>(listener)
  near.other = far
  far.other = near
  near.out = channelTo(fabric, near, far)
  far.out = channelTo(fabric, far, near)
  return [near, far]
}

function channelTo<Body>(fabric: Fabric<Body>, from: End<Body>, to: End<Body>): Channel<Body> {
  return new Channel(fabric, from.network.process.name, {
    process: to.network.process,
    isUp: () => to.state === 'up',
    take: (lane: Lane, bodies: readonly Body[]) => to.network.take(to, lane, bodies),
  })
}

/** Closes this end, and tells the other if the wires let it. `isAbrupt`: what is under way may be overtaken by the close. */
export function closeEnd<Body>(end: End<Body>, down: LinkDown, isAbrupt: boolean): void {
  if (end.state === 'down') return
  end.network.downed(end, down)
  const { other } = end
  end.out.say(() => {
    if (other.state !== 'down') other.network.downed(other, { refused: false, reason: 'closed' })
    other.out.close()
  }, !isAbrupt)
}
