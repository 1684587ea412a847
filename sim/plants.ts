/** Bugs to plant, so that a simulator gone blind is found out. */
export const plantNames = [] as const
export type PlantName = string

/** Plants the bug; returns how to pull it out again. */
export function plant(name: PlantName): () => void {
  throw new Error(`no plant is called ${name}`)
}
