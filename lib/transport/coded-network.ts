/**
 * A Network of messages over a Network of bytes: encodes what is sent, decodes what comes. A message that does not
 * decode closes its link with that reason: whoever sent it is not one of us, or of a version that was not agreed.
 */
import type { Lane } from '../base/machine.ts'
import type { MemberId } from '../base/ids.ts'
import { MalformedError } from '../base/errors.ts'
import type { Codec } from './codec.ts'
import type { ConnectTarget, Network, NetworkListener } from './network.ts'

export class CodedNetwork<Message> implements Network<Message> {
  readonly #bytes: Network<Uint8Array>
  readonly #codec: Codec<Message>

  constructor(bytes: Network<Uint8Array>, codec: Codec<Message>) {
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
        const message = this.#decode(from, body)
        if (message !== undefined) listener.message(from, lane, message)
      },
      linkUp: (hello, version) => listener.linkUp(hello, version),
      linkDown: (member, down) => listener.linkDown(member, down),
      laneReset: (member, lane) => listener.laneReset(member, lane),
      refused: refusal => listener.refused(refusal),
      heard: member => listener.heard(member),
    })
  }

  stop(): Promise<void> {
    return this.#bytes.stop()
  }

  connect(target: ConnectTarget): void {
    this.#bytes.connect(target)
  }

  forget(target: ConnectTarget): void {
    this.#bytes.forget(target)
  }

  send(member: MemberId, lane: Lane, message: Message): void {
    this.#bytes.send(member, lane, this.#codec.encode(message))
  }

  drop(member: MemberId, reason: string): void {
    this.#bytes.drop(member, reason)
  }

  announce(): void {
    this.#bytes.announce()
  }

  #decode(from: MemberId, body: Uint8Array): Message | undefined {
    try {
      return this.#codec.decode(body)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.#bytes.drop(from, `${from} sent a message that is not understood: ${error.message}`)
      return undefined
    }
  }
}
