/** Files at both ends of a flow: `file.lines(pattern)` and `file.each(pattern)` where it begins, `file(path)` where it ends. */
import type { Source, Target } from '../../flow/ports.ts'
import { fileSource, type FileSourceOptions } from './source.ts'
import { fileTarget, type FileTargetOptions } from './target.ts'

export interface File {
  <Body>(path: string, options?: FileTargetOptions<Body>): Target<Body>
  /** A message for each line. */
  lines<Body = unknown>(pattern: string, options?: FileSourceOptions<Body>): Source<Body>
  /** A message for each file. */
  each<Body = unknown>(pattern: string, options?: FileSourceOptions<Body>): Source<Body>
}

export const file: File = Object.assign(fileTarget, {
  lines: <Body = unknown>(pattern: string, options?: FileSourceOptions<Body>) => fileSource(pattern, true, options),
  each: <Body = unknown>(pattern: string, options?: FileSourceOptions<Body>) => fileSource(pattern, false, options),
})
