/** The doors of one peer: those that were asked for, where they listen, and how they close. */
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import type { Door } from '../../lib/gateway/door.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import type { Settings } from '../../lib/peer/options.ts'

export interface PeerDoors {
  /** e.g. 'http://127.0.0.1:7480' */
  readonly http: string | undefined
  /** 'host:port' */
  readonly resp: string | undefined
  close(): Promise<void>
}

/** `leave`: a door was asked to make this peer leave. */
export async function openDoors(
  grid: Grid,
  { resp }: Settings,
  accessToken: string | undefined,
  _leave: () => void,
): Promise<PeerDoors> {
  const doors: Door[] = []
  const respDoor = resp === undefined ? undefined : await startRespDoor(grid, { listen: resp, accessToken })
  if (respDoor !== undefined) doors.push(respDoor)
  return {
    http: undefined,
    resp: respDoor?.address,
    close: async () => void (await Promise.all(doors.map(door => door.close()))),
  }
}
