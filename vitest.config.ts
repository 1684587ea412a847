import type { ViteUserConfig } from 'vitest/config'

/** Two projects: what needs only the process, in parallel; then what starts peers or servers, one file at a time. */
const config: ViteUserConfig = {
  test: {
    reporters: ['default', './test/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'process',
          include: ['test/**/*.test.ts'],
          exclude: ['test/{cluster,connectors,parity,docs}/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'machine',
          include: ['test/{cluster,connectors,parity,docs}/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
}

export default config
