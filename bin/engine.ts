/**
 * Which Node this program needs, and what to say to an older one.
 *
 * The launcher loads this file before anything else, so it uses nothing that Node 20 lacks and imports nothing.
 */

/** The oldest release that runs TypeScript flows and `require('skein')` without a flag, as [major, minor]. */
const engineMin = [22, 18] as const

/** One line that names cause and remedy if `version` (such as `20.20.2`) is too old for `skein ...args`, else undefined. */
export function refusal(version: string, args: readonly string[]): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > engineMin[0] || (major === engineMin[0] && minor >= engineMin[1])) return undefined
  const command = ['skein', ...(args.length > 0 ? args : ['demo'])].map(quote).join(' ')
  return `skein needs Node ${engineMin.join('.')} or newer, this is ${major}.${minor}; run: npx -p node@24 -p skein ${command}`
}

/** `word` as a POSIX shell reads it back: bare if it is plain, else between single quotes, without control characters. */
function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  return `'${word.replaceAll(/\p{Cc}/gu, '').replaceAll("'", String.raw`'\''`)}'`
}
