/** HTTP at both ends of a flow: `http.post(path)` where it begins, `http(url)` where it ends. */
import type { Source, Target } from '../../flow/ports.ts'
import type { Message } from '../../flow/message.ts'
import type { Method } from './listener.ts'
import { httpSource, type HttpSourceOptions, type PathParams } from './source.ts'
import { httpTarget, type HttpTargetOptions } from './target.ts'

type SourceOf = <const Path extends string, Body = unknown>(
  path: Path,
  options?: HttpSourceOptions<Body>,
) => Source<Body, PathParams<Path>>

export interface Http {
  <Body>(url: string | ((message: Message<Body>) => string), options?: HttpTargetOptions<Body>): Target<Body>
  readonly get: SourceOf
  readonly post: SourceOf
  readonly put: SourceOf
  readonly patch: SourceOf
  readonly delete: SourceOf
}

const sourceOf =
  (method: Method): SourceOf =>
  (path, options) =>
    httpSource(method, path, options)

export const http: Http = Object.assign(httpTarget, {
  get: sourceOf('GET'),
  post: sourceOf('POST'),
  put: sourceOf('PUT'),
  patch: sourceOf('PATCH'),
  delete: sourceOf('DELETE'),
})
