/**
 * The hello on the wire, and what two hellos agree on. A hello is believed only after admission proved its sender, and
 * its `peer` only if the wire proved that key.
 */
import { boolean, list, optional, record, string, uint, type Shape } from '../base/shape.ts'
import { supersedes } from '../base/lineage.ts'
import { MalformedError } from '../base/errors.ts'
import { codec, type Codec } from './codec.ts'
import type { LaneSessions } from './lanes.ts'
import type { LinkHello, OwnHello, Refusal } from './network.ts'

export interface WireHello extends LinkHello {
  /** First sessions of the lanes towards the receiver. */
  readonly sessions: LaneSessions
  /** True if the sender has another link to the receiver that is up. */
  readonly isLinked: boolean
}

const textLengthMax = 256
const addressCountMax = 16

const shape: Shape<WireHello> = record<WireHello>({
  cluster: string,
  member: string,
  peer: string,
  name: string,
  addresses: list(string, addressCountMax),
  zone: optional(string),
  holdsData: boolean,
  memoryBytes: uint,
  versionMin: uint,
  versionMax: uint,
  sessions: record<LaneSessions>({ control: uint, data: uint, bulk: uint }),
  isLinked: boolean,
})
const bare = codec(shape)

export const helloCodec: Codec<WireHello> = {
  encode: bare.encode,
  decode: bytes => {
    const hello = bare.decode(bytes)
    for (const text of [hello.cluster, hello.member, hello.peer, hello.name, hello.zone ?? '', ...hello.addresses])
      if (text.length > textLengthMax) throw new MalformedError(`hello: a text longer than ${textLengthMax}`)
    if (hello.member === '') throw new MalformedError('hello: no member id')
    return hello
  },
}

/**
 * Whether their clusters keep these two apart, and who says so. A member that has not heard yet that its cluster was
 * recovered leaves it to the other end, which knows who was kept.
 */
export function partedBy(local: OwnHello, remote: LinkHello): 'cluster' | 'recovered' | undefined {
  if (local.cluster === '' || remote.cluster === '' || local.cluster === remote.cluster) return undefined
  if (supersedes(remote.cluster, local.cluster)) return undefined
  if (!supersedes(local.cluster, remote.cluster)) return 'cluster'
  return local.isKept?.(remote.member) === true ? undefined : 'recovered'
}

/** Why these two must not be linked, or the version that they speak. */
export function agree(
  local: OwnHello,
  remote: LinkHello,
): { readonly version: number } | Pick<Refusal, 'code' | 'reason'> {
  const apart = partedBy(local, remote)
  if (apart === 'recovered')
    return {
      code: apart,
      reason: `${remote.name} (${remote.member}) was left behind when its cluster was recovered: it comes back under a fresh id`,
    }
  if (apart === 'cluster')
    return {
      code: apart,
      reason: `${remote.name} (${remote.member}) belongs to cluster ${remote.cluster}, ${local.name} to ${local.cluster}: two clusters stay apart; stop one side and start it again with --join to the other`,
    }
  const version = Math.min(local.versionMax, remote.versionMax)
  if (version < Math.max(local.versionMin, remote.versionMin))
    return {
      code: 'version',
      reason: `${remote.name} (${remote.member}) speaks versions ${remote.versionMin} to ${remote.versionMax}, ${local.name} ${local.versionMin} to ${local.versionMax}: upgrade the older one`,
    }
  return { version }
}

/** The part that layers above see. */
export function linkHello(hello: WireHello): LinkHello {
  const { sessions: _, isLinked: __, ...rest } = hello
  return rest
}
