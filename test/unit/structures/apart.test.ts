import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StructureOperation } from '../../../lib/structures/operations.ts'
import { Structures } from '../../../lib/structures/structures.ts'

const word = fc.constantFrom('a', 'b', 'c', 'd')
const put = fc.record({
  kind: fc.constant('map.put' as const),
  map: word,
  key: word,
  value: fc.constant(new Uint8Array(1)),
})
const remove = fc.record({ kind: fc.constant('map.delete' as const), map: word, key: word })

test('operations that are said to be apart lock no key in common', () => {
  const structures = new Structures()
  let apartCount = 0
  const property = fc.property(
    fc.array(fc.oneof({ weight: 9, arbitrary: put }, { weight: 1, arbitrary: remove }), { maxLength: 4 }),
    fc.boolean(),
    (drawn, isOneMap) => {
      const operations: StructureOperation[] = drawn.map(each => (isOneMap ? { ...each, map: 'a' } : each))
      if (!structures.areApart(operations)) return
      apartCount++
      const locks = operations.flatMap(operation => structures.locks(operation))
      expect(new Set(locks).size).toBe(locks.length)
    },
  )
  fc.assert(property, { numRuns: 500, seed: 1 })
  expect(apartCount).toBeGreaterThan(100)
})
