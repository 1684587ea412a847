/** What a port says to bytes that are sent to it, until it hangs up. */
import { once } from 'node:events'
import { connect } from 'node:net'

export async function said(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => undefined)
  socket.write(bytes)
  await once(socket, 'close')
  return text
}
