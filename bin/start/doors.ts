/** The doors of one peer: those that were asked for, where they listen, and how they close. */
import type { Door } from '../../lib/gateway/door.ts'
import { startHttpDoor } from '../../lib/gateway/http/http-door.ts'
import { startRespDoor } from '../../lib/gateway/resp/resp-door.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import type { Settings } from '../../lib/peer/options.ts'
import { orderStop } from './stop-order.ts'

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
  { http, resp }: Settings,
  accessToken: string | undefined,
  leave: () => void,
): Promise<PeerDoors> {
  const doors: Door[] = []
  const open = async (starting: Promise<Door> | undefined): Promise<Door | undefined> => {
    const door = await starting
    if (door !== undefined) doors.push(door)
    return door
  }
  const close = async (): Promise<void> => void (await Promise.all(doors.map(door => door.close())))
  try {
    const admin = { leave, stop: () => orderStop(grid) }
    const httpDoor = await open(
      http === undefined ? undefined : startHttpDoor(grid, { listen: http, accessToken, admin }),
    )
    const respDoor = await open(resp === undefined ? undefined : startRespDoor(grid, { listen: resp, accessToken }))
    return { http: httpDoor && `http://${httpDoor.address}`, resp: respDoor?.address, close }
  } catch (error) {
    await close()
    throw error
  }
}
