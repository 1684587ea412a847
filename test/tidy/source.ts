/**
 * Reads TypeScript just well enough for the style rules: where comments, strings and regular expressions are, and what is imported.
 *
 * Not a parser: TypeScript 7 has no JavaScript API. A regular expression literal is told from a division by what stands before it. Code inside a
 * template's `${}` counts as text, so oxlint, which does parse, bans the same calls.
 */

const comment = String.raw`\/\*[\s\S]*?\*\/|\/\/[^\n]*`
const string = String.raw`'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|` + '`(?:\\\\[\\s\\S]|[^`\\\\])*`'
const regex = String.raw`(?<=(?:[(,=:[!&|?{};]|\breturn)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*`

/** `text` with every comment, string and regular expression blanked, line breaks kept. */
export function codeOf(text: string): string {
  return text.replaceAll(new RegExp(`${comment}|${string}|${regex}`, 'g'), blank)
}

/** The module names that `text` imports, re-exports or imports dynamically, in order. */
export function importsOf(text: string): string[] {
  const uncommented = text.replaceAll(new RegExp(`(${comment})|${string}|${regex}`, 'g'), (whole, hidden: unknown) =>
    hidden === undefined ? whole : blank(whole),
  )
  const clause =
    /(?:^|[;}\s])(?:import|export)\b(?:[\s\w*{},$]*?\bfrom)?\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]/g
  return [...uncommented.matchAll(clause)].map(match => match[1] ?? match[2] ?? '')
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}
