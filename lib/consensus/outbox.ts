/** The effects of one step, in order. */
import type { MemberId } from '../base/ids.ts'
import type { Emit, Lane } from '../base/machine.ts'
import type { ConsensusEffect, Role } from './interface.ts'
import type { ConsensusMessage } from './messages.ts'

type Proposed = Extract<ConsensusEffect, { kind: 'proposed' }>

export class Outbox {
  readonly #member: MemberId
  #effects: ConsensusEffect[] = []
  #announced = ''

  constructor(member: MemberId) {
    this.#member = member
  }

  take(): readonly ConsensusEffect[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  /** Undefined is nothing to do. */
  push(...effects: readonly (ConsensusEffect | undefined)[]): void {
    for (const effect of effects) if (effect !== undefined) this.#effects.push(effect)
  }

  send(to: MemberId, message: ConsensusMessage, lane: Lane): void {
    this.#effects.push({ kind: 'send', to, lane, message })
  }

  confirmed(ids: readonly number[], ok: boolean): void {
    for (const id of ids) this.#effects.push({ kind: 'confirmed', id, ok })
  }

  proposed(ids: readonly number[], result: Proposed['result'], leader: MemberId | undefined): void {
    for (const id of ids) this.#effects.push({ kind: 'proposed', id, result, leader })
  }

  emit(level: Emit['level'], event: string, term: number): void {
    this.#effects.push({ kind: 'emit', level, event, fields: { member: this.#member, term } })
  }

  /** Says who leads in which role, if that has changed. */
  role(role: Role, term: number, leader: MemberId | undefined, oldLeaseAgeMs?: number): void {
    const text = `${role}/${term}/${leader ?? ''}`
    if (text === this.#announced) return
    this.#announced = text
    this.#effects.push({ kind: 'role', role, term, leader, oldLeaseAgeMs })
  }
}
