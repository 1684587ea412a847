/**
 * Who may ask: whoever bears the access token; without one, whoever is on this machine and is no web page. A page of some
 * other site can make a browser send requests to loopback: it is known by a Host that is not this machine (DNS
 * rebinding) or by the Origin that browsers add.
 */
import type { IncomingMessage } from 'node:http'
import type { AccessToken } from '../door.ts'
import { HttpRefusal } from './refusal.ts'

/** Throws HttpRefusal UNAUTHORIZED or FORBIDDEN. `isOpen`: asks for no token. */
export function guard(request: IncomingMessage, token: AccessToken | undefined, isOpen: boolean): void {
  if (token === undefined) return guardLocal(request)
  if (isOpen) return
  const match = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')
  if (match === null)
    throw new HttpRefusal('UNAUTHORIZED', 'an access token is needed: Authorization: Bearer ...', {
      'www-authenticate': 'Bearer',
    })
  if (!token.accepts(match[1] as string))
    throw new HttpRefusal('UNAUTHORIZED', 'the access token is wrong', {
      'www-authenticate': 'Bearer error="invalid_token"',
    })
}

function guardLocal({ headers }: IncomingMessage): void {
  if (!isThisMachine(headers.host ?? ''))
    throw new HttpRefusal('FORBIDDEN', 'without an access token Host must be localhost, 127.0.0.1 or [::1]')
  const { origin } = headers
  if (origin !== undefined && !isThisMachine(origin.replace(/^https?:\/\//, '')))
    throw new HttpRefusal('FORBIDDEN', 'without an access token no web page of another site is answered')
}

function isThisMachine(host: string): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i.test(host)
}
