/**
 * The few globals beyond ECMAScript that a pure machine may use: deterministic, without I/O, present in Node and browsers.
 * Only `tsconfig.pure.json` includes this file; the main project takes the same names from @types/node.
 */
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number }
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean })
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string
}
