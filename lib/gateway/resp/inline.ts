/** Inline commands: words between blanks, quoted as in a shell. As `sdssplitargs` of Redis 7.0 (sds.c) reads them. */

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** Undefined: quotes are not balanced. */
export function splitInline(line: Uint8Array): Buffer[] | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('latin1')
  const words: Buffer[] = []
  let at = 0
  for (;;) {
    while (isBlank(text[at])) at++
    if (at >= text.length) return words
    const read = wordAt(text, at)
    if (read === undefined) return undefined
    words.push(Buffer.from(read[0], 'latin1'))
    at = read[1]
  }
}

function wordAt(text: string, from: number): readonly [word: string, end: number] | undefined {
  let word = ''
  let at = from
  while (at < text.length && !isBlank(text[at])) {
    const char = text[at] as string
    if (char !== '"' && char !== "'") {
      word += char
      at++
      continue
    }
    const quoted = char === '"' ? doubleQuoted(text, at + 1) : singleQuoted(text, at + 1)
    // A closing quote is followed by a blank or nothing.
    if (quoted === undefined || (quoted[1] < text.length && !isBlank(text[quoted[1]]))) return undefined
    return [word + quoted[0], quoted[1]]
  }
  return [word, at]
}

function doubleQuoted(text: string, from: number): readonly [string, number] | undefined {
  let out = ''
  for (let at = from; at < text.length; at++) {
    const char = text[at] as string
    if (char === '"') return [out, at + 1]
    const hex = /^\\x([0-9a-fA-F]{2})/.exec(text.slice(at, at + 4))
    if (hex !== null) {
      out += String.fromCharCode(Number.parseInt(hex[1] as string, 16))
      at += 3
    } else if (char === '\\' && at + 1 < text.length) {
      at++
      out += escapes[text[at] as string] ?? text[at]
    } else out += char
  }
  return undefined
}

function singleQuoted(text: string, from: number): readonly [string, number] | undefined {
  let out = ''
  for (let at = from; at < text.length; at++) {
    if (text[at] === "'") return [out, at + 1]
    if (text[at] === '\\' && text[at + 1] === "'") at++
    out += text[at]
  }
  return undefined
}

function isBlank(char: string | undefined): boolean {
  return char !== undefined && /[\s\0]/.test(char)
}
