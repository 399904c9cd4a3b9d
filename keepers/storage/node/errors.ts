// Clients decide by these texts whether an upload is done, to be repeated or lost: they are part of the protocol.

export const ALREADY_FINALIZED = 'already uploaded and finalized'
export const ALREADY_PRUNED = 'already pruned'
export const tooManyWrites = (count: number): string => `too many data writing: ${count}`
