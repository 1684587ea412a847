import { networkConformance } from './network.ts'
import { libp2pHarness } from './real-harness.ts'

networkConformance('libp2p', libp2pHarness)
