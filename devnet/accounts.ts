/** Development accounts by use. 0 is kept for the compute contracts and 1 deploys; 6 to 14 are the user's. */
export const ACCOUNTS = {
  storageNodes: [2, 3],
  storageMiner: 4,
  collateral: 5,
  computeProviders: [15, 16],
  computeTuning: 17,
  computeGateway: 18,
  daSigners: [20, 21, 22, 23],
  daDisperser: 24,
  daSampler: 25,
} as const
