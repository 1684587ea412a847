import { randomBytes } from 'node:crypto'
import { defaultCrypto } from '@libp2p/noise/crypto'
import { expect, test } from 'vitest'
import { preparedCrypto } from '../../../lib/transport/noise-crypto.ts'

const key = new Uint8Array(randomBytes(32))
const nonce = new Uint8Array(12)
const nothing = new Uint8Array(0)
const ours = preparedCrypto(defaultCrypto)

test.each([0, 1, 1_199, 1_200, 20_000])('%i bytes are what the package makes of them, both ways', length => {
  const text = new Uint8Array(randomBytes(length))
  const sealed = ours.chaCha20Poly1305Encrypt(text, nonce, nothing, key)
  expect(sealed.subarray()).toEqual(defaultCrypto.chaCha20Poly1305Encrypt(text, nonce, nothing, key).subarray())
  const pieces = { byteLength: length, subarray: () => text }
  expect(ours.chaCha20Poly1305Encrypt(pieces as never, nonce, nothing, key).subarray()).toEqual(sealed.subarray())
  const copy = (): Uint8Array => Uint8Array.from(sealed.subarray())
  const opened = ours.chaCha20Poly1305Decrypt(copy(), nonce, nothing, key, copy().subarray(0, length)).subarray()
  expect([...opened]).toEqual([...text])
})

test('a changed byte is refused', () => {
  const sealed = Uint8Array.from(ours.chaCha20Poly1305Encrypt(randomBytes(5_000), nonce, nothing, key).subarray())
  sealed[2_000] = (sealed[2_000] as number) ^ 1
  expect(() => ours.chaCha20Poly1305Decrypt(sealed, nonce, nothing, key)).toThrow(/authenticate/)
})
