/**
 * Admission: may the peer at the other end of a wire be here at all? Both ends prove that they hold the cluster's
 * secret without sending it, then tell their hellos; nobody learns a hello, or is given a proof to guess at, before he
 * proved himself to the end that was dialed.
 *
 *   dialer                                        dialed
 *   nonce a                          ->           nonce b (at once)
 *   HMAC(secret, dialer, a, b)       ->           checks
 *   checks                           <-           HMAC(secret, dialed, a, b), hello
 *   hello                            ->
 *
 * The HMAC-SHA256 is over a label, the prover's part (dialer or dialed), both PeerIds and both nonces, each with its
 * length: a proof fits one direction of one connection between two keys, and cannot be replayed or reflected. The
 * PeerIds are those that the wire proved, so a secret passed through by somebody in the middle fits no connection of
 * his. Compared in constant time. Without a secret both ends prove the empty one.
 *
 * What it does not do: time out, count bytes, or judge the hello (link.ts and mesh.ts do).
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { MalformedError } from '../base/errors.ts'
import type { FrameKind } from './frames.ts'

export const nonceBytes = 32
const label = 'skein admission 1'

export interface AdmissionParties {
  readonly secret: string
  readonly localPeer: string
  readonly remotePeer: string
  readonly isDialer: boolean
  /** Fresh from the system's entropy for each wire. */
  readonly nonce: Uint8Array
}

/** What to do next. `admitted` comes once, with the far end's hello as it was sent. */
export type AdmissionStep =
  | { readonly kind: 'send'; readonly frame: FrameKind; readonly body: Uint8Array }
  | { readonly kind: 'admitted'; readonly hello: Uint8Array }
  | { readonly kind: 'refused' }

export class Admission {
  readonly #parties: AdmissionParties
  readonly #hello: () => Uint8Array
  #remoteNonce: Uint8Array | undefined
  #isProven = false

  constructor(parties: AdmissionParties, hello: () => Uint8Array) {
    this.#parties = parties
    this.#hello = hello
  }

  begin(): readonly AdmissionStep[] {
    return [{ kind: 'send', frame: 'nonce', body: this.#parties.nonce }]
  }

  /** Throws MalformedError on anything out of turn. */
  receive(frame: FrameKind, body: Uint8Array): readonly AdmissionStep[] {
    switch (frame) {
      case 'nonce':
        return this.#onNonce(body)
      case 'proof':
        return this.#onProof(body)
      case 'hello':
        if (!this.#isProven) break
        return [{ kind: 'admitted', hello: body.slice() }]
      default:
    }
    throw new MalformedError(`frame '${frame}' before admission`)
  }

  #onNonce(body: Uint8Array): readonly AdmissionStep[] {
    if (this.#remoteNonce !== undefined || body.length !== nonceBytes) throw new MalformedError('unexpected nonce')
    this.#remoteNonce = body.slice()
    return this.#parties.isDialer ? [this.#ownProof()] : []
  }

  #onProof(body: Uint8Array): readonly AdmissionStep[] {
    if (this.#remoteNonce === undefined || this.#isProven) throw new MalformedError('unexpected proof')
    const wanted = this.#proof(!this.#parties.isDialer)
    if (body.length !== wanted.length || !timingSafeEqual(body, wanted)) return [{ kind: 'refused' }]
    this.#isProven = true
    const hello: AdmissionStep = { kind: 'send', frame: 'hello', body: this.#hello() }
    return this.#parties.isDialer ? [hello] : [this.#ownProof(), hello]
  }

  #ownProof(): AdmissionStep {
    return { kind: 'send', frame: 'proof', body: this.#proof(this.#parties.isDialer) }
  }

  /** The proof of the end that dialed, or of the one that was dialed. */
  #proof(ofDialer: boolean): Uint8Array {
    const { secret, localPeer, remotePeer, isDialer, nonce } = this.#parties
    const far = this.#remoteNonce as Uint8Array
    const hmac = createHmac('sha256', secret)
    const [dialer, dialed] = isDialer ? [localPeer, remotePeer] : [remotePeer, localPeer]
    const [dialerNonce, dialedNonce] = isDialer ? [nonce, far] : [far, nonce]
    for (const part of [label, ofDialer ? 'dialer' : 'dialed', dialer, dialed, dialerNonce, dialedNonce]) {
      const bytes = typeof part === 'string' ? Buffer.from(part) : part
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      hmac.update(length).update(bytes)
    }
    return hmac.digest()
  }
}
