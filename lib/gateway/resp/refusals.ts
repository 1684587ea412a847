/**
 * Errors of the grid in Redis' words. Two codes of a cluster matter to whoever retries: CLUSTERDOWN says that nothing
 * happened, INDETERMINATE (no word of Redis) that it may have.
 */
import { GridFullError, InvalidError, SkeinError, WrongTypeError } from '../../base/errors.ts'
import { ErrorReply } from './reply.ts'

export const syntaxError: ErrorReply = new ErrorReply('ERR syntax error')
export const notInteger: ErrorReply = new ErrorReply('ERR value is not an integer or out of range')

/** Thrown where a command finds its arguments wrong. */
export class RespError extends Error {
  readonly reply: ErrorReply

  constructor(reply: ErrorReply | string) {
    const error = typeof reply === 'string' ? new ErrorReply(reply) : reply
    super(error.text)
    this.reply = error
  }
}

/** Undefined: a bug, which is for the log. */
export function refusalReply(error: unknown): ErrorReply | undefined {
  if (error instanceof RespError) return error.reply
  if (!(error instanceof SkeinError)) return undefined
  const message = Buffer.from(error.message, 'utf8').toString('latin1')
  if (error.indeterminate) return new ErrorReply(`INDETERMINATE ${message}`)
  if (error instanceof GridFullError) return new ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")
  if (error instanceof WrongTypeError || error instanceof InvalidError)
    return new ErrorReply(/^[A-Z]+ /.test(message) ? message : `ERR ${message}`)
  return new ErrorReply(`CLUSTERDOWN ${message}`)
}

export function wrongArity(name: string): ErrorReply {
  return new ErrorReply(`ERR wrong number of arguments for '${name}' command`)
}
