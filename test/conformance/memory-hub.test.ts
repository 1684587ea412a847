import { networkConformance } from './network.ts'
import { memoryHarness } from './real-harness.ts'

networkConformance('in-process', memoryHarness)
