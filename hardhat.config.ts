import { fileURLToPath } from 'node:url'
import hardhatEthers from '@nomicfoundation/hardhat-ethers'
import chaiMatchers from '@nomicfoundation/hardhat-ethers-chai-matchers'
import hardhatMocha from '@nomicfoundation/hardhat-mocha'
import networkHelpers from '@nomicfoundation/hardhat-network-helpers'
import typechain from '@nomicfoundation/hardhat-typechain'
import { configVariable, defineConfig } from 'hardhat/config'
import { NETWORKS } from './deploy/networks.ts'
import { tasks } from './tasks/index.ts'

// solc from npm, never downloaded: `path` makes Hardhat skip the compiler list and binaries.
const solc = { version: '0.8.37', path: fileURLToPath(import.meta.resolve('solc/soljson.js')) }
const settings = { evmVersion: 'cancun', optimizer: { enabled: true, runs: 10_000 }, outputSelection: { '*': { '*': ['storageLayout', 'devdoc', 'userdoc'] } } }
// What would not fit into EIP-170's 24,576 bytes, compiled through the intermediate representation.
const large = ['contracts/compute/InferenceServing.sol', 'contracts/compute/FineTuningServing.sol', 'contracts/da/DataAvailability.sol']
const compact = { ...settings, viaIR: true, optimizer: { enabled: true, runs: 200 } }
// What must be cheap: the intermediate representation saves some thousand gas of an answer.
const hot = ['contracts/da/SamplingRewards.sol']
const fast = { ...settings, viaIR: true }
const override = (sources: string[], settings: object) => sources.map((source) => [source, { ...solc, settings }])

// Asked for only by a task that sends to a public network.
const accounts = [configVariable('DEPLOYER_PRIVATE_KEY')]

export default defineConfig({
  plugins: [hardhatEthers, chaiMatchers, hardhatMocha, networkHelpers, typechain],
  tasks,
  solidity: {
    npmFilesToBuild: [
      '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol',
      '@openzeppelin/contracts/access/manager/AccessManager.sol',
      '@openzeppelin/contracts/governance/TimelockController.sol',
    ],
    compilers: [{ ...solc, settings }],
    overrides: Object.fromEntries([...override(large, compact), ...override(hot, fast)]),
  },
  test: {
    // Only for what hangs: how fast a machine is decides no test.
    mocha: { timeout: 300_000 },
    solidity: { fuzz: { runs: 1000, seed: '0x1' }, invariant: { runs: 100, depth: 100, failOnRevert: true } },
  },
  paths: { sources: ['./contracts', './test/doubles'], tests: { mocha: './test', solidity: './test/solidity' } },
  typechain: { outDir: 'typechain-types' },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'osaka' },
    // That of `npm start`; another when it was started with --port-base.
    devnet: { type: 'http', url: process.env.DEVNET_RPC_URL ?? 'http://127.0.0.1:8545' },
    ...Object.fromEntries(Object.entries(NETWORKS).map(([name, { chainId, rpcUrl }]) => [name, { type: 'http' as const, chainId, url: rpcUrl, accounts }])),
  },
})
