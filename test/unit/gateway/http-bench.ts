/** Two HTTP doors of one cluster of fake grids, new for each test, and how to ask them. */
import { afterEach, beforeEach, expect } from 'vitest'
import type { Door } from '../../../lib/gateway/door.ts'
import { startHttpDoor, type HttpDoorOptions } from '../../../lib/gateway/http/http-door.ts'
import { FakeCluster, type FakeGrid } from './fake-grid.ts'

export let cluster: FakeCluster
export let here: FakeGrid
export let doors: Door[]

/** Called once by a test file. */
export function useDoors(): void {
  beforeEach(async () => {
    cluster = new FakeCluster('goose-1', 'goose-2')
    here = cluster.members[0] as FakeGrid
    doors = await Promise.all(cluster.members.map(({ grid }) => startHttpDoor(grid, { listen: '127.0.0.1:0' })))
  })

  afterEach(async () => {
    await Promise.all(doors.map(door => door.close({ graceMs: 0 })))
    cluster.close()
  })
}

export async function open(options: Partial<HttpDoorOptions>): Promise<number> {
  return doors.push(await startHttpDoor(here.grid, { listen: '127.0.0.1:0', ...options })) - 1
}

export interface Said {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

export interface Asked {
  readonly at?: number
  readonly headers?: Record<string, string>
  /** Bytes and text as they are, anything else as JSON. */
  readonly body?: unknown
  readonly signal?: AbortSignal
}

export async function ask(
  method: string,
  path: string,
  { at = 0, headers = {}, body, signal }: Asked = {},
): Promise<Said> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array || body === undefined
  const response = await fetch(`http://${(doors[at] as Door).address}${path}`, {
    method,
    headers: { ...(!isRaw && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: isRaw ? (body as string) : JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type') === 'application/json'
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text }
}

export function refusal(code: string, flags: { retryable?: boolean; indeterminate?: boolean } = {}): object {
  return { code, message: expect.any(String) as string, retryable: false, indeterminate: false, ...flags }
}
