/**
 * A Network of messages over a Network of bytes: encodes what is sent, decodes what comes. A message that does not
 * decode closes its link with that reason: whoever sent it is not one of us, or of a version that was not agreed.
 *
 * A body is a list of messages: those of one turn to one member on the lane of requests and appends travel as one, since
 * a frame and a run of the codec for each small message cost more than the message. The other lanes do not wait.
 */
import type { Env } from '../base/env.ts'
import type { Lane } from '../base/machine.ts'
import type { MemberId } from '../base/ids.ts'
import { MalformedError } from '../base/errors.ts'
import type { Codec } from './codec.ts'
import type { ConnectTarget, Network, NetworkListener } from './network.ts'

/** Messages of one body. */
export const bodyLengthMax = 1_000
/** A longer body of several messages is sent as two. */
const bodyBytesMax = 1024 * 1024

export class CodedNetwork<Message> implements Network<Message> {
  readonly #env: Pick<Env, 'turn'>
  readonly #bytes: Network<Uint8Array>
  readonly #codec: Codec<readonly Message[]>
  /** Messages of this turn on lane data, by member. */
  #waiting = new Map<MemberId, Message[]>()

  /** `codec`: of lists of at least `bodyLengthMax`. */
  constructor(env: Pick<Env, 'turn'>, bytes: Network<Uint8Array>, codec: Codec<readonly Message[]>) {
    this.#env = env
    this.#bytes = bytes
    this.#codec = codec
  }

  get self(): Network<Message>['self'] {
    return this.#bytes.self
  }

  get links(): readonly MemberId[] {
    return this.#bytes.links
  }

  start(listener: NetworkListener<Message>): Promise<void> {
    return this.#bytes.start({
      message: (from, lane, body) => {
        for (const message of this.#decode(from, body)) listener.message(from, lane, message)
      },
      linkUp: (hello, version) => listener.linkUp(hello, version),
      linkDown: (member, down) => listener.linkDown(member, down),
      laneReset: (member, lane) => listener.laneReset(member, lane),
      refused: refusal => listener.refused(refusal),
      heard: member => listener.heard(member),
    })
  }

  stop(): Promise<void> {
    this.#flush()
    return this.#bytes.stop()
  }

  connect(target: ConnectTarget): void {
    this.#bytes.connect(target)
  }

  forget(target: ConnectTarget): void {
    this.#bytes.forget(target)
  }

  send(member: MemberId, lane: Lane, message: Message): void {
    if (lane !== 'data') return this.#bytes.send(member, lane, this.#codec.encode([message]))
    if (this.#waiting.size === 0) this.#env.turn(() => this.#flush())
    const messages = this.#waiting.get(member)
    if (messages === undefined) this.#waiting.set(member, [message])
    else messages.push(message)
  }

  drop(member: MemberId, reason: string): void {
    this.#bytes.drop(member, reason)
  }

  announce(): void {
    this.#bytes.announce()
  }

  #flush(): void {
    const waiting = this.#waiting
    if (waiting.size === 0) return
    this.#waiting = new Map()
    for (const [member, messages] of waiting) {
      for (let at = 0; at < messages.length; at += bodyLengthMax)
        this.#sendBody(member, messages.length <= bodyLengthMax ? messages : messages.slice(at, at + bodyLengthMax))
    }
  }

  #sendBody(member: MemberId, messages: readonly Message[]): void {
    const body = this.#codec.encode(messages)
    if (body.length <= bodyBytesMax || messages.length === 1) return this.#bytes.send(member, 'data', body)
    const half = messages.length >>> 1
    this.#sendBody(member, messages.slice(0, half))
    this.#sendBody(member, messages.slice(half))
  }

  #decode(from: MemberId, body: Uint8Array): readonly Message[] {
    try {
      return this.#codec.decode(body)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.#bytes.drop(from, `${from} sent a message that is not understood: ${error.message}`)
      return []
    }
  }
}
