import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMatch } from '../../../lib/gateway/resp/glob.ts'

test.each([
  ['*', '', true],
  ['a*c', 'abbbc', true],
  ['a*c', 'abbb', false],
  ['h?llo', 'hello', true],
  ['h?llo', 'hllo', false],
  ['h[ae]llo', 'hallo', true],
  ['h[^e]llo', 'hello', false],
  ['h[a-c]llo', 'hbllo', true],
  ['h[c-a]llo', 'hbllo', true],
  ['\\*', '*', true],
  ['\\*', 'x', false],
  ['[\\]]', ']', true],
  ['[abc', 'b', true],
  ['', '', true],
  ['', 'a', false],
  ['user:*:name', 'user:17:name', true],
  ['**a', 'bba', true],
])('%s on %s: %s', (pattern, text, is) => {
  expect(isMatch(pattern, text)).toBe(is)
})

test('agrees with a regular expression where there is one', () => {
  const letter = fc.constantFrom('a', 'b', '*', '?')
  fc.assert(
    fc.property(
      fc.string({ unit: letter, maxLength: 8 }),
      fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 }),
      (pattern, text) => {
        const same = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
        expect(isMatch(pattern, text)).toBe(same.test(text))
      },
    ),
  )
})

test('a pattern of many stars takes no longer than its length times the text', () => {
  expect(isMatch('*a'.repeat(200), `${'a'.repeat(199)}${'b'.repeat(20_000)}`)).toBe(false)
})
