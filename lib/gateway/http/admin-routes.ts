/** What the command line tells a peer: to leave, and to tell all to stop. What that means is up to whoever started it. */
import type { RecoverResult } from '../../grid/handles.ts'
import type { Answer, Route } from './exchange.ts'
import { HttpRefusal } from './refusal.ts'

export interface AdminActions {
  /** This peer hands over, leaves and ends. Called after the answer is on its way; not waited for. */
  readonly leave?: (() => void) | undefined
  /** All peers drain, spool and end: see stop-order.ts. Waited for. */
  readonly stop?: (() => Promise<void>) | undefined
  /** Goes on without the peers that are gone; `isSure`: not only says what would come of it. */
  readonly recover?: ((isSure: boolean) => Promise<RecoverResult>) | undefined
}

export function adminRoutes(actions: AdminActions): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/admin/leave',
      run: (): Answer => {
        const { leave } = actions
        if (leave === undefined) throw embedded()
        setImmediate(leave)
        return { status: 202, json: { leaving: true } }
      },
    },
    {
      method: 'POST',
      path: '/v1/admin/stop',
      run: async (): Promise<Answer> => {
        if (actions.stop === undefined) throw embedded()
        await actions.stop()
        return { status: 202, json: { stopping: true } }
      },
    },
    {
      method: 'POST',
      path: '/v1/admin/recover',
      run: async (exchange): Promise<Answer> => {
        const { recover } = actions
        if (recover === undefined) throw embedded()
        const { yes } = await exchange.object()
        return { status: 200, json: await recover(yes === true) }
      },
    },
  ]
}

function embedded(): HttpRefusal {
  return new HttpRefusal('NOT_IMPLEMENTED', 'this peer is part of a program, which alone decides when it ends')
}
