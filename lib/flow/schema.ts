/**
 * Validation at the edge by any library that speaks Standard Schema v1 (standardschema.dev): zod, valibot, arktype and
 * others. The interface is taken as types alone, so that none of them is a dependency.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

export type Schema<Output = unknown> = StandardSchemaV1<unknown, Output>

/** One thing that is wrong: where, e.g. 'repository.full_name' ('' is the whole), and what. */
export interface Issue {
  readonly path: string
  readonly message: string
}

export type Validated<T> =
  { readonly isValid: true; readonly value: T } | { readonly isValid: false; readonly issues: readonly Issue[] }

const issuesMax = 20

/** The value as the schema gives it back (defaults filled in, unknown fields dropped as it says), or what is wrong. */
export async function validate<T>(schema: Schema<T>, value: unknown): Promise<Validated<T>> {
  const found = schema['~standard'].validate(value)
  const result = found instanceof Promise ? await found : found
  if (result.issues === undefined) return { isValid: true, value: result.value }
  return { isValid: false, issues: result.issues.slice(0, issuesMax).map(issueOf) }
}

function issueOf({ message, path = [] }: StandardSchemaV1.Issue): Issue {
  const names = path.map(part => String(typeof part === 'object' ? part.key : part))
  return { path: names.join('.'), message }
}
