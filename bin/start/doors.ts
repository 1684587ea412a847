/** The doors of one peer: those that were asked for, where they listen, and how they close. */
import { guardedAddress, type Door } from '../../lib/gateway/door.ts'
import { startHttpDoor } from '../../lib/gateway/http/http-door.ts'
import { orderStop } from './stop-order.ts'
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import type { Grid, RecoverResult } from '../../lib/grid/handles.ts'
import type { Settings } from '../../lib/peer/options.ts'

export interface PeerDoors {
  /** e.g. 'http://127.0.0.1:7480' */
  readonly http: string | undefined
  /** 'host:port' */
  readonly resp: string | undefined
  /** They will close soon. */
  part(): void
  close(): Promise<void>
}

/** Throws InvalidError if a door would be open to other machines without a token: before anything is founded or joined. */
export function checkDoors({ http, resp }: Settings, accessToken: string | undefined): void {
  if (http !== undefined) guardedAddress({ listen: http, accessToken }, 'the HTTP door')
  if (resp !== undefined) guardedAddress({ listen: resp, accessToken }, 'the RESP door')
}

/** `leave`: what to do when the admin door is asked to make this peer leave. `isServing`: whether data may be touched. */
export async function openDoors(
  grid: Grid,
  { http, resp }: Settings,
  accessToken: string | undefined,
  leave: () => void,
  isServing: () => boolean,
): Promise<PeerDoors> {
  const doors: Door[] = []
  const opened = (door: Door): Door => {
    doors.push(door)
    return door
  }
  const recover = (isSure: boolean): Promise<RecoverResult> => grid.recover({ isSure })
  const admin = { leave, stop: () => orderStop(grid), recover }
  const httpDoor =
    http === undefined ? undefined : opened(await startHttpDoor(grid, { listen: http, accessToken, admin, isServing }))
  const respDoor =
    resp === undefined ? undefined : opened(await startRespDoor(grid, { listen: resp, accessToken, isServing }))
  return {
    http: httpDoor && `http://${httpDoor.address}`,
    resp: respDoor?.address,
    part: () => doors.forEach(door => door.part()),
    close: async () => void (await Promise.all(doors.map(door => door.close()))),
  }
}
