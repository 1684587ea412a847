import { networkConformance } from './network.ts'
import { inProcessHarness } from './real-harness.ts'

networkConformance('in-process', inProcessHarness)
