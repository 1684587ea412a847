/**
 * Public API of Skein, and the map of this tree.
 *
 * Imports point only up this list, or sideways within a folder; (o) is pure, (x) does I/O.
 *
 *     base/         (o)  nouns everyone may use
 *     transport/    (x)  how bytes move
 *     membership/   (o)  who is here
 *     consensus/    (o)  what is agreed
 *     placement/    (o)  who owns what
 *     replication/  (o)  how copies stay equal
 *     structures/   (o)  what is stored
 *     peer/         (x)  one running member
 *     grid/         (x)  what users hold
 *     flow/              what users write
 *     connectors/   (x)  edges of a flow
 *     gateway/      (x)  doors: HTTP, RESP, metrics
 */
export {
  AbortedError,
  ClosedError,
  ConflictError,
  FailedError,
  FullError,
  GridFullError,
  IndeterminateError,
  InvalidError,
  MissingPackageError,
  NotEnoughCopiesError,
  SkeinError,
  StaleTokenError,
  UnavailableError,
  WrongTypeError,
} from './base/errors.ts'
export { join, type JoinOptions } from './grid/join.ts'
export { secret, secretFile, type Secret } from './peer/secret.ts'
export { settingsSchema, type SettingsInput } from './peer/options.ts'
export type { Duration } from './grid/duration.ts'
export type {
  Counter,
  Entry,
  Grid,
  GridEvents,
  GridMap,
  GridStatus,
  HeldLock,
  LeaveResult,
  Lock,
  LockOptions,
  LockState,
  MapSettings,
  MemberStatus,
  OperationOptions,
  Partitions,
  Pressure,
  PutOptions,
  Transaction,
  TransactionMap,
  WriteOptions,
} from './grid/handles.ts'
export type {
  ConsumeOptions,
  DeadLetterList,
  DeadMessage,
  Message,
  NackOptions,
  Queue,
  QueueCounts,
  QueueItem,
  QueuePutOptions,
  QueueSettings,
  ReceiveOptions,
  TransactionQueue,
  Worker,
} from './grid/queue-handles.ts'
export type {
  AddedPiece,
  ClosedGroupRef,
  CollectedGroup,
  Group,
  GroupCounts,
  GroupSettings,
  NewPiece,
  ReadyGroup,
  TransactionGroup,
} from './grid/group-handles.ts'
export type { Content, ValueCodec } from './grid/values.ts'
export { flow, Flow, type FlowStart } from './flow/builder.ts'
export { OrphansError, TerminalError } from './flow/errors.ts'
export type { AnyMessage, Message as FlowMessage, StepContext } from './flow/message.ts'
export type { Source, Target } from './flow/ports.ts'
export { runFlows, type DrainOptions, type FlowRunner, type RunnerOptions } from './flow/runner.ts'
export type { Schema } from './flow/schema.ts'
export type { FlowStatus } from './flow/status.ts'
export { file, type File } from './connectors/file/file.ts'
export { http, type Http } from './connectors/http/http.ts'
export { log } from './connectors/log-target.ts'
export { queue, type QueueTargetOptions } from './connectors/queue-target.ts'
export { timer, type Tick, type TimerOptions } from './connectors/timer.ts'
