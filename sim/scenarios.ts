/** What a run can be asked for by name. Apart from what runs it, so that the command line can say the names without loading all of that. */
import type { FaultKind } from './faults.ts'

export const scenarioNames = [
  'random',
  'calm',
  'beyond',
  'crashes',
  'cuts',
  'pauses',
  'clocks',
  'elections',
  'datagrams',
  'grid',
  'flow',
] as const
export type ScenarioName = (typeof scenarioNames)[number]

/** The faults of those that draw none from the seed. */
export const scenarioKinds: Readonly<
  Record<Exclude<ScenarioName, 'random' | 'beyond' | 'grid' | 'flow'>, readonly FaultKind[]>
> = {
  calm: [],
  crashes: ['crash', 'leave'],
  cuts: [
    'split',
    'isolate',
    'one-way',
    'partial',
    'deposed',
    'contested',
    'flapping',
    'broken-link',
    'broken-lane',
    'slow-link',
  ],
  pauses: ['stop', 'slow', 'suspend', 'slow-disk'],
  clocks: ['wall-jump', 'suspend', 'stop'],
  elections: ['contested', 'contested', 'crash', 'stop'],
  datagrams: ['datagrams', 'broken-lane', 'crash'],
}

/** Bugs that can be planted; what each is: plants.ts. */
export const plantNames = [
  'no-epoch-check',
  'early-acknowledgement',
  'no-lease-check',
  'deposed-leader-grants',
  'early-promotion',
  'double-vote',
  'lost-results',
  'unreplicated-decisions',
  'unreplicated-prepares',
  'unlogged-queue-leases',
  'backup-clock',
  'processor-at-backup',
] as const
export type PlantName = (typeof plantNames)[number]
