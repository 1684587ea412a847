/**
 * Secrets by name, read when they are needed and never printed: `secret('SKEIN_SECRET')` is the environment variable of
 * that name, or the content of the file that `SKEIN_SECRET_FILE` names.
 */
import { readFileSync } from 'node:fs'
import { InvalidError } from '../base/errors.ts'

export class Secret {
  readonly name: string
  readonly #read: () => string

  constructor(name: string, read: () => string) {
    this.name = name
    this.#read = read
  }

  /** Throws InvalidError that says where it should have been. */
  reveal(): string {
    return this.#read()
  }

  toString(): string {
    return `[secret ${this.name}]`
  }

  toJSON(): string {
    return this.toString()
  }
}

export function secret(name: string): Secret {
  return new Secret(name, () => {
    const value = process.env[name]
    if (value !== undefined && value !== '') return value
    const path = process.env[`${name}_FILE`]
    if (path !== undefined && path !== '') return contentOf(path)
    throw new InvalidError(`secret ${name} is not set: set the environment variable ${name}, or ${name}_FILE to a file`)
  })
}

/** The content of a file, without the line end. */
export function secretFile(path: string): Secret {
  return new Secret(path, () => contentOf(path))
}

function contentOf(path: string): string {
  let content: string
  try {
    content = readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new InvalidError(
      `the secret file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  if (content === '') throw new InvalidError(`the secret file ${path} is empty`)
  return content
}
